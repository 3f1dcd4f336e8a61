#include "hast/base/utf8.hpp"

#include "support/catch.hpp"

using hast::utf8_sequence_bytes;

TEST_CASE("well-formed sequences have their length") {
  CHECK(utf8_sequence_bytes("a") == 1);
  CHECK(utf8_sequence_bytes("\xc3\xa9x") == 2);
  CHECK(utf8_sequence_bytes("\xe2\x82\xac") == 3);
  CHECK(utf8_sequence_bytes("\xf0\x9f\x98\x80") == 4);
  CHECK(utf8_sequence_bytes("\xf4\x8f\xbf\xbf") == 4);  // U+10FFFF, the last one
}

TEST_CASE("nothing else is a sequence") {
  CHECK(utf8_sequence_bytes("") == 0);
  CHECK(utf8_sequence_bytes("\x80") == 0);              // continuation without lead
  CHECK(utf8_sequence_bytes("\xc0\xaf") == 0);          // overlong '/'
  CHECK(utf8_sequence_bytes("\xe0\x80\xaf") == 0);      // overlong, three bytes
  CHECK(utf8_sequence_bytes("\xf0\x80\x80\xaf") == 0);  // overlong, four bytes
  CHECK(utf8_sequence_bytes("\xed\xa0\x80") == 0);      // surrogate
  CHECK(utf8_sequence_bytes("\xf4\x90\x80\x80") == 0);  // beyond U+10FFFF
  CHECK(utf8_sequence_bytes("\xe2\x82") == 0);          // cut short
  CHECK(utf8_sequence_bytes("\xc3(") == 0);
  CHECK(utf8_sequence_bytes("\xff") == 0);
}
