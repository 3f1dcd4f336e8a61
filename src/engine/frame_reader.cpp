#include "hast/engine/frame_reader.hpp"

#include <algorithm>
#include <cstring>

#include "hast/base/turn.hpp"

namespace hast::engine {

namespace {
constexpr std::size_t kShortRead = 4096;
/// Eight frames with 4 KiB each: a secondary writes and answers them while the next arrive.
constexpr std::size_t kLongRead = 34 * 1024;
}  // namespace

FrameReader::FrameReader(port::Stream& stream, std::size_t buffer_bytes)
    : stream_(stream), buffer_(buffer_bytes) {
  HAST_ASSERT(buffer_bytes >= wire::kFrameHeaderBytes + wire::kMaxNvBytes);
}

FrameReader::FrameReader(port::Stream& stream, TurnEnd& turn) : FrameReader(stream) {
  turn_ = &turn;
}

/// Where the stream is read to. Behind a large payload there is probably another one: its frame is
/// read with little of its bytes, so that the rest need not be copied from here to its place.
ByteSpan FrameReader::free_space() {
  if (begin_ == end_) begin_ = end_ = 0;
  const std::size_t most = std::max(payloads_are_large_ ? kShortRead : kLongRead, wanted_);
  if (end_ + most > buffer_.size()) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, buffered());
    end_ -= begin_;
    begin_ = 0;
  }
  return buffer_.span().subspan(end_).first(std::min(buffer_.size() - end_, most));
}

/// 0 when it has to be waited for, or when others should have their turn.
std::size_t FrameReader::read_at_once(ByteSpan into, ByteSpan surplus) {
  if (turn_ == nullptr || !payloads_are_large_ || taken_in_turn_ >= kTurnBytes) return 0;
  const std::size_t got = stream_.try_read(into, surplus);
  taken_in_turn_ += got;
  return got;
}

void FrameReader::wait_begins() {
  taken_in_turn_ = 0;
  if (turn_ != nullptr) turn_->close();
}

void FrameReader::wait_ends() {
  if (turn_ != nullptr) turn_->open();
}

Awaitable<Result<void>> FrameReader::more() {
  const ByteSpan into = free_space();
  std::size_t count = read_at_once(into, {});
  if (count == 0) {
    wait_begins();
    Result<std::size_t> got = co_await stream_.read_some(into);
    wait_ends();
    if (!got) co_return std::move(got).error();
    count = *got;
  }
  end_ += count;
  co_return Result<void>{};
}

std::optional<Result<Frame>> FrameReader::buffered_frame() {
  wanted_ = wire::kFrameHeaderBytes;
  if (buffered() < wanted_) return std::nullopt;
  Result<wire::FrameHeader> header = wire::decode_frame_header(
      ConstByteSpan(buffer_.span()).subspan(begin_, wire::kFrameHeaderBytes));
  if (!header) return std::move(header).error();
  wanted_ += header->nv_bytes;
  if (buffered() < wanted_) return std::nullopt;
  Result<NvReader> nv = NvReader::parse(
      ConstByteSpan(buffer_.span()).subspan(begin_ + wire::kFrameHeaderBytes, header->nv_bytes));
  begin_ += wanted_;
  if (!nv) return std::move(nv).error();
  return Frame{header->version, *nv};
}

Awaitable<Result<Frame>> FrameReader::next() {
  for (;;) {
    std::optional<Result<Frame>> frame = buffered_frame();
    if (frame) co_return *std::move(frame);
    if (Result<void> got = co_await more(); !got) co_return std::move(got).error();
  }
}

std::size_t FrameReader::take_buffered(ByteSpan into) {
  const std::size_t count = std::min(buffered(), into.size());
  std::memcpy(into.data(), buffer_.data() + begin_, count);
  begin_ += count;
  return count;
}

Awaitable<Result<void>> FrameReader::read_exactly(ByteSpan into) {
  payloads_are_large_ = into.size() >= kLargePayloadBytes;
  into = into.subspan(take_buffered(into));
  wanted_ = wire::kFrameHeaderBytes;
  while (!into.empty()) {
    const ByteSpan surplus = free_space();
    std::size_t count = read_at_once(into, surplus);
    if (count == 0) {
      wait_begins();
      Result<std::size_t> got = co_await stream_.read_into(into, surplus);
      wait_ends();
      if (!got) co_return std::move(got).error();
      count = *got;
    }
    const std::size_t placed = std::min(count, into.size());
    end_ += count - placed;
    into = into.subspan(placed);
  }
  co_return Result<void>{};
}

/// Everything about a payload that can be judged before its bytes are there.
Result<void> FrameReader::check(const wire::PayloadInfo& info, ByteSpan into) {
  if (info.compression == Compression::none && info.size_bytes != into.size())
    return Error{Errc::malformed, 0, "a payload has another length than its message says"};
  // Never more than it expands to: checked before anything is allocated (INV-9).
  if (info.size_bytes > into.size())
    return Error{Errc::too_large, 0, "a compressed payload is larger than what it holds"};
  return {};
}

Result<void> FrameReader::buffered_payload(const wire::PayloadInfo& info, ByteSpan into) {
  HAST_ASSERT(has_buffered(info.size_bytes));
  if (Result<void> checked = check(info, into); !checked) return checked;
  const ConstByteSpan bytes = ConstByteSpan(buffer_.span()).subspan(begin_, info.size_bytes);
  begin_ += info.size_bytes;
  payloads_are_large_ = info.size_bytes >= kLargePayloadBytes;
  return wire::decode_payload(info, bytes, into);
}

Awaitable<Result<void>> FrameReader::payload(wire::PayloadInfo info, ByteSpan into) {
  if (has_buffered(info.size_bytes)) co_return buffered_payload(info, into);
  if (Result<void> checked = check(info, into); !checked) co_return checked;
  ByteSpan place = into;
  if (info.compression != Compression::none) {
    packed_.resize(std::max<std::size_t>(packed_.size(), info.size_bytes));
    place = ByteSpan(packed_).first(info.size_bytes);
  }
  if (Result<void> got = co_await read_exactly(place); !got) co_return got;
  co_return wire::decode_payload(info, place, into);
}

Awaitable<Result<void>> FrameReader::drain(std::uint64_t bytes) {
  while (bytes > 0) {
    const std::size_t step = std::min<std::uint64_t>(bytes, kBufferBytes / 2);
    if (buffered() == 0) {
      if (Result<void> got = co_await more(); !got) co_return got;
    }
    const std::size_t skipped = std::min(buffered(), step);
    begin_ += skipped;
    bytes -= skipped;
  }
  co_return Result<void>{};
}

}  // namespace hast::engine
