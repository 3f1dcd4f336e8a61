#include "hast/wire/compression.hpp"

#include <sys/mman.h>

#include <random>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/hex.hpp"

using hast::ByteSpan;
using hast::ConstByteSpan;
using hast::Errc;
using hast::test::from_hex;
using namespace hast::wire;

namespace {

using Bytes = std::vector<std::byte>;

/// The block of the golden lzf stream: 64 bytes of 0, 64 of 1, and so on.
Bytes staircase(std::size_t size) {
  Bytes data(size);
  for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::byte>(i / 64);
  return data;
}

Bytes noise(std::size_t size) {
  std::mt19937 random(7);
  Bytes data(size);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  return data;
}

/// Decodes into a buffer with guards on both sides and checks that they stand.
bool decodes(const Bytes& payload, std::size_t size) {
  constexpr std::size_t guard = 64;
  Bytes room(size + 2 * guard, std::byte{0xee});
  const auto done = decode_lzf(payload, ByteSpan(room).subspan(guard, size));
  for (std::size_t i = 0; i < guard; ++i)
    if (room[i] != std::byte{0xee} || room[room.size() - 1 - i] != std::byte{0xee})
      FAIL("the decoder left its buffer");
  if (!done) CHECK(done.error().code == Errc::malformed);
  return done.has_value();
}

Bytes with_length(std::uint32_t length, const char* stream_hex) {
  Bytes payload(4);
  hast::store_le(payload.data(), length);
  const Bytes stream = from_hex(stream_hex);
  payload.insert(payload.end(), stream.begin(), stream.end());
  return payload;
}

}  // namespace

TEST_CASE("a single bit anywhere makes a block not all zero") {
  for (const std::size_t size : {1U, 2U, 3U, 7U, 8U, 9U, 512U, 4096U}) {
    Bytes data(size);
    CHECK(is_all_zero(data));
    for (std::size_t i = 0; i < size; ++i) {
      data[i] = std::byte{0x80};
      REQUIRE_FALSE(is_all_zero(data));
      data[i] = std::byte{0};
    }
  }
  CHECK(is_all_zero({}));
  CHECK_FALSE(is_all_zero(Bytes(4096, std::byte{1})));
}

TEST_CASE("a hole is its length, little-endian") {
  Bytes scratch(8);
  const ConstByteSpan hole = encode_hole(4096, scratch);
  CHECK(Bytes(hole.begin(), hole.end()) == from_hex("00 10 00 00"));
}

TEST_CASE("a hole becomes exactly as many zeros as were asked for") {
  Bytes into(4096, std::byte{0xee});
  REQUIRE(decode_hole(from_hex("00 10 00 00"), into));
  CHECK(is_all_zero(into));
  for (const char* wrong : {"", "00 10 00", "00 10 00 00 00", "ff 0f 00 00", "01 10 00 00",
                            "00 00 00 00", "ff ff ff ff"})  // INV-9
    CHECK(decode_hole(from_hex(wrong), into).error().code == Errc::malformed);
}

TEST_CASE("the golden block becomes the golden stream") {
  const Bytes data = staircase(4096);
  Bytes scratch(data.size());
  const ConstByteSpan payload = encode_lzf(data, scratch);
  REQUIRE(payload.size() == 4 + 324);
  CHECK(Bytes(payload.begin(), payload.begin() + 24) ==
        from_hex("00 10 00 00 01 00 00 e0 35 00 00 01 e0 36 00 00 02 e0 36 00 00 03 e0 36"));
  Bytes back(data.size());
  REQUIRE(decode_lzf(payload, back));
  CHECK(back == data);
}

TEST_CASE("lzf is used above 1024 bytes and when it saves 1024") {
  Bytes scratch(128 * 1024);
  CHECK(encode_lzf(staircase(1024), scratch).empty());
  CHECK(encode_lzf(staircase(1025), scratch).empty());  // one byte is no stream
  CHECK_FALSE(encode_lzf(staircase(1536), scratch).empty());
  CHECK(encode_lzf(noise(128 * 1024), scratch).empty());
  Bytes mixed = noise(4096);
  const Bytes zeros(1024);
  mixed.insert(mixed.end(), zeros.begin(), zeros.end());
  const ConstByteSpan payload = encode_lzf(mixed, scratch);
  CHECK((payload.empty() || payload.size() <= 4 + mixed.size() - 1024));
}

TEST_CASE("lzf comes back in every size") {
  Bytes scratch(1024 * 1024);
  for (const std::size_t size : {1536U, 4096U, 131072U, 1048576U}) {
    Bytes data = staircase(size);
    const ConstByteSpan payload = encode_lzf(data, scratch);
    REQUIRE_FALSE(payload.empty());
    Bytes back(size);
    REQUIRE(decode_lzf(payload, back));
    CHECK(back == data);
  }
}

TEST_CASE("an lzf stream must expand to exactly what was asked for") {
  const Bytes data = staircase(4096);
  Bytes scratch(data.size());
  const ConstByteSpan payload = encode_lzf(data, scratch);
  const Bytes whole(payload.begin(), payload.end());
  CHECK(decodes(whole, 4096));
  CHECK_FALSE(decodes(whole, 4095));
  CHECK_FALSE(decodes(whole, 4097));
  for (std::size_t length = 0; length < whole.size(); ++length)
    CHECK_FALSE(
        decodes(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)), 4096));
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  longer.push_back(std::byte{0});
  CHECK_FALSE(decodes(longer, 4096));
}

TEST_CASE("lz4 comes back in every size, where it pays") {
  Bytes scratch(1024 * 1024);
  for (const std::size_t size : {1536U, 4096U, 131072U, 1048576U}) {
    const Bytes data = staircase(size);
    const ConstByteSpan payload = encode_lz4(data, scratch);
    REQUIRE_FALSE(payload.empty());
    CHECK(payload.size() <= 4 + size - kCompressionThresholdBytes);
    Bytes back(size);
    REQUIRE(decode_lz4(payload, back));
    CHECK(back == data);
  }
  CHECK(encode_lz4(staircase(1024), scratch).empty());
  CHECK(encode_lz4(noise(128 * 1024), scratch).empty());
}

TEST_CASE("an lz4 stream must expand to exactly what was asked for") {  // INV-9
  const Bytes data = staircase(4096);
  Bytes scratch(data.size());
  const ConstByteSpan payload = encode_lz4(data, scratch);
  const Bytes whole(payload.begin(), payload.end());
  const auto fits = [](const Bytes& stream, std::size_t size) {
    Bytes into(size);
    return decode_lz4(stream, into).has_value();
  };
  CHECK(fits(whole, 4096));
  CHECK_FALSE(fits(whole, 4095));
  CHECK_FALSE(fits(whole, 4097));
  for (std::size_t length = 0; length < whole.size(); ++length)
    CHECK_FALSE(
        fits(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)), 4096));
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  CHECK_FALSE(fits(longer, 4096));
  CHECK_FALSE(fits(with_length(0xffffffff, "00 41"), 1));
}

TEST_CASE("streams that reach outside their buffers are malformed") {
  CHECK(decodes(with_length(2, "01 41 42"), 2));
  CHECK_FALSE(decodes(with_length(2, "1f 41 42"), 2));        // reads past the stream
  CHECK_FALSE(decodes(with_length(2, "20 00"), 2));           // refers before the start
  CHECK_FALSE(decodes(with_length(4, "00 41 20"), 4));        // cut inside a reference
  CHECK_FALSE(decodes(with_length(4, "00 41 e0 ff"), 4));     // cut inside a long one
  CHECK_FALSE(decodes(with_length(4, "00 41 e0 ff 00"), 4));  // writes past the end
  CHECK_FALSE(decodes(with_length(0, "00 41"), 0));
  CHECK_FALSE(decodes(with_length(0xffffffff, "00 41"), 1));
}

TEST_CASE("noise never makes the decoder leave its buffer") {
  std::mt19937 random(11);
  for (int round = 0; round < 20000; ++round) {
    Bytes payload(4 + 1 + random() % 48);
    for (std::byte& byte : payload) byte = static_cast<std::byte>(random());
    const std::uint32_t size = 1 + random() % 256;
    hast::store_le(payload.data(), size);
    decodes(payload, size);
  }
}

TEST_CASE("damaged streams expand to another block or are malformed") {
  const Bytes data = staircase(4096);
  Bytes scratch(data.size());
  const ConstByteSpan payload = encode_lzf(data, scratch);
  const Bytes whole(payload.begin(), payload.end());
  std::mt19937 random(13);
  int decoded = 0, refused = 0;
  for (int round = 0; round < 5000; ++round) {
    Bytes damaged = whole;
    damaged[4 + random() % (damaged.size() - 4)] = static_cast<std::byte>(random());
    ++(decodes(damaged, 4096) ? decoded : refused);
  }
  CHECK(decoded > 0);
  CHECK(refused > 0);
}

namespace {

/// So many bytes that nobody may touch: only addresses.
class Untouchable {
 public:
  explicit Untouchable(std::size_t size)
      : size_(size), memory_(::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    REQUIRE(memory_ != MAP_FAILED);
  }
  ~Untouchable() { ::munmap(memory_, size_); }
  Untouchable(const Untouchable&) = delete;
  Untouchable& operator=(const Untouchable&) = delete;
  ByteSpan bytes() const { return {static_cast<std::byte*>(memory_), size_}; }

 private:
  std::size_t size_;
  void* memory_;
};

}  // namespace

TEST_CASE("INV-9: what the libraries cannot count is neither compressed nor expanded") {
  const Untouchable huge(std::size_t{1} << 31);
  CHECK(encode_lzf(huge.bytes(), huge.bytes()).empty());
  CHECK(encode_lz4(huge.bytes(), huge.bytes()).empty());
  const Bytes stream = with_length(std::uint32_t{1} << 31, "00 41");
  CHECK(decode_lzf(stream, huge.bytes()).error().code == Errc::malformed);
  CHECK(decode_lz4(stream, huge.bytes()).error().code == Errc::malformed);
  Bytes into(1);
  CHECK(decode_lzf(huge.bytes(), into).error().code == Errc::malformed);
  CHECK(decode_lz4(huge.bytes(), into).error().code == Errc::malformed);
}

TEST_CASE("a hole of nothing fills a destination of none") {
  CHECK(decode_hole(from_hex("00 00 00 00"), {}));
  CHECK(decode_hole(from_hex("01 00 00 00"), {}).error().code == Errc::malformed);
}
