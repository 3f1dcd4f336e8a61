#include "hast/wire/compression.hpp"

// The library's own header, unlike Debian's, does not say that it is C.
extern "C" {
#if __has_include(<lzf.h>)
#include <lzf.h>
#else
#include <liblzf/lzf.h>
#endif
}

#include <lz4.h>

#include <cstring>

#include "hast/base/assert.hpp"

namespace hast::wire {
namespace {

constexpr std::size_t kLengthBytes = 4;  // the original length, in front of lzf and lz4

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

namespace {

bool may_pay(ConstByteSpan data) {
  return data.size() > kCompressionThresholdBytes && data.size() <= LZ4_MAX_INPUT_SIZE;
}

ConstByteSpan behind_length(ConstByteSpan data, ByteSpan scratch, std::size_t packed_bytes) {
  if (packed_bytes == 0) return {};
  store_le(scratch.data(), static_cast<std::uint32_t>(data.size()));
  return scratch.first(kLengthBytes + packed_bytes);
}

}  // namespace

ConstByteSpan encode_lzf(ConstByteSpan data, ByteSpan scratch) {
  HAST_ASSERT(scratch.size() >= data.size());
  if (!may_pay(data)) return {};
  const auto length = static_cast<std::uint32_t>(data.size());
  const unsigned packed =
      lzf_compress(data.data(), length, scratch.data() + kLengthBytes,
                   length - static_cast<std::uint32_t>(kCompressionThresholdBytes));
  return behind_length(data, scratch, packed);
}

ConstByteSpan encode_lz4(ConstByteSpan data, ByteSpan scratch) {
  HAST_ASSERT(scratch.size() >= data.size());
  if (!may_pay(data)) return {};
  const auto length = static_cast<int>(data.size());
  const int packed =
      LZ4_compress_default(reinterpret_cast<const char*>(data.data()),
                           reinterpret_cast<char*>(scratch.data() + kLengthBytes), length,
                           length - static_cast<int>(kCompressionThresholdBytes));
  return behind_length(data, scratch, packed > 0 ? static_cast<std::size_t>(packed) : 0);
}

Result<void> decode_hole(ConstByteSpan payload, ByteSpan into) {
  if (payload.size() != kHoleBytes) return malformed("a hole is four bytes");
  if (load_le<std::uint32_t>(payload.data()) != into.size())
    return malformed("a hole of another length than the request");
  if (!into.empty()) std::memset(into.data(), 0, into.size());
  return {};
}

namespace {

/// The stream behind its length, which must be that of `into`. Empty: it is not.
ConstByteSpan stream_for(ConstByteSpan payload, ByteSpan into) {
  if (payload.size() <= kLengthBytes || payload.size() > LZ4_MAX_INPUT_SIZE) return {};
  const std::uint32_t length = load_le<std::uint32_t>(payload.data());
  if (length == 0 || length != into.size() || length > LZ4_MAX_INPUT_SIZE) return {};
  return payload.subspan(kLengthBytes);
}

}  // namespace

Result<void> decode_lzf(ConstByteSpan payload, ByteSpan into) {
  const ConstByteSpan stream = stream_for(payload, into);
  if (stream.empty()) return malformed("no lzf stream of the length that was asked for");
  const unsigned expanded = lzf_decompress(stream.data(), static_cast<unsigned>(stream.size()),
                                           into.data(), static_cast<unsigned>(into.size()));
  if (expanded != into.size()) return malformed("lzf stream");
  return {};
}

Result<void> decode_lz4(ConstByteSpan payload, ByteSpan into) {
  const ConstByteSpan stream = stream_for(payload, into);
  if (stream.empty()) return malformed("no lz4 stream of the length that was asked for");
  const int expanded = LZ4_decompress_safe(
      reinterpret_cast<const char*>(stream.data()), reinterpret_cast<char*>(into.data()),
      static_cast<int>(stream.size()), static_cast<int>(into.size()));
  if (expanded < 0 || static_cast<std::size_t>(expanded) != into.size())
    return malformed("lz4 stream");
  return {};
}

}  // namespace hast::wire
