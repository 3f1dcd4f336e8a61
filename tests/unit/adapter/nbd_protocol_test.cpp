#include "hast/adapter/nbd/protocol.hpp"

#include <cerrno>

#include "hast/adapter/split.hpp"
#include "support/catch.hpp"
#include "support/nbd_bytes.hpp"

namespace nbd = hast::adapter::nbd;
using hast::ByteWriter;
using hast::Errc;
using hast::IoKind;
using hast::test::nbd_option;
using hast::test::nbd_query;
using hast::test::nbd_request;
using hast::test::Wire;
using nbd::ReplyStyle;

namespace {

constexpr hast::port::VolumeInfo kVolume{1 << 20, 512};

nbd::Request request(std::uint16_t type, std::uint64_t offset, std::uint32_t length,
                     std::uint16_t flags = 0) {
  nbd::Request made;
  made.type = type;
  made.offset_bytes = offset;
  made.length_bytes = length;
  made.flags = flags;
  return made;
}

std::uint32_t refusal(const nbd::Request& asked, ReplyStyle style = ReplyStyle::structured) {
  const nbd::Refusal answer = nbd::check_request(asked, kVolume, style);
  CHECK((answer.error == 0) == answer.text.empty());
  return answer.error;
}

template <class Encode>
std::string encoded(Encode encode) {
  std::byte room[nbd::kMaxReplyHeadBytes];
  ByteWriter out(room);
  encode(out);
  CHECK_FALSE(out.failed());
  return std::string(hast::as_text(out.written()));
}

}  // namespace

TEST_CASE("An option header is read as it was written") {
  const Wire wire = nbd_option(0xdeadbeef, "12345");
  const auto header = nbd::decode_option_header(wire.span());
  REQUIRE(header);
  CHECK((*header).option == 0xdeadbeef);
  CHECK((*header).length_bytes == 5);
}

TEST_CASE("An option header that is cut short or has another magic number is an error") {
  const Wire wire = nbd_option(3);
  for (std::size_t length = 0; length < nbd::kOptionHeaderBytes; ++length) {
    const auto header = nbd::decode_option_header(wire.span().first(length));
    REQUIRE_FALSE(header);
    CHECK(header.error().code == Errc::truncated);
  }
  std::string other = wire.str();
  other[0] = 'X';
  const auto header = nbd::decode_option_header(hast::as_bytes(other));
  REQUIRE_FALSE(header);
  CHECK(header.error().code == Errc::malformed);
}

TEST_CASE("The data of GO give the name and what is asked for") {
  const std::string data = nbd_query("shared", {3, 1, 99, 2});
  const auto query = nbd::decode_export_query(hast::as_bytes(data));
  REQUIRE(query);
  CHECK((*query).name == "shared");
  CHECK((*query).wants_name);
  CHECK((*query).wants_description);

  const std::string plain = nbd_query("", {});
  const auto nothing = nbd::decode_export_query(hast::as_bytes(plain));
  REQUIRE(nothing);
  CHECK((*nothing).name.empty());
  CHECK_FALSE((*nothing).wants_name);
  CHECK_FALSE((*nothing).wants_description);
}

TEST_CASE("The data of GO that do not add up are refused at every length") {
  const std::string data = nbd_query("shared", {1, 2});
  for (std::size_t length = 0; length < data.size(); ++length)
    CHECK_FALSE(nbd::decode_export_query(hast::as_bytes(data).first(length)));
  CHECK_FALSE(nbd::decode_export_query(hast::as_bytes(data + "x")));

  const std::string huge = Wire{}.u32(0xffffffff).text("abc").u16(0).str();
  CHECK_FALSE(nbd::decode_export_query(hast::as_bytes(huge)));
  const std::string lying = Wire{}.u32(1).text("a").u16(0xffff).u16(1).str();
  const auto query = nbd::decode_export_query(hast::as_bytes(lying));
  REQUIRE_FALSE(query);
  CHECK(query.error().code == Errc::malformed);
}

TEST_CASE("A name longer than the protocol's limit is too large") {
  const std::string longest = nbd_query(std::string(nbd::kMaxStringBytes, 'n'));
  CHECK(nbd::decode_export_query(hast::as_bytes(longest)));
  const std::string longer = nbd_query(std::string(nbd::kMaxStringBytes + 1, 'n'));
  const auto query = nbd::decode_export_query(hast::as_bytes(longer));
  REQUIRE_FALSE(query);
  CHECK(query.error().code == Errc::too_large);
}

TEST_CASE("A request is read as it was written") {
  const Wire wire = nbd_request(6, 0x1122334455667788, 0x99aabbccddeeff00, 0xfffffffe, 0x8001);
  const auto read = nbd::decode_request(wire.span());
  REQUIRE(read);
  CHECK(read->type == 6);
  CHECK(read->flags == 0x8001);
  CHECK(read->cookie == 0x1122334455667788);
  CHECK(read->offset_bytes == 0x99aabbccddeeff00);
  CHECK(read->length_bytes == 0xfffffffe);
  CHECK(read->has(nbd::NBD_CMD_FLAG_FUA));
  CHECK_FALSE(read->has(nbd::NBD_CMD_FLAG_DF));
}

TEST_CASE("A request that is cut short or has another magic number is none") {
  const Wire wire = nbd_request(0, 1, 2, 3);
  for (std::size_t length = 0; length < nbd::kRequestBytes; ++length)
    CHECK_FALSE(nbd::decode_request(wire.span().first(length)));
  for (std::size_t i = 0; i < 4; ++i) {
    std::string other = wire.str();
    other[i] = static_cast<char>(other[i] ^ 1);
    CHECK_FALSE(nbd::decode_request(hast::as_bytes(other)));
  }
}

TEST_CASE("Every known command passes when it keeps to the rules") {
  for (const ReplyStyle style : {ReplyStyle::simple, ReplyStyle::structured}) {
    CHECK(refusal(request(nbd::NBD_CMD_READ, 0, 512), style) == 0);
    CHECK(refusal(request(nbd::NBD_CMD_WRITE, 512, 1024, nbd::NBD_CMD_FLAG_FUA), style) == 0);
    CHECK(refusal(request(nbd::NBD_CMD_FLUSH, 0, 0), style) == 0);
    CHECK(refusal(request(nbd::NBD_CMD_TRIM, 0, 1 << 20, nbd::NBD_CMD_FLAG_FUA), style) == 0);
    CHECK(refusal(request(nbd::NBD_CMD_WRITE_ZEROES, (1 << 20) - 512, 512,
                          nbd::NBD_CMD_FLAG_FUA | nbd::NBD_CMD_FLAG_NO_HOLE),
                  style) == 0);
    // Clients are known to set FUA where it means nothing.
    CHECK(refusal(request(nbd::NBD_CMD_READ, 0, 512, nbd::NBD_CMD_FLAG_FUA), style) == 0);
    CHECK(refusal(request(nbd::NBD_CMD_FLUSH, 0, 0, nbd::NBD_CMD_FLAG_FUA), style) == 0);
  }
}

TEST_CASE("Unknown commands and flags are EINVAL") {
  CHECK(refusal(request(nbd::NBD_CMD_CACHE, 0, 512)) == nbd::NBD_EINVAL);
  CHECK(refusal(request(nbd::NBD_CMD_BLOCK_STATUS, 0, 512)) == nbd::NBD_EINVAL);
  CHECK(refusal(request(8, 0, 512)) == nbd::NBD_EINVAL);
  CHECK(refusal(request(0xffff, 0, 512)) == nbd::NBD_EINVAL);
  CHECK(refusal(request(nbd::NBD_CMD_READ, 0, 512, 1 << 15)) == nbd::NBD_EINVAL);
  CHECK(refusal(request(nbd::NBD_CMD_READ, 0, 512, nbd::NBD_CMD_FLAG_NO_HOLE)) == nbd::NBD_EINVAL);
  CHECK(refusal(request(nbd::NBD_CMD_WRITE, 0, 512, nbd::NBD_CMD_FLAG_DF)) == nbd::NBD_EINVAL);
  CHECK(refusal(request(nbd::NBD_CMD_TRIM, 0, 512, nbd::NBD_CMD_FLAG_NO_HOLE)) == nbd::NBD_EINVAL);
  CHECK(refusal(request(nbd::NBD_CMD_FLUSH, 0, 0, nbd::NBD_CMD_FLAG_REQ_ONE)) == nbd::NBD_EINVAL);
}

TEST_CASE("FAST_ZERO is not announced and is refused with EINVAL") {
  CHECK(refusal(request(nbd::NBD_CMD_WRITE_ZEROES, 0, 512, nbd::NBD_CMD_FLAG_FAST_ZERO)) ==
        nbd::NBD_EINVAL);
  constexpr int fast_zero = 1 << 11;
  CHECK((nbd::transmission_flags(ReplyStyle::structured) & fast_zero) == 0);
}

TEST_CASE("DF is valid only when structured replies were agreed, and announced only then") {
  const nbd::Request read = request(nbd::NBD_CMD_READ, 0, 512, nbd::NBD_CMD_FLAG_DF);
  CHECK(refusal(read, ReplyStyle::structured) == 0);
  CHECK(refusal(read, ReplyStyle::simple) == nbd::NBD_EINVAL);
  CHECK((nbd::transmission_flags(ReplyStyle::structured) & nbd::NBD_FLAG_SEND_DF) != 0);
  CHECK((nbd::transmission_flags(ReplyStyle::simple) & nbd::NBD_FLAG_SEND_DF) == 0);
}

TEST_CASE("The transmission flags are those of the protocol document") {
  // HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES, CAN_MULTI_CONN.
  CHECK(nbd::transmission_flags(ReplyStyle::simple) == 0x016d);
}

TEST_CASE("A request that leaves the export is ENOSPC if it writes and EINVAL otherwise") {
  for (const std::uint64_t offset : {std::uint64_t{1} << 20, (std::uint64_t{1} << 20) - 512,
                                     ~std::uint64_t{0}, ~std::uint64_t{0} - 1023}) {
    CHECK(refusal(request(nbd::NBD_CMD_WRITE, offset, 1024)) == nbd::NBD_ENOSPC);
    CHECK(refusal(request(nbd::NBD_CMD_WRITE_ZEROES, offset, 1024)) == nbd::NBD_ENOSPC);
    CHECK(refusal(request(nbd::NBD_CMD_READ, offset, 1024)) == nbd::NBD_EINVAL);
    CHECK(refusal(request(nbd::NBD_CMD_TRIM, offset, 1024)) == nbd::NBD_EINVAL);
  }
}

TEST_CASE("Misaligned, empty and oversized requests are refused") {
  for (const std::uint16_t type :
       {nbd::NBD_CMD_READ, nbd::NBD_CMD_WRITE, nbd::NBD_CMD_TRIM, nbd::NBD_CMD_WRITE_ZEROES}) {
    CHECK(refusal(request(type, 1, 512)) == nbd::NBD_EINVAL);
    CHECK(refusal(request(type, 0, 513)) == nbd::NBD_EINVAL);
    CHECK(refusal(request(type, 0, 0)) == nbd::NBD_EINVAL);
  }
  const hast::port::VolumeInfo large{std::uint64_t{1} << 40, 512};
  const auto check = [&](std::uint16_t type, std::uint32_t length, ReplyStyle style) {
    return nbd::check_request(request(type, 0, length), large, style).error;
  };
  CHECK(check(nbd::NBD_CMD_WRITE, 32 << 20, ReplyStyle::simple) == 0);
  CHECK(check(nbd::NBD_CMD_WRITE, (32 << 20) + 512, ReplyStyle::simple) == nbd::NBD_EINVAL);
  CHECK(check(nbd::NBD_CMD_READ, 32 << 20, ReplyStyle::simple) == 0);
  CHECK(check(nbd::NBD_CMD_READ, (32 << 20) + 512, ReplyStyle::simple) == nbd::NBD_EINVAL);
  CHECK(check(nbd::NBD_CMD_READ, (32 << 20) + 512, ReplyStyle::structured) == nbd::NBD_EOVERFLOW);
  CHECK(check(nbd::NBD_CMD_TRIM, 0xfffffe00, ReplyStyle::simple) == 0);
  CHECK(check(nbd::NBD_CMD_WRITE_ZEROES, 0xfffffe00, ReplyStyle::simple) == 0);
}

TEST_CASE("A flush with an offset or a length is EINVAL") {
  CHECK(refusal(request(nbd::NBD_CMD_FLUSH, 512, 0)) == nbd::NBD_EINVAL);
  CHECK(refusal(request(nbd::NBD_CMD_FLUSH, 0, 512)) == nbd::NBD_EINVAL);
}

TEST_CASE("Errors of this host become those of the protocol") {
  CHECK(nbd::nbd_error(0) == 0);
  CHECK(nbd::nbd_error(EPERM) == 1);
  CHECK(nbd::nbd_error(EROFS) == 1);
  CHECK(nbd::nbd_error(EIO) == 5);
  CHECK(nbd::nbd_error(ENOMEM) == 12);
  CHECK(nbd::nbd_error(EINVAL) == 22);
  CHECK(nbd::nbd_error(ENOSPC) == 28);
  CHECK(nbd::nbd_error(EDQUOT) == 28);
  CHECK(nbd::nbd_error(EFBIG) == 28);
  CHECK(nbd::nbd_error(EOVERFLOW) == 75);
  CHECK(nbd::nbd_error(EOPNOTSUPP) == 95);
  CHECK(nbd::nbd_error(ENOTSUP) == 95);
  CHECK(nbd::nbd_error(ESHUTDOWN) == 108);
  CHECK(nbd::nbd_error(ENXIO) == 5);
  CHECK(nbd::nbd_error(-1) == 5);
}

TEST_CASE("Replies are encoded as the protocol document draws them") {
  CHECK(encoded([](ByteWriter& out) { nbd::put_simple_reply(out, 28, 7); }) ==
        Wire{}.u32(0x67446698).u32(28).u64(7).str());
  CHECK(encoded([](ByteWriter& out) { nbd::put_done(out, 7); }) ==
        Wire{}.u32(0x668e33ef).u16(1).u16(0).u64(7).u32(0).str());
  CHECK(encoded([](ByteWriter& out) { nbd::put_offset_data(out, 0, 7, 1024, 512); }) ==
        Wire{}.u32(0x668e33ef).u16(0).u16(1).u64(7).u32(520).u64(1024).str());
  CHECK(encoded([](ByteWriter& out) { nbd::put_error(out, 7, 22, 3); }) ==
        Wire{}.u32(0x668e33ef).u16(1).u16(0x8001).u64(7).u32(9).u32(22).u16(3).str());
  CHECK(encoded([](ByteWriter& out) { nbd::put_error_offset(out, 7, 5, 4096); }) ==
        Wire{}.u32(0x668e33ef).u16(1).u16(0x8002).u64(7).u32(14).u32(5).u16(0).u64(4096).str());
}

TEST_CASE("Pieces end at multiples of what a slot takes") {
  constexpr std::uint64_t block = hast::port::kBlockBytes;
  CHECK(hast::adapter::piece_bytes(IoKind::read, 0, 512) == 512);
  CHECK(hast::adapter::piece_bytes(IoKind::read, 0, 10 * block) == block);
  CHECK(hast::adapter::piece_bytes(IoKind::write, block - 512, 10 * block) == 512);
  CHECK(hast::adapter::piece_bytes(IoKind::write_zeroes, 3 * block + 512, 10 * block) ==
        block - 512);
  CHECK(hast::adapter::piece_bytes(IoKind::discard, 512, std::uint64_t{1} << 32) ==
        hast::port::kMaxDiscardBytes - 512);
  CHECK(hast::adapter::piece_bytes(IoKind::flush, 0, 0) == 0);
}
