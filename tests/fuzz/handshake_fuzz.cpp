// Any list as each message of the handshake: refused, or a value within its bounds that encodes to
// a message with the same meaning.
#include <array>

#include "hast/base/assert.hpp"
#include "hast/wire/handshake.hpp"

using namespace hast;
using namespace hast::wire;

namespace {

/// Hands the list of `message`, as we would send it, to `check`.
template <class Message, class Check>
void check_encoding(const Message& message, Check check) {
  std::array<std::byte, kMaxEncodedBytes> frame;
  const Result<std::size_t> size = encode(message, kProtocolVersion, frame);
  HAST_ASSERT(size.has_value());
  const auto nv = NvReader::parse(ConstByteSpan(frame).first(*size).subspan(kFrameHeaderBytes));
  HAST_ASSERT(nv.has_value());
  check(*nv);
}

void check_first(const NvReader& nv) {
  if (const auto hello = decode_first_hello(nv)) {
    HAST_ASSERT(hello->version != 0 && hello->resource.size() <= kMaxResourceName);
    check_encoding(*hello, [&](const NvReader& again) {
      HAST_ASSERT(decode_first_hello(again)->resource == hello->resource);
      HAST_ASSERT(decode_first_hello(again)->version == hello->version);
    });
  }
  const auto reply = decode_first_reply(nv);
  if (!reply) {
    HAST_ASSERT(reply.error().detail.size() <= kMaxText);
    return;
  }
  HAST_ASSERT(reply->version >= 1 && reply->version <= kProtocolVersion);
  check_encoding(*reply, [&](const NvReader& again) {
    HAST_ASSERT(decode_first_reply(again)->token == reply->token);
  });
}

void check_second(const NvReader& nv) {
  if (const auto hello = decode_second_hello(nv)) {
    HAST_ASSERT(is_second_hello(nv));
    check_encoding(*hello, [&](const NvReader& again) {
      const auto same = decode_second_hello(again);
      HAST_ASSERT(same && same->token == hello->token && same->virgin == hello->virgin);
      HAST_ASSERT(same->resuid == hello->resuid && same->localcnt == hello->localcnt);
    });
  }
  if (const auto reply = decode_second_reply(nv)) {
    HAST_ASSERT(reply->datasize > 0 && reply->extentsize > 0);
    check_encoding(*reply, [&](const NvReader& again) {
      const auto same = decode_second_reply(again);
      HAST_ASSERT(same && same->errmsg == reply->errmsg && same->mapsize == reply->mapsize);
      HAST_ASSERT(same->source == reply->source && same->virgin == reply->virgin);
      HAST_ASSERT(same->payload.size_bytes == reply->payload.size_bytes);
    });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto nv = NvReader::parse(ConstByteSpan(reinterpret_cast<const std::byte*>(data), size));
  if (!nv) return 0;
  check_first(*nv);
  check_second(*nv);
  return 0;
}
