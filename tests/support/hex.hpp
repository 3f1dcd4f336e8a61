// Bytes written as hexadecimal digits with any white space between them, for golden vectors.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

namespace hast::test {

inline std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  int high = -1;
  for (const char c : text) {
    if (c == ' ' || c == '\n') continue;
    const std::size_t digit = std::string_view("0123456789abcdef").find(c);
    REQUIRE(digit != std::string_view::npos);
    if (high < 0) {
      high = static_cast<int>(digit);
    } else {
      bytes.push_back(static_cast<std::byte>(high * 16 + static_cast<int>(digit)));
      high = -1;
    }
  }
  REQUIRE(high < 0);
  return bytes;
}

}  // namespace hast::test
