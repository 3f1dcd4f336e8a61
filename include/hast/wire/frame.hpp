// The frame around every message: 5 bytes of header, then an nv list, then, if the list says so, a
// payload (docs/protocol.md, Header). Bounds live here: nothing is allocated from a length a peer
// sent.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hast/base/nv.hpp"

namespace hast::wire {

/// The highest version spoken here, and the first that only hast speaks (docs/protocol.md).
inline constexpr std::uint8_t kProtocolVersion = 3;
inline constexpr std::uint8_t kNativeVersion = 3;
/// The highest that an original can read: in what is said before a version was agreed on.
inline constexpr std::uint8_t kOriginalVersion = 2;
inline constexpr std::size_t kFrameHeaderBytes = 5;
/// The largest nv list accepted from a peer; the largest legal one is below 600 bytes.
inline constexpr std::uint32_t kMaxNvBytes = 64 * 1024;
/// Room that every encode() of this room needs at most, header included.
inline constexpr std::size_t kMaxEncodedBytes = 1024;
/// The largest READ or WRITE accepted: what a 64-bit original of FreeBSD 13 or newer sends.
inline constexpr std::uint32_t kMaxIoBytes = 1024 * 1024;

struct FrameHeader {
  std::uint8_t version = kProtocolVersion;
  std::uint32_t nv_bytes = 0;
};

/// Exactly kFrameHeaderBytes. Errors: version_mismatch, malformed (zero), too_large.
Result<FrameHeader> decode_frame_header(ConstByteSpan bytes);

/// Builds a frame in a caller's buffer: append to nv(), then finish().
class FrameBuilder {
 public:
  explicit FrameBuilder(ByteSpan out);

  NvWriter& nv() { return nv_; }
  /// Writes the header and returns the length of the whole frame. Error: too_large, if it did not
  /// fit or a field cannot be represented.
  Result<std::size_t> finish(std::uint8_t version);

 private:
  ByteSpan out_;
  NvWriter nv_;
};

}  // namespace hast::wire
