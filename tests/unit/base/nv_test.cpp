#include "hast/base/nv.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/hex.hpp"

using hast::ConstByteSpan;
using hast::Errc;
using hast::NvReader;
using hast::NvType;
using hast::NvWriter;
using hast::test::from_hex;

namespace {

using Bytes = std::vector<std::byte>;

// The nv list of the first handshake message of a primary for resource "shared".
const char* const kFirstHello =
    "11 09 07 00 00 00 72 65 73 6f 75 72 63 65 00 00 00 00 00 00 00 00 73 68 61 72 65 64 00 00"
    "02 08 01 00 00 00 76 65 72 73 69 6f 6e 00 02 00 00 00 00 00 00 00";

/// One element named "x" with the given type byte, announced data size and data as they are.
Bytes element(int type, std::uint32_t data_size, const std::string& data) {
  Bytes bytes = from_hex("00 02 00 00 00 00 78 00 00 00 00 00 00 00");
  bytes[0] = static_cast<std::byte>(type);
  hast::store_le(bytes.data() + 2, data_size);
  const ConstByteSpan raw = hast::as_bytes(data);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
  return bytes;
}

Errc error_of(const Bytes& block) {
  const auto nv = NvReader::parse(block);
  REQUIRE_FALSE(nv);
  return nv.error().code;
}

bool accepted(const Bytes& block) { return NvReader::parse(block).has_value(); }

/// Writes with `fill` into a buffer of 4 KiB and returns what was written.
template <class Fill>
Bytes written(Fill fill) {
  Bytes buffer(4096, std::byte{0xee});
  NvWriter out(buffer);
  fill(out);
  REQUIRE_FALSE(out.failed());
  buffer.resize(out.size());
  return buffer;
}

}  // namespace

TEST_CASE("the golden first hello reads and writes byte for byte") {
  const Bytes golden = from_hex(kFirstHello);
  const auto nv = NvReader::parse(golden);
  REQUIRE(nv);
  CHECK(nv->elements().size() == 2);
  CHECK(*nv->string("resource") == "shared");
  CHECK(*nv->u8("version") == 2);
  CHECK(written([](NvWriter& out) {
          out.string("resource", "shared");
          out.u8("version", 2);
        }) == golden);
}

TEST_CASE("the golden first reply and EIO reply write byte for byte") {
  Bytes token;
  for (int i = 0xa0; i < 0xb0; ++i) token.push_back(static_cast<std::byte>(i));
  CHECK(written([&](NvWriter& out) {
          out.u8("version", 2);
          out.u8_array("token", token);
        }) == from_hex("02 08 01 00 00 00 76 65 72 73 69 6f 6e 00 02 00 00 00 00 00 00 00"
                       "0a 06 10 00 00 00 74 6f 6b 65 6e 00 00 00"
                       "a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af"));
  CHECK(written([](NvWriter& out) {
          out.u64("seq", 7);
          out.i16("error", 5);
        }) == from_hex("08 04 08 00 00 00 73 65 71 00 00 00 00 00 07 00 00 00 00 00 00 00"
                       "03 06 02 00 00 00 65 72 72 6f 72 00 00 00 05 00 00 00 00 00 00 00"));
}

TEST_CASE("every scalar comes back as it went, at both ends of its range") {
  const Bytes block = written([](NvWriter& out) {
    out.u8("u8", 0xff);
    out.i8("i8", -128);
    out.i16("i16", -32768);
    out.u32("u32", 0xffffffff);
    out.i32("i32", INT32_MIN);
    out.u64("u64", UINT64_MAX);
    out.i64("i64", INT64_MIN);
    out.string("empty", "");
  });
  const auto nv = NvReader::parse(block);
  REQUIRE(nv);
  CHECK(*nv->u8("u8") == 0xff);
  CHECK(*nv->i8("i8") == -128);
  CHECK(*nv->i16("i16") == -32768);
  CHECK(*nv->u32("u32") == 0xffffffff);
  CHECK(*nv->i32("i32") == INT32_MIN);
  CHECK(*nv->u64("u64") == UINT64_MAX);
  CHECK(*nv->i64("i64") == INT64_MIN);
  CHECK(nv->string("empty")->empty());
}

TEST_CASE("a getter wants the exact type and says what is missing") {
  const Bytes block = from_hex(kFirstHello);
  const auto nv = NvReader::parse(block);
  REQUIRE(nv);
  CHECK(nv->u8("resource").error().code == Errc::wrong_type);
  CHECK(nv->i8("version").error().code == Errc::wrong_type);
  CHECK(nv->string("version").error().code == Errc::wrong_type);
  CHECK(nv->u8_array("resource").error().code == Errc::wrong_type);
  CHECK(nv->u64("seq").error().code == Errc::missing_field);
  CHECK(nv->u64("seq").error().detail == "seq");
  CHECK(nv->contains("version"));
  CHECK_FALSE(nv->contains("versio"));
  CHECK_FALSE(nv->contains(""));
}

TEST_CASE("of two elements with one name the first is found") {
  const Bytes block = written([](NvWriter& out) {
    out.u8("x", 1);
    out.u8("x", 2);
    out.u64("x", 3);
  });
  const auto nv = NvReader::parse(block);
  REQUIRE(nv);
  CHECK(nv->elements().size() == 3);
  CHECK(*nv->u8("x") == 1);
  CHECK(nv->u64("x").error().code == Errc::wrong_type);
}

TEST_CASE("a zero byte ends the list, whatever follows") {
  Bytes block = from_hex(kFirstHello);
  block.push_back(std::byte{0});
  for (int i = 0; i < 100; ++i) block.push_back(std::byte{0xff});
  const auto nv = NvReader::parse(block);
  REQUIRE(nv);
  CHECK(nv->elements().size() == 2);
  CHECK(NvReader::parse({})->elements().empty());
  CHECK(NvReader::parse(Bytes(4096))->elements().empty());
}

TEST_CASE("padding is ignored by the reader and zeroed by the writer") {
  Bytes noisy = from_hex(kFirstHello);
  const Bytes clean = noisy;
  for (const std::size_t offset : {15U, 16U, 21U, 29U, 45U, 51U}) {
    REQUIRE(noisy[offset] == std::byte{0});
    noisy[offset] = std::byte{0xaa};
  }
  const auto nv = NvReader::parse(noisy);
  REQUIRE(nv);
  CHECK(*nv->string("resource") == "shared");
  CHECK(*nv->u8("version") == 2);
}

TEST_CASE("a block cut at any byte is truncated, except between elements") {
  const Bytes golden = from_hex(kFirstHello);
  for (std::size_t length = 0; length <= golden.size(); ++length) {
    const Bytes cut(golden.begin(), golden.begin() + static_cast<std::ptrdiff_t>(length));
    INFO("length " << length);
    if (length == 0 || length == 30 || length == golden.size())
      CHECK(accepted(cut));
    else
      CHECK(error_of(cut) == Errc::truncated);
  }
}

TEST_CASE("data sizes whose round-up wraps 32 bits are truncated, not tiny") {  // INV-9
  for (std::uint64_t size = 0xfffffff0; size <= 0xffffffff; ++size) {
    CHECK(error_of(element(17, static_cast<std::uint32_t>(size), "")) == Errc::truncated);
    CHECK(error_of(element(10, static_cast<std::uint32_t>(size), "12345678")) == Errc::truncated);
  }
}

TEST_CASE("a name must be text that ends in its only NUL") {
  const auto with_name = [](const char* name_size, const char* name) {
    Bytes block = from_hex(std::string("02") + name_size + "01 00 00 00" + name);
    block.insert(block.end(), 8, std::byte{1});
    return block;
  };
  CHECK(accepted(with_name("03", "61 62 00 00 00 00 00 00")));
  CHECK(error_of(with_name("02", "61 62 00 00 00 00 00 00")) == Errc::malformed);  // no NUL
  CHECK(error_of(with_name("08", "61 62 63 64 65 66 67 68")) == Errc::malformed);
  CHECK(error_of(with_name("04", "61 00 62 00 00 00 00 00")) == Errc::malformed);  // two
  CHECK(error_of(with_name("01", "00 00 00 00 00 00 00 00")) == Errc::malformed);  // empty
  CHECK(error_of(with_name("00", "")) == Errc::malformed);
  CHECK(error_of(with_name("ff", "61 62 63 64 65 66 67 68")) == Errc::truncated);
}

TEST_CASE("types outside the table and host order are malformed") {
  const std::string data(8, '\1');
  for (const int type : {18, 19, 0x7f, 0x80, 0x81, 0x82, 0x91, 0xff})
    CHECK(error_of(element(type, 1, data)) == Errc::malformed);
  CHECK(accepted(element(2, 1, data)));
}

TEST_CASE("data must have the size of its type") {
  const std::string data(24, '\1');
  const auto accepts = [&](int type, std::uint32_t size) {
    return accepted(element(type, size, data.substr(0, (size + 7) / 8 * 8)));
  };
  for (int type = 1; type <= 16; ++type) {
    const bool array = type > 8;
    const std::uint32_t width = 1U << ((type - 1) % 8 / 2);
    for (std::uint32_t size = 0; size <= 24; ++size) {
      INFO("type " << type << " size " << size);
      CHECK(accepts(type, size) == (array ? size != 0 && size % width == 0 : size == width));
    }
  }
}

TEST_CASE("a string ends in its only NUL") {
  const auto text = [](std::uint32_t size, const char* eight) {
    return element(17, size, std::string(eight, 8));
  };
  CHECK(accepted(text(1, "\0xxxxxxx")));
  CHECK(accepted(text(4, "abc\0xxxx")));
  CHECK(error_of(text(0, "abc\0xxxx")) == Errc::malformed);
  CHECK(error_of(text(3, "abc\0xxxx")) == Errc::malformed);
  CHECK(error_of(text(4, "a\0c\0xxxx")) == Errc::malformed);
  CHECK(error_of(text(8, "abcdefgh")) == Errc::malformed);
}

TEST_CASE("sixty-four elements are read and a sixty-fifth is too many") {
  const auto list_of = [](int count) {
    return written([&](NvWriter& out) {
      for (int i = 0; i < count; ++i) out.u8("x" + std::to_string(i), 1);
    });
  };
  const Bytes full = list_of(64);
  CHECK(NvReader::parse(full)->elements().size() == 64);
  CHECK(error_of(list_of(65)) == Errc::too_large);
}

TEST_CASE("the writer fails instead of overflowing and stays failed") {
  const Bytes golden = from_hex(kFirstHello);
  for (std::size_t room = 0; room <= golden.size(); ++room) {
    Bytes buffer(room + 8, std::byte{0xee});
    NvWriter out(hast::ByteSpan(buffer).first(room));
    out.string("resource", "shared");
    out.u8("version", 2);
    INFO("room " << room);
    CHECK(out.failed() == (room < golden.size()));
    CHECK(std::count(buffer.end() - 8, buffer.end(), std::byte{0xee}) == 8);
  }
}

TEST_CASE("the writer refuses what the format cannot say") {
  Bytes buffer(4096);
  const auto fails = [&](auto write) {
    NvWriter out(buffer);
    write(out);
    return out.failed();
  };
  CHECK(fails([](NvWriter& out) { out.u8("", 1); }));
  CHECK(fails([](NvWriter& out) { out.u8(std::string(255, 'n'), 1); }));
  CHECK_FALSE(fails([](NvWriter& out) { out.u8(std::string(254, 'n'), 1); }));
  CHECK(fails([](NvWriter& out) { out.u8(std::string_view("a\0b", 3), 1); }));
  CHECK(fails([](NvWriter& out) { out.string("x", std::string_view("a\0b", 3)); }));
  CHECK(fails([](NvWriter& out) { out.u8_array("x", {}); }));
}

TEST_CASE("the longest name comes back") {
  const std::string name(254, 'n');
  const Bytes block = written([&](NvWriter& out) { out.u8(name, 9); });
  CHECK(block.size() == 6 + 256 + 8);
  CHECK(*NvReader::parse(block)->u8(name) == 9);
}

TEST_CASE("other array types are kept as bytes") {
  const Bytes block = element(16, 16, std::string(16, '\7'));
  const auto nv = NvReader::parse(block);
  REQUIRE(nv);
  REQUIRE(nv->find("x") != nullptr);
  CHECK(nv->find("x")->type == NvType::uint64_array);
  CHECK(nv->find("x")->data.size() == 16);
}

TEST_CASE("a copied reader has the elements of its source and no others") {
  const Bytes golden = from_hex(kFirstHello);
  const Bytes single = element(2, 1, std::string(8, '\5'));
  const NvReader two = *NvReader::parse(golden);
  NvReader copy = two;
  CHECK(copy.elements().size() == 2);
  CHECK(*copy.string("resource") == "shared");
  copy = *NvReader::parse(single);
  CHECK(copy.elements().size() == 1);
  CHECK_FALSE(copy.contains("resource"));
  CHECK(*copy.u8("x") == 5);
  const NvReader& self = copy;
  copy = self;
  CHECK(*copy.u8("x") == 5);
}
