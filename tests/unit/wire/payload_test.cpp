#include "hast/wire/payload.hpp"

#include <random>
#include <vector>

#include "support/catch.hpp"
#include "support/hex.hpp"

using hast::ByteSpan;
using hast::Checksum;
using hast::Compression;
using hast::ConstByteSpan;
using hast::Errc;
using hast::NvReader;
using hast::NvWriter;
using hast::test::from_hex;
using namespace hast::wire;

namespace {

using Bytes = std::vector<std::byte>;

Bytes text_of(std::size_t size) {
  Bytes data(size);
  for (std::size_t i = 0; i < size; ++i)
    data[i] = static_cast<std::byte>("a block of text. "[i % 17]);
  return data;
}

Bytes noise(std::size_t size) {
  std::mt19937 random(3);
  Bytes data(size);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  return data;
}

/// A list with what `fill` appends, parsed; it keeps its bytes.
struct List {
  template <class Fill>
  explicit List(Fill fill) : bytes(1024) {
    NvWriter out(bytes);
    fill(out);
    REQUIRE_FALSE(out.failed());
    bytes.resize(out.size());
  }
  Errc error() const {
    const auto info = decode_payload_info(*NvReader::parse(bytes));
    REQUIRE_FALSE(info);
    return info.error().code;
  }
  Bytes bytes;
};

Errc error_of(const hast::Result<void>& result) {
  REQUIRE_FALSE(result);
  return result.error().code;
}

}  // namespace

TEST_CASE("every algorithm brings every kind of data back") {
  Bytes scratch(131072);
  for (const auto checksum : {Checksum::none, Checksum::crc32, Checksum::sha256})
    for (const auto compression :
         {Compression::none, Compression::hole, Compression::lzf, Compression::lz4})
      for (const std::size_t size : {512U, 1024U, 1536U, 4096U, 131072U})
        for (const Bytes& data : {Bytes(size), text_of(size), noise(size)}) {
          const EncodedPayload payload = encode_payload(data, {checksum, compression}, scratch);
          Bytes into(size, std::byte{0xee});
          REQUIRE(decode_payload(payload.info, payload.bytes, into));
          CHECK(into == data);
          CHECK(payload.info.size_bytes == payload.bytes.size());
          CHECK(payload.info.checksum == checksum);
        }
}

TEST_CASE("data that does not shrink is sent from where it is") {
  Bytes scratch(4096);
  const Bytes data = noise(4096);
  const EncodedPayload payload = encode_payload(data, {Checksum::none, Compression::lzf}, scratch);
  CHECK(payload.info.compression == Compression::none);
  CHECK(payload.bytes.data() == data.data());
}

TEST_CASE("zeros are a hole if anything may be compressed, data otherwise") {
  Bytes scratch(4096);
  const Bytes zeros(4096);
  CHECK(encode_payload(zeros, {Checksum::none, Compression::none}, scratch).bytes.size() == 4096);
  for (const auto compression : {Compression::hole, Compression::lzf, Compression::lz4}) {
    const EncodedPayload hole = encode_payload(zeros, {Checksum::none, compression}, scratch);
    CHECK(hole.info.compression == Compression::hole);
    CHECK(Bytes(hole.bytes.begin(), hole.bytes.end()) == from_hex("00 10 00 00"));
  }
  const EncodedPayload asked = encode_zeroes(4096, Checksum::crc32, scratch);
  CHECK(asked.info.compression == Compression::hole);
  Bytes into(4096, std::byte{0xee});
  CHECK(decode_payload(asked.info, asked.bytes, into));
  CHECK(into == zeros);
}

TEST_CASE("lz4 is for peers that know it; earlier ones get lzf") {
  CHECK(options_for(3, {Checksum::crc32, Compression::lz4}).compression == Compression::lz4);
  CHECK(options_for(2, {Checksum::crc32, Compression::lz4}).compression == Compression::lzf);
  CHECK(options_for(2, {Checksum::crc32, Compression::lz4}).checksum == Checksum::crc32);
  CHECK(options_for(1, {Checksum::none, Compression::hole}).compression == Compression::hole);
}

TEST_CASE("no data is no payload") {
  Bytes scratch(8);
  const EncodedPayload none = encode_payload({}, {Checksum::none, Compression::lzf}, scratch);
  CHECK_FALSE(none.info.present());
  CHECK(decode_payload(none.info, {}, {}));
}

TEST_CASE("the fields follow in the order of the original") {
  const List list([](NvWriter& out) {
    PayloadInfo info;
    info.compression = Compression::hole;
    info.checksum = Checksum::crc32;
    hast::store_le(info.hash.data(), std::uint32_t{0x04030201});
    info.size_bytes = 4;
    encode_payload_info(info, out);
  });
  const auto nv = NvReader::parse(list.bytes);
  REQUIRE(nv->elements().size() == 4);
  CHECK(nv->elements()[0].name == "compression");
  CHECK(nv->elements()[1].name == "checksum");
  CHECK(nv->elements()[2].name == "hash");
  CHECK(nv->elements()[3].name == "size");
  const auto info = decode_payload_info(*nv);
  REQUIRE(info);
  CHECK(info->compression == Compression::hole);
  CHECK(info->checksum == Checksum::crc32);
  CHECK(hast::load_le<std::uint32_t>(info->hash.data()) == 0x04030201);
  CHECK(info->size_bytes == 4);
}

TEST_CASE("a message without payload fields has no payload") {
  const List list([](NvWriter& out) { out.u64("seq", 1); });
  const auto info = decode_payload_info(*NvReader::parse(list.bytes));
  REQUIRE(info);
  CHECK_FALSE(info->present());
}

TEST_CASE("payload fields that make no sense are errors") {
  const Bytes four(4), five(5), sha(32);
  const auto size = [](NvWriter& out) { out.u32("size", 4096); };
  CHECK(List([&](NvWriter& out) { out.string("compression", "zstd"), size(out); }).error() ==
        Errc::unknown_algorithm);
  CHECK(List([&](NvWriter& out) { out.string("compression", "none"), size(out); }).error() ==
        Errc::unknown_algorithm);
  CHECK(List([&](NvWriter& out) { out.string("checksum", ""), size(out); }).error() ==
        Errc::unknown_algorithm);
  CHECK(List([&](NvWriter& out) { out.string("checksum", "none"), size(out); }).error() ==
        Errc::unknown_algorithm);
  CHECK(List([&](NvWriter& out) { out.u8("compression", 1), size(out); }).error() ==
        Errc::wrong_type);
  CHECK(List([&](NvWriter& out) { out.u8("checksum", 1), size(out); }).error() == Errc::wrong_type);
  CHECK(List([&](NvWriter& out) { out.string("checksum", "crc32"), size(out); }).error() ==
        Errc::missing_field);
  CHECK(List([&](NvWriter& out) {
          out.string("checksum", "crc32"), out.u8_array("hash", five), size(out);
        }).error() == Errc::malformed);
  CHECK(List([&](NvWriter& out) {
          out.string("checksum", "sha256"), out.u8_array("hash", four), size(out);
        }).error() == Errc::malformed);
  CHECK(List([&](NvWriter& out) {
          out.string("checksum", "crc32"), out.u8_array("hash", sha), size(out);
        }).error() == Errc::malformed);
  CHECK(List([](NvWriter& out) { out.string("compression", "hole"); }).error() ==
        Errc::missing_field);
  CHECK(List([&](NvWriter& out) {
          out.string("checksum", "crc32"), out.u8_array("hash", four);
        }).error() == Errc::missing_field);
  CHECK(List([](NvWriter& out) { out.u64("size", 4096); }).error() == Errc::wrong_type);
}

TEST_CASE("a changed byte fails its checksum before anything is expanded") {  // INV-8
  Bytes scratch(4096);
  const Bytes data = text_of(4096);
  for (const auto checksum : {Checksum::crc32, Checksum::sha256})
    for (const auto compression : {Compression::none, Compression::lzf, Compression::lz4}) {
      const EncodedPayload payload = encode_payload(data, {checksum, compression}, scratch);
      Bytes damaged(payload.bytes.begin(), payload.bytes.end());
      damaged[damaged.size() / 2] ^= std::byte{1};
      Bytes into(4096, std::byte{0xee});
      CHECK(error_of(decode_payload(payload.info, damaged, into)) == Errc::checksum_mismatch);
      CHECK(into == Bytes(4096, std::byte{0xee}));
    }
}

TEST_CASE("data must fill its destination exactly") {  // INV-8, INV-9
  Bytes into(4096, std::byte{0xee});
  const auto plain = [&](std::size_t size) {
    const Bytes data(size);
    PayloadInfo info;
    info.size_bytes = static_cast<std::uint32_t>(size);
    return decode_payload(info, data, into);
  };
  CHECK(error_of(plain(512)) == Errc::malformed);
  CHECK(error_of(plain(4095)) == Errc::malformed);
  CHECK(error_of(plain(4097)) == Errc::too_large);
  CHECK(into == Bytes(4096, std::byte{0xee}));
  CHECK(plain(4096));
  PayloadInfo info;
  info.size_bytes = 4096;
  CHECK(error_of(decode_payload(info, Bytes(4095), into)) == Errc::malformed);
  info.size_bytes = 4095;
  CHECK(error_of(decode_payload(info, Bytes(4096), into)) == Errc::malformed);
}

TEST_CASE("plain data may already be where it belongs") {
  Bytes data = text_of(4096);
  const Bytes before = data;
  Bytes scratch(4096);
  const EncodedPayload payload =
      encode_payload(data, {Checksum::crc32, Compression::none}, scratch);
  CHECK(decode_payload(payload.info, data, data));
  CHECK(data == before);
}

TEST_CASE("data of no bytes fill a destination of none") {
  Bytes data(1);
  const ConstByteSpan nothing = ConstByteSpan(data).first(0);
  CHECK(decode_payload({}, nothing, {}));
  CHECK(error_of(decode_payload({}, nothing, data)) == Errc::malformed);
}
