// Reads frames from a stream through one large buffer: many frames a read, payloads straight to
// their place once the buffered part is used up. A short read is never taken as whole (INV-8).
// Owned by the one coroutine that reads the stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "hast/core/buffer.hpp"
#include "hast/engine/turn_end.hpp"
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
  static constexpr std::size_t kBufferBytes = 128 * 1024;

  explicit FrameReader(port::Stream& stream, std::size_t buffer_bytes = kBufferBytes);
  /// Of a turn that its owner has open: it is ended before each wait and opened again after it.
  FrameReader(port::Stream& stream, TurnEnd& turn);

  Awaitable<Result<Frame>> next();
  /// The payload a frame announced, verified and expanded: `into` comes out exactly full.
  Awaitable<Result<void>> payload(wire::PayloadInfo info, ByteSpan into);

  // The same without waiting, for whoever handles many frames in a row.
  /// The next frame if it is buffered whole, or what is wrong with it; nothing: more() first.
  std::optional<Result<Frame>> buffered_frame();
  /// Reads on, at least one byte.
  Awaitable<Result<void>> more();
  bool has_buffered(std::size_t bytes) const { return buffered() >= bytes; }
  /// A payload of which has_buffered(info.size_bytes).
  Result<void> buffered_payload(const wire::PayloadInfo& info, ByteSpan into);
  /// Skips the payload of a message nobody wants.
  Awaitable<Result<void>> drain(std::uint64_t bytes);

 private:
  ByteSpan free_space();
  std::size_t read_at_once(ByteSpan into, ByteSpan surplus);
  void wait_begins();
  void wait_ends();
  Awaitable<Result<void>> read_exactly(ByteSpan into);
  std::size_t take_buffered(ByteSpan into);
  static Result<void> check(const wire::PayloadInfo& info, ByteSpan into);
  std::size_t buffered() const { return end_ - begin_; }

  port::Stream& stream_;
  TurnEnd* turn_ = nullptr;
  std::size_t taken_in_turn_ = 0;  // bytes, of large payloads
  core::AlignedBuffer buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t wanted_ = wire::kFrameHeaderBytes;  // of the frame that is not buffered whole
  bool payloads_are_large_ = false;               // the last one was
  std::vector<std::byte> packed_;                 // a compressed payload before it is expanded
};

}  // namespace hast::engine
