#include "hast/base/bytes.hpp"

#include <array>

#include "support/catch.hpp"

using namespace hast;

TEST_CASE("numbers keep the byte order they were stored with") {
  std::array<std::byte, 8> raw{};
  store_le<std::uint32_t>(raw.data(), 0x01020304);
  CHECK(raw[0] == std::byte{4});
  CHECK(raw[3] == std::byte{1});
  CHECK(load_le<std::uint32_t>(raw.data()) == 0x01020304);
  CHECK(load_be<std::uint32_t>(raw.data()) == 0x04030201);
  store_be<std::uint64_t>(raw.data(), 0x0102030405060708);
  CHECK(raw[0] == std::byte{1});
  CHECK(load_be<std::uint64_t>(raw.data()) == 0x0102030405060708);
  CHECK(load_le<std::uint16_t>(raw.data()) == 0x0201);
}

TEST_CASE("numbers may lie at odd addresses") {
  std::array<std::byte, 16> raw{};
  for (std::size_t at = 0; at < 8; ++at) {
    store_le<std::uint64_t>(raw.data() + at, 0x1122334455667788);
    CHECK(load_le<std::uint64_t>(raw.data() + at) == 0x1122334455667788);
  }
}

TEST_CASE("a reader walks through its bytes and ends where they end") {
  const std::array<std::byte, 7> raw{std::byte{1}, std::byte{2}, std::byte{0}, std::byte{0},
                                     std::byte{3}, std::byte{9}, std::byte{8}};
  ByteReader in(raw);
  CHECK(in.le<std::uint8_t>() == 1);
  CHECK(in.le<std::uint16_t>() == 2);
  CHECK(in.be<std::uint16_t>() == 3);
  CHECK(in.take(2).size() == 2);
  CHECK(in.remaining() == 0);
  CHECK_FALSE(in.failed());
}

TEST_CASE("a reader that was asked for too much stays failed and returns zero") {
  const std::array<std::byte, 3> raw{std::byte{1}, std::byte{2}, std::byte{3}};
  ByteReader in(raw);
  CHECK(in.le<std::uint32_t>() == 0);
  CHECK(in.failed());
  CHECK(in.le<std::uint8_t>() == 0);
  CHECK(in.take(1).empty());
  CHECK(ByteReader(raw).take(~std::size_t{0}).empty());
}

TEST_CASE("a writer fills its buffer exactly and fails instead of overflowing") {
  std::array<std::byte, 8> raw{};
  ByteWriter out(ByteSpan(raw).first(7));
  out.le<std::uint32_t>(0xaabbccdd);
  out.put(as_bytes("xy"));
  out.zeros(1);
  CHECK_FALSE(out.failed());
  CHECK(out.size() == 7);
  CHECK(as_text(out.written().subspan(4, 2)) == "xy");
  out.le<std::uint8_t>(1);
  CHECK(out.failed());
  CHECK(out.size() == 7);
  CHECK(raw[7] == std::byte{0});
}

TEST_CASE("a writer that failed once writes nothing more") {
  std::array<std::byte, 4> raw{};
  ByteWriter out(raw);
  out.le<std::uint64_t>(1);
  out.le<std::uint8_t>(7);
  CHECK(out.failed());
  CHECK(out.size() == 0);
  CHECK(raw[0] == std::byte{0});
}
