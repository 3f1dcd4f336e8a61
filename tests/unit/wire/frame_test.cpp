#include "hast/wire/frame.hpp"

#include <vector>

#include "support/catch.hpp"
#include "support/hex.hpp"

using hast::Errc;
using hast::test::from_hex;
using namespace hast::wire;

namespace {

Errc error_of(const char* hex) {
  const auto header = decode_frame_header(from_hex(hex));
  REQUIRE_FALSE(header);
  return header.error().code;
}

}  // namespace

TEST_CASE("a frame header is a version and a little-endian length") {
  const auto header = decode_frame_header(from_hex("02 a2 01 00 00"));
  REQUIRE(header);
  CHECK(header->version == 2);
  CHECK(header->nv_bytes == 0x1a2);
  CHECK(decode_frame_header(from_hex("00 01 00 00 00"))->version == 0);
  CHECK(decode_frame_header(from_hex("01 01 00 00 00"))->version == 1);
}

TEST_CASE("a newer version is refused, whatever else the header says") {
  CHECK(error_of("04 34 00 00 00") == Errc::version_mismatch);
  CHECK(error_of("ff 00 00 00 00") == Errc::version_mismatch);
}

TEST_CASE("lengths of nothing and of more than a message may have are refused") {  // INV-9
  CHECK(error_of("02 00 00 00 00") == Errc::malformed);
  CHECK(error_of("02 01 00 01 00") == Errc::too_large);
  CHECK(error_of("02 ff ff ff ff") == Errc::too_large);
  CHECK(decode_frame_header(from_hex("02 00 00 01 00"))->nv_bytes == kMaxNvBytes);
}

TEST_CASE("a header has five bytes") {
  for (const char* cut : {"", "02", "02 34", "02 34 00", "02 34 00 00"})
    CHECK(error_of(cut) == Errc::truncated);
  CHECK(error_of("02 34 00 00 00 00") == Errc::malformed);
}

TEST_CASE("a built frame has its header in front") {
  std::vector<std::byte> out(64);
  FrameBuilder frame(out);
  frame.nv().u8("cmd", 5);
  const auto size = frame.finish(2);
  REQUIRE(size);
  out.resize(*size);
  CHECK(out == from_hex("02 16 00 00 00"
                        "02 04 01 00 00 00 63 6d 64 00 00 00 00 00 05 00 00 00 00 00 00 00"));
}

TEST_CASE("a frame that does not fit, or has nothing in it, is not finished") {
  for (std::size_t room = 0; room < 27; ++room) {
    std::vector<std::byte> out(room);
    FrameBuilder frame(out);
    frame.nv().u8("cmd", 5);
    INFO("room " << room);
    CHECK(frame.finish(2).error().code == Errc::too_large);
  }
  std::vector<std::byte> out(64);
  CHECK(FrameBuilder(out).finish(2).error().code == Errc::too_large);
}

TEST_CASE("a message longer than any receiver takes is not sent") {  // INV-9
  for (const std::size_t longer : {0U, 1U}) {
    std::vector<std::byte> out(2 * kMaxNvBytes);
    FrameBuilder frame(out);
    for (int i = 0; i < 3; ++i) frame.nv().u8("cmd", 5);  // so that the sum comes out even
    constexpr std::size_t header_bytes = 14;              // of an array with a short name
    const std::size_t left = kMaxNvBytes - frame.nv().size() - header_bytes;
    frame.nv().u8_array("b", std::vector<std::byte>(left + longer));
    REQUIRE_FALSE(frame.nv().failed());
    const auto size = frame.finish(2);
    REQUIRE(size.has_value() == (longer == 0));
    if (size) CHECK(*size == kFrameHeaderBytes + kMaxNvBytes);
    if (!size) CHECK(size.error().code == Errc::too_large);
  }
}
