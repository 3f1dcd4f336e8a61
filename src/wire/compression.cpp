#include "hast/wire/compression.hpp"

// The library's own header, unlike Debian's, does not say that it is C.
extern "C" {
#if __has_include(<lzf.h>)
#include <lzf.h>
#else
#include <liblzf/lzf.h>
#endif
}

#include <cstring>
#include <limits>

#include "hast/base/assert.hpp"

namespace hast::wire {
namespace {

constexpr std::size_t kLengthBytes = 4;  // the original length, in front of both encodings

Error malformed(const char* what) { return Error{.code = Errc::malformed, .detail = what}; }

}  // namespace

bool is_all_zero(ConstByteSpan data) {
  if (data.empty()) return true;
  // Most data betrays itself at its ends or in the middle, before anything is scanned.
  constexpr std::byte zero{0};
  if (data.front() != zero || data[data.size() / 2] != zero || data.back() != zero) return false;
  // A zero first byte and every byte equal to its neighbour: memcmp does it with vectors.
  return std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0;
}

ConstByteSpan encode_hole(std::uint32_t length, ByteSpan scratch) {
  HAST_ASSERT(scratch.size() >= kHoleBytes);
  store_le(scratch.data(), length);
  return scratch.first(kHoleBytes);
}

ConstByteSpan encode_lzf(ConstByteSpan data, ByteSpan scratch) {
  HAST_ASSERT(scratch.size() >= data.size());
  if (data.size() <= kLzfThresholdBytes || data.size() > std::numeric_limits<std::uint32_t>::max())
    return {};
  const auto length = static_cast<std::uint32_t>(data.size());
  const unsigned packed = lzf_compress(data.data(), length, scratch.data() + kLengthBytes,
                                       length - static_cast<std::uint32_t>(kLzfThresholdBytes));
  if (packed == 0) return {};
  store_le(scratch.data(), length);
  return scratch.first(kLengthBytes + packed);
}

Result<void> decode_hole(ConstByteSpan payload, ByteSpan into) {
  if (payload.size() != kHoleBytes) return malformed("a hole is four bytes");
  if (load_le<std::uint32_t>(payload.data()) != into.size())
    return malformed("a hole of another length than the request");
  if (!into.empty()) std::memset(into.data(), 0, into.size());
  return {};
}

Result<void> decode_lzf(ConstByteSpan payload, ByteSpan into) {
  if (payload.size() <= kLengthBytes || payload.size() > std::numeric_limits<std::uint32_t>::max())
    return malformed("no lzf stream");
  const std::uint32_t length = load_le<std::uint32_t>(payload.data());
  if (length == 0 || length != into.size())
    return malformed("an lzf stream of another length than the request");
  const unsigned expanded =
      lzf_decompress(payload.data() + kLengthBytes,
                     static_cast<unsigned>(payload.size() - kLengthBytes), into.data(), length);
  if (expanded != length) return malformed("lzf stream");
  return {};
}

}  // namespace hast::wire
