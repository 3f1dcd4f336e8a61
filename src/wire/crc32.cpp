#include "crc32.hpp"

#include <zlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hast::wire {
namespace {

/// `crc` is that of what came before, as zlib counts.
std::uint32_t by_table(std::uint32_t crc, ConstByteSpan bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

#if defined(__x86_64__)

// V. Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction",
// Intel 2009: four lanes of 16 bytes are multiplied past each other ("folded"), then joined, then
// reduced. The constants are powers of x modulo the bit-reflected polynomial, given there.
#define HAST_PCLMUL __attribute__((target("pclmul,sse4.1"), always_inline)) inline

HAST_PCLMUL __m128i load(const std::byte* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

HAST_PCLMUL __m128i fold(__m128i lane, __m128i constants, __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(lane, constants, 0x00);
  const __m128i high = _mm_clmulepi64_si128(lane, constants, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/// 128 bits to the 32 of the checksum: two folds to 64, then Barrett's reduction.
HAST_PCLMUL std::uint32_t reduce(__m128i lane, __m128i by_16) {
  const __m128i by_4 = _mm_set_epi64x(0, 0x163cd6124);
  const __m128i polynomial = _mm_set_epi64x(0x1f7011641, 0x1db710641);
  const __m128i words = _mm_set_epi32(0, -1, 0, -1);
  lane = _mm_xor_si128(_mm_srli_si128(lane, 8), _mm_clmulepi64_si128(lane, by_16, 0x10));
  lane = _mm_xor_si128(_mm_srli_si128(lane, 4),
                       _mm_clmulepi64_si128(_mm_and_si128(lane, words), by_4, 0x00));
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(lane, words), polynomial, 0x10);
  quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, words), polynomial, 0x00);
  return static_cast<std::uint32_t>(_mm_extract_epi32(_mm_xor_si128(lane, quotient), 1));
}

constexpr std::size_t kLane = 16;
constexpr std::size_t kRound = 4 * kLane;

/// A multiple of kLane, at least kRound.
__attribute__((target("pclmul,sse4.1"))) std::uint32_t by_folding(ConstByteSpan bytes) {
  const __m128i by_64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
  const __m128i by_16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  const std::byte* from = bytes.data();
  std::size_t left = bytes.size() - kRound;
  __m128i a = _mm_xor_si128(load(from), _mm_cvtsi32_si128(-1));
  __m128i b = load(from + kLane);
  __m128i c = load(from + 2 * kLane);
  __m128i d = load(from + 3 * kLane);
  for (from += kRound; left >= kRound; from += kRound, left -= kRound) {
    a = fold(a, by_64, load(from));
    b = fold(b, by_64, load(from + kLane));
    c = fold(c, by_64, load(from + 2 * kLane));
    d = fold(d, by_64, load(from + 3 * kLane));
  }
  a = fold(fold(fold(a, by_16, b), by_16, c), by_16, d);
  for (; left > 0; from += kLane, left -= kLane) a = fold(a, by_16, load(from));
  return ~reduce(a, by_16);
}

bool can_fold() {
  static const bool has = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  return has;
}

#endif

}  // namespace

std::uint32_t crc32_of(ConstByteSpan bytes) {
#if defined(__x86_64__)
  if (bytes.size() >= kRound && can_fold()) {
    const std::size_t folded = bytes.size() / kLane * kLane;
    const std::uint32_t crc = by_folding(bytes.first(folded));
    return folded == bytes.size() ? crc : by_table(crc, bytes.subspan(folded));
  }
#endif
  return by_table(0, bytes);
}

}  // namespace hast::wire
