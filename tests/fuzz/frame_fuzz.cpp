// Any bytes as a stream from a peer: frames one after the other, each list read as every message it
// might be, payloads skipped as they say. The first error ends it, as it ends a connection (INV-9).
#include "hast/base/assert.hpp"
#include "hast/wire/frame.hpp"
#include "hast/wire/handshake.hpp"
#include "hast/wire/request.hpp"

using namespace hast;
using namespace hast::wire;

namespace {

/// How many bytes of payload follow; nothing if no decoder makes sense of the list.
std::optional<std::uint64_t> payload_after(const NvReader& nv) {
  if (const auto request = decode_request(nv)) return request->payload.size_bytes;
  if (const auto reply = decode_reply(nv)) return reply->payload.size_bytes;
  if (const auto answer = decode_second_reply(nv)) return answer->payload.size_bytes;
  if (is_second_hello(nv) ? decode_second_hello(nv).has_value()
                          : decode_first_hello(nv).has_value())
    return 0;
  if (decode_first_reply(nv)) return 0;
  return std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader stream(ConstByteSpan(reinterpret_cast<const std::byte*>(data), size));
  for (;;) {
    const Result<FrameHeader> header = decode_frame_header(stream.take(kFrameHeaderBytes));
    if (!header) return 0;
    HAST_ASSERT(header->nv_bytes > 0 && header->nv_bytes <= kMaxNvBytes);
    const ConstByteSpan list = stream.take(header->nv_bytes);
    if (stream.failed()) return 0;
    const Result<NvReader> nv = NvReader::parse(list);
    if (!nv) return 0;
    const std::optional<std::uint64_t> payload = payload_after(*nv);
    if (!payload) return 0;
    stream.take(*payload);
  }
}
