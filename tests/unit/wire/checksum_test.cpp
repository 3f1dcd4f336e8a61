#include "hast/wire/checksum.hpp"

#include <algorithm>
#include <string>

#include "support/catch.hpp"
#include "support/hex.hpp"

using hast::as_bytes;
using hast::Checksum;
using hast::test::from_hex;
using namespace hast::wire;

namespace {

std::vector<std::byte> sum(Checksum checksum, std::string_view text) {
  const Hash hash = hash_of(checksum, as_bytes(text));
  return {hash.begin(), hash.begin() + static_cast<std::ptrdiff_t>(hash_bytes(checksum))};
}

}  // namespace

TEST_CASE("crc32 is the Ethernet sum in little-endian order") {
  CHECK(sum(Checksum::crc32, "123456789") == from_hex("26 39 f4 cb"));
  CHECK(sum(Checksum::crc32, "") == from_hex("00 00 00 00"));
}

TEST_CASE("sha256 is the standard digest, call after call") {
  for (int repeat = 0; repeat < 3; ++repeat) {
    CHECK(sum(Checksum::sha256, "abc") ==
          from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    CHECK(sum(Checksum::sha256, "") ==
          from_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
  }
}

TEST_CASE("what a hash does not use is zero") {
  const Hash crc = hash_of(Checksum::crc32, as_bytes("123456789"));
  CHECK(std::count(crc.begin() + 4, crc.end(), std::byte{0}) == 28);
  CHECK(hash_of(Checksum::none, as_bytes("x")) == Hash{});
  CHECK(hash_bytes(Checksum::none) == 0);
}

TEST_CASE("crc32 is the bitwise sum at every length and alignment") {
  // The definition, a bit at a time: what the fast ways are held to.
  const auto bitwise = [](hast::ConstByteSpan bytes) {
    std::uint32_t crc = 0xffffffff;
    for (std::byte byte : bytes) {
      crc ^= static_cast<std::uint32_t>(byte);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
  };
  std::vector<std::byte> data(5000);
  std::uint32_t state = 1;
  for (std::byte& byte : data)
    byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  const auto matches = [&](std::size_t begin, std::size_t length) {
    const hast::ConstByteSpan bytes = hast::ConstByteSpan(data).subspan(begin, length);
    return hast::load_le<std::uint32_t>(hash_of(Checksum::crc32, bytes).data()) == bitwise(bytes);
  };
  std::size_t wrong = 0;
  for (std::size_t length = 0; length <= 300; ++length)
    wrong += matches(length % 17, length) ? 0 : 1;
  for (std::size_t length : {511, 512, 1024, 4095, 4096, 4097}) wrong += matches(3, length) ? 0 : 1;
  CHECK(wrong == 0);
}
