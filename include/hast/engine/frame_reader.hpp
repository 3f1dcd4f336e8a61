// Reads frames from a stream through one large buffer: many frames a read, payloads straight to
// their place once the buffered part is used up. A short read is never taken as whole (INV-8).
// Owned by the one coroutine that reads the stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "hast/core/buffer.hpp"
#include "hast/port/net.hpp"
#include "hast/wire/frame.hpp"
#include "hast/wire/payload.hpp"

namespace hast::engine {

using port::Awaitable;

struct Frame {
  std::uint8_t version;
  NvReader nv;  // views into the reader's buffer: valid until the next read
};

class FrameReader {
 public:
  static constexpr std::size_t kBufferBytes = 256 * 1024;

  explicit FrameReader(port::Stream& stream, std::size_t buffer_bytes = kBufferBytes);

  Awaitable<Result<Frame>> next();
  /// The payload a frame announced, verified and expanded: `into` comes out exactly full.
  Awaitable<Result<void>> payload(wire::PayloadInfo info, ByteSpan into);
  /// Skips the payload of a message nobody wants.
  Awaitable<Result<void>> drain(std::uint64_t bytes);

 private:
  Awaitable<Result<void>> buffer_at_least(std::size_t bytes);
  Awaitable<Result<void>> read_exactly(ByteSpan into);
  std::size_t buffered() const { return end_ - begin_; }

  port::Stream& stream_;
  core::AlignedBuffer buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::vector<std::byte> packed_;  // a compressed payload before it is expanded
};

}  // namespace hast::engine
