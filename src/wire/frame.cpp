#include "hast/wire/frame.hpp"

#include <algorithm>
#include <string>

namespace hast::wire {

Result<FrameHeader> decode_frame_header(ConstByteSpan bytes) {
  ByteReader in(bytes);
  FrameHeader header;
  header.version = in.le<std::uint8_t>();
  header.nv_bytes = in.le<std::uint32_t>();
  if (in.failed()) return Error{.code = Errc::truncated, .detail = "frame header"};
  if (in.remaining() != 0) return Error{.code = Errc::malformed, .detail = "frame header"};
  if (header.version > kProtocolVersion)
    return Error{.code = Errc::version_mismatch,
                 .detail = "frame of version " + std::to_string(header.version)};
  // The original asserts on an empty list and allocates whatever the length says (INV-9).
  if (header.nv_bytes == 0) return Error{.code = Errc::malformed, .detail = "empty message"};
  if (header.nv_bytes > kMaxNvBytes)
    return Error{.code = Errc::too_large,
                 .detail = "message of " + std::to_string(header.nv_bytes) + " bytes"};
  return header;
}

FrameBuilder::FrameBuilder(ByteSpan out)
    : out_(out), nv_(out.subspan(std::min(out.size(), kFrameHeaderBytes))) {}

Result<std::size_t> FrameBuilder::finish(std::uint8_t version) {
  if (nv_.failed() || nv_.size() == 0 || nv_.size() > kMaxNvBytes)
    return Error{.code = Errc::too_large, .detail = "message does not fit its frame"};
  ByteWriter header(out_);
  header.le(version);
  header.le(static_cast<std::uint32_t>(nv_.size()));
  return kFrameHeaderBytes + nv_.size();
}

}  // namespace hast::wire
