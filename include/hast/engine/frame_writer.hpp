// Gathers frames and payloads into few sends. A batch refers to payload bytes where they are; what
// a checksum or a compression produces lives in the batch's own arena. Used by the one coroutine
// that writes the stream, and by others while it has nothing to do: add frames while they fit, then
// try_send() and, if something is left, send().
#pragma once

#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hast/core/buffer.hpp"
#include "hast/port/net.hpp"
#include "hast/wire/frame.hpp"
#include "hast/wire/payload.hpp"
#include "hast/wire/request.hpp"

namespace hast::engine {

using port::Awaitable;

/// Sends everything, however small the pieces the stream takes.
Awaitable<Result<void>> write_all(port::Stream* stream,
                                  std::vector<boost::asio::const_buffer>* buffers);

class FrameWriter {
 public:
  static constexpr std::size_t kMaxFrames = 64;
  static constexpr std::size_t kMaxBatchBytes = 1024 * 1024;

  FrameWriter(port::Stream& stream, wire::PayloadOptions options, std::uint8_t version,
              std::size_t max_payload_bytes);

  void set_options(wire::PayloadOptions options) { options_ = options; }
  std::uint8_t version() const { return version_; }

  /// False: send() first.
  bool has_room() const;
  bool empty() const { return frames_ == 0; }

  /// Adds `message` (wire::Request or wire::Reply) and, if `data` is not empty, its payload. `data`
  /// stays put until send() has ended.
  template <class Message>
  void add(Message message, ConstByteSpan data) {
    if (!data.empty()) message.payload = encode_data(data);
    put(wire::encode(message, version_, header_space()));
    if (!data.empty()) put_payload();
  }
  /// A block of zeros, which no peer needs to see as bytes.
  template <class Message>
  void add_zeroes(Message message, std::uint32_t length) {
    message.payload = encode_hole(length);
    put(wire::encode(message, version_, header_space()));
    put_payload();
  }

  /// Sends what the stream takes at once; all_sent() afterwards, or send() has to wait.
  Result<void> try_send();
  Awaitable<Result<void>> send();
  bool all_sent() const { return unsent_ == buffers_.size(); }

 private:
  wire::PayloadInfo encode_data(ConstByteSpan data);
  wire::PayloadInfo encode_hole(std::uint32_t length);
  wire::PayloadInfo keep(const wire::EncodedPayload& payload);
  ByteSpan header_space();
  void put(std::size_t header_bytes);
  void put_payload();
  void took(std::size_t bytes);
  std::span<const boost::asio::const_buffer> unsent() const {
    return std::span(buffers_).subspan(unsent_);
  }
  void clear();

  port::Stream& stream_;
  wire::PayloadOptions options_;
  std::uint8_t version_;
  std::size_t max_payload_bytes_;
  // Address space more than memory: what no batch touches is never resident.
  core::AlignedBuffer headers_;
  core::AlignedBuffer arena_;
  std::vector<boost::asio::const_buffer> buffers_;
  std::size_t unsent_ = 0;  // of buffers_: the first that has not left entirely
  ConstByteSpan payload_;
  std::size_t frames_ = 0;
  std::size_t header_used_ = 0;
  std::size_t arena_used_ = 0;
  std::size_t batch_bytes_ = 0;
};

}  // namespace hast::engine
