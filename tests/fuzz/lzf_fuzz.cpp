// Any bytes as an lz4 stream, which must stay within its buffers, and as an lzf stream, against a
// plain decoder written from the grammar in docs/protocol.md: both refuse, or both expand to the
// same.
#include <optional>
#include <vector>

#include "hast/base/assert.hpp"
#include "hast/wire/compression.hpp"

using namespace hast;

namespace {

using Bytes = std::vector<std::byte>;

/// Nothing if the stream is cut, refers before its start, or exceeds `limit`.
std::optional<Bytes> expand(ByteReader stream, std::size_t limit) {
  Bytes out;
  while (stream.remaining() > 0) {
    const std::size_t control = stream.le<std::uint8_t>();
    if (control < 0x20) {
      const ConstByteSpan literals = stream.take(control + 1);
      out.insert(out.end(), literals.begin(), literals.end());
    } else {
      std::size_t length = (control >> 5) + 2;
      if (control >= 0xe0) length += stream.le<std::uint8_t>();
      const std::size_t distance = ((control & 0x1f) << 8 | stream.le<std::uint8_t>()) + 1;
      if (distance > out.size()) return std::nullopt;
      for (; length > 0; --length) out.push_back(out[out.size() - distance]);
    }
    if (stream.failed() || out.size() > limit) return std::nullopt;
  }
  return out;
}

}  // namespace

// Input: the payload as on the wire, length u32 in front. Lengths above 64 KiB are taken modulo.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes payload(reinterpret_cast<const std::byte*>(data),
                reinterpret_cast<const std::byte*>(data) + size);
  ByteReader stream(payload);
  const std::uint32_t length = stream.le<std::uint32_t>() % (64 * 1024 + 1);
  if (payload.size() >= 4) store_le(payload.data(), length);
  Bytes into(length);
  const Result<void> done = wire::decode_lzf(payload, into);
  const bool is_stream = !stream.failed() && stream.remaining() > 0 && length > 0;
  const std::optional<Bytes> expected = is_stream ? expand(stream, length) : std::nullopt;
  HAST_ASSERT(done.has_value() == (expected && expected->size() == length));
  if (done) HAST_ASSERT(into == *expected);
  (void)wire::decode_lz4(payload, into);
  return 0;
}
