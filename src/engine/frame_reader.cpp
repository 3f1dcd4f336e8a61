#include "hast/engine/frame_reader.hpp"

#include <algorithm>
#include <cstring>

namespace hast::engine {

FrameReader::FrameReader(port::Stream& stream, std::size_t buffer_bytes)
    : stream_(stream), buffer_(buffer_bytes) {
  HAST_ASSERT(buffer_bytes >= wire::kFrameHeaderBytes + wire::kMaxNvBytes);
}

Awaitable<Result<void>> FrameReader::buffer_at_least(std::size_t bytes) {
  if (buffered() >= bytes) co_return Result<void>{};
  if (begin_ + bytes > buffer_.size()) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, buffered());
    end_ -= begin_;
    begin_ = 0;
  }
  while (buffered() < bytes) {
    Result<std::size_t> got = co_await stream_.read_some(buffer_.span().subspan(end_));
    if (!got) co_return std::move(got).error();
    end_ += *got;
  }
  co_return Result<void>{};
}

Awaitable<Result<Frame>> FrameReader::next() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (buffered() < wire::kFrameHeaderBytes) {
    if (Result<void> got = co_await buffer_at_least(wire::kFrameHeaderBytes); !got)
      co_return std::move(got).error();
  }
  Result<wire::FrameHeader> header = wire::decode_frame_header(
      ConstByteSpan(buffer_.span()).subspan(begin_, wire::kFrameHeaderBytes));
  if (!header) co_return std::move(header).error();
  const std::size_t whole = wire::kFrameHeaderBytes + header->nv_bytes;
  if (buffered() < whole) {
    if (Result<void> got = co_await buffer_at_least(whole); !got) co_return std::move(got).error();
  }
  Result<NvReader> nv = NvReader::parse(
      ConstByteSpan(buffer_.span()).subspan(begin_ + wire::kFrameHeaderBytes, header->nv_bytes));
  begin_ += whole;
  if (!nv) co_return std::move(nv).error();
  co_return Frame{header->version, *nv};
}

Awaitable<Result<void>> FrameReader::read_exactly(ByteSpan into) {
  const std::size_t ready = std::min(buffered(), into.size());
  std::memcpy(into.data(), buffer_.data() + begin_, ready);
  begin_ += ready;
  into = into.subspan(ready);
  while (!into.empty()) {
    Result<std::size_t> got = co_await stream_.read_some(into);
    if (!got) co_return std::move(got).error();
    into = into.subspan(*got);
  }
  co_return Result<void>{};
}

Awaitable<Result<void>> FrameReader::payload(wire::PayloadInfo info, ByteSpan into) {
  if (info.compression == Compression::none) {
    if (info.size_bytes != into.size())
      co_return Error{Errc::malformed, 0, "a payload has another length than its message says"};
    if (Result<void> got = co_await read_exactly(into); !got) co_return std::move(got).error();
    co_return wire::decode_payload(info, into, into);
  }
  // Never more than it expands to: checked before anything is allocated (INV-9).
  if (info.size_bytes > into.size())
    co_return Error{Errc::too_large, 0, "a compressed payload is larger than what it holds"};
  packed_.resize(std::max<std::size_t>(packed_.size(), info.size_bytes));
  const ByteSpan packed = ByteSpan(packed_).first(info.size_bytes);
  if (Result<void> got = co_await read_exactly(packed); !got) co_return std::move(got).error();
  co_return wire::decode_payload(info, packed, into);
}

Awaitable<Result<void>> FrameReader::drain(std::uint64_t bytes) {
  while (bytes > 0) {
    const std::size_t step = std::min<std::uint64_t>(bytes, kBufferBytes / 2);
    if (buffered() == 0) {
      begin_ = end_ = 0;
      if (Result<void> got = co_await buffer_at_least(1); !got) co_return std::move(got).error();
    }
    const std::size_t skipped = std::min(buffered(), step);
    begin_ += skipped;
    bytes -= skipped;
  }
  co_return Result<void>{};
}

}  // namespace hast::engine
