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
