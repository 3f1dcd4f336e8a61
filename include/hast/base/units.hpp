// Sizes in words: "2m" -> 2097152 and 2097152 -> "2.0MB", exactly as the original's tools do
// (config-and-cli §4 and §4.2), and 64-bit arithmetic that cannot wrap (INV-9).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hast {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;

/// expand_number(3): base 0 (decimal, 0x, leading 0), one optional suffix of b k m g t p e in
/// either case. Empty, overflowing or oddly suffixed text is nullopt.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// humanize_number(3) as the original calls it: powers of 1024, one decimal below 10, then "B".
std::string humanize_bytes(std::uint64_t bytes);

constexpr bool is_power_of_two(std::uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

/// Rounds up to a multiple of `unit` (unit > 0). The caller bounds `value`: no wrap is checked.
constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}
constexpr std::uint64_t divide_up(std::uint64_t value, std::uint64_t unit) {
  return value / unit + (value % unit != 0 ? 1 : 0);
}

/// True if [offset, offset+length) lies within [0, limit), whatever the numbers (no overflow).
constexpr bool range_within(std::uint64_t offset, std::uint64_t length, std::uint64_t limit) {
  return length <= limit && offset <= limit - length;
}

}  // namespace hast
