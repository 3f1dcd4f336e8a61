#include "hast/base/units.hpp"

#include <charconv>

namespace hast {
namespace {

// The number's base by its prefix, as strtoumax(3) with base 0 reads it; the prefix is removed.
// A lone "0" stays decimal, and "0x" needs a digit behind it.
int take_base(std::string_view& text) {
  if (text.size() >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    text.remove_prefix(2);
    return 16;
  }
  return text.size() >= 2 && text[0] == '0' ? 8 : 10;
}

std::optional<unsigned> shift_of(char suffix) {
  constexpr std::string_view kSuffixes = "bkmgtpe";
  const char lower =
      suffix >= 'A' && suffix <= 'Z' ? static_cast<char>(suffix - 'A' + 'a') : suffix;
  const std::size_t at = kSuffixes.find(lower);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned>(10 * at);
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const int base = take_base(text);
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, base);
  if (error != std::errc{}) return std::nullopt;
  if (rest == end) return number;
  const std::optional<unsigned> shift = shift_of(*rest);
  if (!shift || rest + 1 != end) return std::nullopt;
  if ((number << *shift) >> *shift != number) return std::nullopt;
  return number << *shift;
}

// Three digits are the room there is; a value whose rounding would need a fourth is scaled once
// more, and below ten one decimal is shown.
std::string humanize_bytes(std::uint64_t bytes) {
  constexpr std::string_view kPrefixes = " KMGTPE";
  constexpr std::uint64_t kRounding = 512;
  constexpr std::uint64_t kTenthBelowTen = 973;  // 0.95 * 1024: rounds up to the next unit
  std::uint64_t whole = bytes;
  std::uint64_t rest = 0;  // of 1024
  std::size_t scale = 0;
  while (whole > 999 || (whole == 999 && rest >= kRounding)) {
    rest = whole % 1024;
    whole /= 1024;
    ++scale;
  }
  std::string text;
  if (scale > 0 && (whole < 9 || (whole == 9 && rest < kTenthBelowTen))) {
    const std::uint64_t tenths = whole * 10 + (rest * 10 + kRounding) / 1024;
    text = std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10);
  } else {
    text = std::to_string(whole + (rest + kRounding) / 1024);
  }
  if (scale > 0) text += kPrefixes[scale];
  return text + 'B';
}

}  // namespace hast
