#include "hast/base/units.hpp"

#include <limits>

#include "support/catch.hpp"

using namespace hast;

namespace {
constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
}

TEST_CASE("a size is a number with at most one suffix, in either case") {
  CHECK(parse_size("0") == 0U);
  CHECK(parse_size("4096") == 4096U);
  CHECK(parse_size("4096b") == 4096U);
  CHECK(parse_size("128k") == 128 * kKiB);
  CHECK(parse_size("128K") == 128 * kKiB);
  CHECK(parse_size("2m") == 2 * kMiB);
  CHECK(parse_size("1G") == kGiB);
  CHECK(parse_size("3t") == 3 * 1024 * kGiB);
  CHECK(parse_size("1p") == kGiB * kMiB);
  CHECK(parse_size("15e") == 15 * kGiB * kGiB);
}

TEST_CASE("a size may be octal or hexadecimal, as strtoumax reads it with base 0") {
  CHECK(parse_size("0x10k") == 16 * kKiB);
  CHECK(parse_size("0X1f") == 31U);
  CHECK(parse_size("010") == 8U);
  CHECK(parse_size("010m") == 8 * kMiB);
  CHECK(parse_size("00") == 0U);
  CHECK(parse_size("0k") == 0U);
}

TEST_CASE("a size that overflows 64 bits is refused") {
  CHECK(parse_size("18446744073709551615") == kMax);
  CHECK_FALSE(parse_size("18446744073709551616"));
  CHECK_FALSE(parse_size("16e"));
  CHECK_FALSE(parse_size("17179869184g"));
  CHECK(parse_size("17179869183g") == 17179869183U * kGiB);
}

TEST_CASE("a size that is no size is refused") {
  for (std::string_view text : {"", " ", "k", "0x", "0xk", "-1", "+1", " 1", "1 ", "1.5m", "2mm",
                                "2x", "2mb", "m2", "08", "1,000"}) {
    INFO(std::string(text));
    CHECK_FALSE(parse_size(text));
  }
}

TEST_CASE("sizes are shown to people as the original shows them") {
  CHECK(humanize_bytes(0) == "0B");
  CHECK(humanize_bytes(512) == "512B");
  CHECK(humanize_bytes(999) == "999B");
  CHECK(humanize_bytes(1000) == "1.0KB");
  CHECK(humanize_bytes(4096) == "4.0KB");
  CHECK(humanize_bytes(131072) == "128KB");
  CHECK(humanize_bytes(2097152) == "2.0MB");
  CHECK(humanize_bytes(16772608) == "16MB");
  CHECK(humanize_bytes(67104256) == "64MB");
  CHECK(humanize_bytes(134217728) == "128MB");
  CHECK(humanize_bytes(1073737216) == "1.0GB");
  CHECK(humanize_bytes(10737410560) == "10GB");
  CHECK(humanize_bytes(500107857920) == "466GB");
}

TEST_CASE("rounding moves on to the next unit instead of showing a fourth digit") {
  CHECK(humanize_bytes(999 * kKiB + 511) == "999KB");
  CHECK(humanize_bytes(999 * kKiB + 512) == "1.0MB");
  CHECK(humanize_bytes(10188) == "9.9KB");
  CHECK(humanize_bytes(10189) == "10KB");
  CHECK(humanize_bytes(kMax) == "16EB");
}

TEST_CASE("a power of two is one bit") {
  CHECK(is_power_of_two(1));
  CHECK(is_power_of_two(4096));
  CHECK(is_power_of_two(std::uint64_t{1} << 63));
  CHECK_FALSE(is_power_of_two(0));
  CHECK_FALSE(is_power_of_two(3));
  CHECK_FALSE(is_power_of_two(kMax));
}

TEST_CASE("rounding and dividing upwards meet at multiples") {
  CHECK(round_up(0, 512) == 0);
  CHECK(round_up(1, 512) == 512);
  CHECK(round_up(512, 512) == 512);
  CHECK(divide_up(0, 512) == 0);
  CHECK(divide_up(513, 512) == 2);
  CHECK(divide_up(kMax, 2) == std::uint64_t{1} << 63);
}

TEST_CASE("a range is within a limit only without wrapping around") {
  CHECK(range_within(0, 0, 0));
  CHECK(range_within(0, 10, 10));
  CHECK(range_within(10, 0, 10));
  CHECK_FALSE(range_within(1, 10, 10));
  CHECK_FALSE(range_within(11, 0, 10));
  CHECK_FALSE(range_within(kMax, 2, 10));
  CHECK_FALSE(range_within(2, kMax, 10));
  CHECK(range_within(kMax - 1, 1, kMax));
}
