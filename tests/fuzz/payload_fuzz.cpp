// Any bytes as a payload with any algorithms and any destination, and any data through the pipeline
// and back.
#include <algorithm>
#include <vector>

#include "hast/base/assert.hpp"
#include "hast/wire/payload.hpp"

using namespace hast;
using namespace hast::wire;

namespace {

using Bytes = std::vector<std::byte>;

void check_receiving(PayloadInfo info, ConstByteSpan payload, std::size_t destination_bytes) {
  Bytes into(destination_bytes, std::byte{0xee});
  const Bytes untouched = into;
  const Result<void> done = decode_payload(info, payload, into);
  if (!done && done.error().code == Errc::checksum_mismatch) HAST_ASSERT(into == untouched);
  if (done && info.compression == Compression::none) HAST_ASSERT(std::ranges::equal(payload, into));
  if (done && info.compression == Compression::hole)
    HAST_ASSERT(std::ranges::all_of(into, [](std::byte byte) { return byte == std::byte{0}; }));
}

void check_sending(ConstByteSpan data, const PayloadOptions& options) {
  Bytes scratch(std::max<std::size_t>(data.size(), 8));
  const EncodedPayload sent = encode_payload(data, options, scratch);
  HAST_ASSERT(sent.bytes.size() <= std::max<std::size_t>(data.size(), 4));
  Bytes into(data.size(), std::byte{0xee});
  HAST_ASSERT(decode_payload(sent.info, sent.bytes, into));
  HAST_ASSERT(std::ranges::equal(data, into));
}

}  // namespace

// Input: destination u32, compression u8, checksum u8 (its high bit: compute the hash), a hash, and
// the payload.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader input(ConstByteSpan(reinterpret_cast<const std::byte*>(data), size));
  const std::size_t destination_bytes = input.le<std::uint32_t>() % (256 * 1024);
  PayloadInfo info;
  info.compression = static_cast<Compression>(input.le<std::uint8_t>() % 3);
  const auto checksum = input.le<std::uint8_t>();
  info.checksum = static_cast<Checksum>(checksum % 0x80 % 3);
  const ConstByteSpan hash = input.take(hash_bytes(info.checksum));
  if (input.failed()) return 0;
  std::copy(hash.begin(), hash.end(), info.hash.begin());
  const ConstByteSpan payload = input.take(input.remaining());
  info.size_bytes = static_cast<std::uint32_t>(payload.size());
  if (checksum >= 0x80) info.hash = hash_of(info.checksum, payload);
  check_receiving(info, payload, destination_bytes);
  check_sending(payload, {info.checksum, info.compression});
  return 0;
}
