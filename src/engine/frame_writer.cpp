#include "hast/engine/frame_writer.hpp"

namespace hast::engine {

Awaitable<Result<void>> write_all(port::Stream* stream,
                                  std::vector<boost::asio::const_buffer>* buffers) {
  std::span<boost::asio::const_buffer> left(*buffers);
  while (!left.empty()) {
    Result<std::size_t> sent = co_await stream->write_some(left);
    if (!sent) co_return std::move(sent).error();
    std::size_t bytes = *sent;
    while (!left.empty() && bytes >= left.front().size()) {
      bytes -= left.front().size();
      left = left.subspan(1);
    }
    if (!left.empty()) left.front() += bytes;
  }
  co_return Result<void>{};
}

FrameWriter::FrameWriter(port::Stream& stream, wire::PayloadOptions options, std::uint8_t version,
                         std::size_t max_payload_bytes)
    : stream_(stream),
      options_(options),
      version_(version),
      max_payload_bytes_(max_payload_bytes),
      headers_(kMaxFrames * wire::kMaxEncodedBytes),
      // Room for one batch and one payload more: encode_payload() wants space for the whole block.
      arena_(kMaxBatchBytes + max_payload_bytes + 64) {
  buffers_.reserve(2 * kMaxFrames);
}

bool FrameWriter::has_room() const {
  return frames_ < kMaxFrames && batch_bytes_ < kMaxBatchBytes &&
         arena_used_ + max_payload_bytes_ + 64 <= arena_.size();
}

ByteSpan FrameWriter::header_space() {
  return headers_.span().subspan(header_used_, wire::kMaxEncodedBytes);
}

wire::PayloadInfo FrameWriter::keep(const wire::EncodedPayload& payload) {
  const std::byte* const scratch = arena_.data() + arena_used_;
  // What was encoded into the arena stays there until the batch is sent.
  if (payload.bytes.data() == scratch) arena_used_ += payload.bytes.size();
  payload_ = payload.bytes;
  return payload.info;
}

wire::PayloadInfo FrameWriter::encode_data(ConstByteSpan data) {
  return keep(wire::encode_payload(data, options_, arena_.span().subspan(arena_used_)));
}

wire::PayloadInfo FrameWriter::encode_hole(std::uint32_t length) {
  return keep(wire::encode_zeroes(length, options_.checksum, arena_.span().subspan(arena_used_)));
}

void FrameWriter::put(std::size_t header_bytes) {
  buffers_.emplace_back(headers_.data() + header_used_, header_bytes);
  header_used_ += header_bytes;
  batch_bytes_ += header_bytes;
  ++frames_;
}

void FrameWriter::put_payload() {
  buffers_.emplace_back(payload_.data(), payload_.size());
  batch_bytes_ += payload_.size();
}

void FrameWriter::took(std::size_t bytes) {
  while (unsent_ < buffers_.size() && bytes >= buffers_[unsent_].size())
    bytes -= buffers_[unsent_++].size();
  if (unsent_ < buffers_.size()) buffers_[unsent_] += bytes;
}

void FrameWriter::clear() {
  buffers_.clear();
  unsent_ = frames_ = header_used_ = arena_used_ = batch_bytes_ = 0;
}

Result<void> FrameWriter::try_send() {
  while (!all_sent()) {
    Result<std::size_t> sent = stream_.try_write(unsent());
    if (!sent) return std::move(sent).error();
    if (*sent == 0) return {};
    took(*sent);
  }
  clear();
  return {};
}

Awaitable<Result<void>> FrameWriter::send() {
  Result<void> sent = try_send();
  while (sent && !all_sent()) {
    Result<std::size_t> more = co_await stream_.write_some(unsent());
    if (!more) {
      sent = std::move(more).error();
    } else {
      took(*more);
    }
  }
  clear();
  co_return sent;
}

}  // namespace hast::engine
