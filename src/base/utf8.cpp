#include "hast/base/utf8.hpp"

#include <cstdint>

namespace hast {
namespace {

struct Lead {
  std::size_t bytes = 0;     // of the whole sequence, 0: no lead byte
  std::uint8_t low = 0x80;   // bounds of the second byte: they exclude overlong forms,
  std::uint8_t high = 0xbf;  // surrogates and what lies beyond U+10FFFF
};

Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte >= 0xc2 && byte <= 0xdf) return {2};
  if (byte == 0xe0) return {3, 0xa0};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return {3};
  if (byte == 0xf0) return {4, 0x90};
  if (byte >= 0xf1 && byte <= 0xf3) return {4};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {};
}

}  // namespace

std::size_t utf8_sequence_bytes(std::string_view text) {
  if (text.empty()) return 0;
  const Lead lead = lead_of(static_cast<std::uint8_t>(text[0]));
  if (lead.bytes > text.size()) return 0;
  for (std::size_t i = 1; i < lead.bytes; ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const bool second = i == 1;
    if (byte < (second ? lead.low : 0x80) || byte > (second ? lead.high : 0xbf)) return 0;
  }
  return lead.bytes;
}

}  // namespace hast
