#include "hast/wire/request.hpp"

#include <cerrno>
#include <vector>

#include "support/catch.hpp"
#include "support/hex.hpp"

using hast::ByteSpan;
using hast::Compression;
using hast::ConstByteSpan;
using hast::Errc;
using hast::NvReader;
using hast::NvWriter;
using hast::test::from_hex;
using namespace hast::wire;

namespace {

using Bytes = std::vector<std::byte>;

template <class Message>
Bytes frame_of(const Message& message) {
  Bytes out(kMaxEncodedBytes);
  out.resize(encode(message, 2, out));
  return out;
}

NvReader list_in(const Bytes& frame) {
  const auto header = decode_frame_header(ConstByteSpan(frame).first(kFrameHeaderBytes));
  REQUIRE(header);
  REQUIRE(header->nv_bytes == frame.size() - kFrameHeaderBytes);
  const auto nv = NvReader::parse(ConstByteSpan(frame).subspan(kFrameHeaderBytes));
  REQUIRE(nv);
  return *nv;
}

/// The fields of a request or reply that a test spoils one at a time.
template <class Fill>
Bytes list_of(Fill fill) {
  Bytes bytes(1024);
  NvWriter out(bytes);
  fill(out);
  REQUIRE_FALSE(out.failed());
  bytes.resize(out.size());
  return bytes;
}

template <class Fill>
Errc request_error(Fill fill) {
  const Bytes bytes = list_of(fill);
  const auto request = decode_request(*NvReader::parse(bytes));
  REQUIRE_FALSE(request);
  return request.error().code;
}

template <class Fill>
Errc reply_error(Fill fill) {
  const Bytes bytes = list_of(fill);
  const auto reply = decode_reply(*NvReader::parse(bytes));
  REQUIRE_FALSE(reply);
  return reply.error().code;
}

void range(NvWriter& out, std::uint8_t command, std::uint64_t offset, std::uint64_t length) {
  out.u8("cmd", command);
  out.u64("seq", 9);
  out.u64("offset", offset);
  out.u64("length", length);
}

}  // namespace

TEST_CASE("the golden keepalive is written and read") {
  const Bytes golden =
      from_hex("02 16 00 00 00  02 04 01 00 00 00 63 6d 64 00 00 00 00 00 05 00 00 00 00 00 00 00");
  CHECK(frame_of(Request{}) == golden);
  const auto request = decode_request(list_in(golden));
  REQUIRE(request);
  CHECK(request->command == Command::keepalive);
}

TEST_CASE("the golden memsync write of zeros is written and read") {
  const Bytes golden = from_hex(
      "02 a2 00 00 00"
      "02 04 01 00 00 00 63 6d 64 00 00 00 00 00 02 00 00 00 00 00 00 00"
      "08 04 08 00 00 00 73 65 71 00 00 00 00 00 07 00 00 00 00 00 00 00"
      "08 07 08 00 00 00 6f 66 66 73 65 74 00 00 00 00 01 00 00 00 00 00"
      "08 07 08 00 00 00 6c 65 6e 67 74 68 00 00 00 10 00 00 00 00 00 00"
      "02 08 01 00 00 00 6d 65 6d 73 79 6e 63 00 01 00 00 00 00 00 00 00"
      "11 0c 05 00 00 00 63 6f 6d 70 72 65 73 73 69 6f 6e 00 00 00 00 00 68 6f 6c 65 00 00 00 00"
      "06 05 04 00 00 00 73 69 7a 65 00 00 00 00 04 00 00 00 00 00 00 00");
  Bytes scratch(8);
  Request write{Command::write, 7, 65536, 4096, true, {}};
  write.payload = encode_zeroes(4096, hast::Checksum::none, scratch).info;
  CHECK(frame_of(write) == golden);

  const auto request = decode_request(list_in(golden));
  REQUIRE(request);
  CHECK(request->command == Command::write);
  CHECK(request->seq == 7);
  CHECK(request->offset_bytes == 65536);
  CHECK(request->length_bytes == 4096);
  CHECK(request->memsync);
  CHECK(request->payload.compression == Compression::hole);
  CHECK(request->payload.size_bytes == 4);
}

TEST_CASE("the golden replies are written and read") {
  const Bytes ack = from_hex(
      "02 34 00 00 00  08 04 08 00 00 00 73 65 71 00 00 00 00 00 07 00 00 00 00 00 00 00"
      "01 09 01 00 00 00 72 65 63 65 69 76 65 64 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00");
  CHECK(frame_of(Reply{7, true, 0, {}}) == ack);
  const auto early = decode_reply(list_in(ack));
  REQUIRE(early);
  CHECK(early->seq == 7);
  CHECK(early->received);
  CHECK(early->error == 0);

  const Bytes eio = from_hex(
      "02 2c 00 00 00  08 04 08 00 00 00 73 65 71 00 00 00 00 00 07 00 00 00 00 00 00 00"
      "03 06 02 00 00 00 65 72 72 6f 72 00 00 00 05 00 00 00 00 00 00 00");
  CHECK(frame_of(Reply{7, false, EIO, {}}) == eio);
  const auto failed = decode_reply(list_in(eio));
  REQUIRE(failed);
  CHECK_FALSE(failed->received);
  CHECK(failed->error == EIO);
}

TEST_CASE("errors travel with FreeBSD's numbers") {
  const Bytes frame = frame_of(Reply{1, false, EOPNOTSUPP, {}});
  CHECK(*list_in(frame).i16("error") == 45);
  CHECK(decode_reply(list_in(frame))->error == EOPNOTSUPP);
}

TEST_CASE("the longest messages fit the room that is promised") {
  PayloadInfo payload;
  payload.compression = Compression::hole;
  payload.checksum = hast::Checksum::sha256;
  payload.size_bytes = 4;
  CHECK(frame_of(Request{Command::write, ~0ULL, ~0ULL, ~0ULL, true, payload}).size() <= 512);
  CHECK(frame_of(Reply{~0ULL, true, EIO, payload}).size() <= 512);
}

TEST_CASE("an offset and a length are given with every range, and may be left out of a flush") {
  for (const std::uint8_t command : {1, 3}) {
    CHECK(request_error([&](NvWriter& out) {
            out.u8("cmd", command), out.u64("seq", 1), out.u64("length", 512);
          }) == Errc::missing_field);
    CHECK(request_error([&](NvWriter& out) {
            out.u8("cmd", command), out.u64("seq", 1), out.u64("offset", 512);
          }) == Errc::missing_field);
  }
  const Bytes flush = list_of([](NvWriter& out) { out.u8("cmd", 4), out.u64("seq", 1); });
  CHECK(decode_request(*NvReader::parse(flush))->command == Command::flush);
}

TEST_CASE("a command must be there and of its type") {
  CHECK(request_error([](NvWriter& out) { out.u64("seq", 1); }) == Errc::missing_field);
  CHECK(request_error([](NvWriter& out) { out.u32("cmd", 1); }) == Errc::wrong_type);
}

TEST_CASE("a command that nobody here knows is read as one, with what it carries") {
  for (const std::uint8_t command : {0, 11, 99, 255}) {
    const Bytes list = list_of([&](NvWriter& out) {
      range(out, command, 0, 512);
      out.u32("size", 77);
    });
    const auto request = decode_request(*NvReader::parse(list));
    REQUIRE(request);
    CHECK(request->command == Command::unknown);
    CHECK(request->payload.size_bytes == 77);
  }
}

TEST_CASE("the orders of version 3 are written and read") {
  hast::Generations generations;
  generations.begin(5);
  generations.begin(6);
  generations.synced = 5;
  for (const Command command : {Command::sync_begin, Command::sync_end, Command::alone}) {
    Request order;
    order.command = command;
    order.seq = 9;
    order.generations = generations;
    const auto read = decode_request(list_in(frame_of(order)));
    REQUIRE(read);
    CHECK(read->command == command);
    CHECK(read->seq == 9);
    CHECK(read->generations == generations);
    order.generations = {};
    CHECK_FALSE(decode_request(list_in(frame_of(order))));
  }
  Request goodbye;
  goodbye.command = Command::goodbye;
  goodbye.seq = 9;
  CHECK_FALSE(decode_request(list_in(frame_of(goodbye)))->current);
  goodbye.current = true;
  CHECK(decode_request(list_in(frame_of(goodbye)))->current);
}

TEST_CASE("write-zeroes has a range and no data, and either write may want to be durable") {
  Request zeroes;
  zeroes.command = Command::write_zeroes;
  zeroes.seq = 3;
  zeroes.offset_bytes = 1 << 20;
  zeroes.length_bytes = 32 << 20;
  zeroes.fua = zeroes.memsync = true;
  const auto read = decode_request(list_in(frame_of(zeroes)));
  REQUIRE(read);
  CHECK(read->command == Command::write_zeroes);
  CHECK(read->length_bytes == 32 << 20);
  CHECK(read->fua);
  CHECK(read->memsync);
}

TEST_CASE("a heartbeat is no reply") {
  Reply alive;
  alive.heartbeat = true;
  const auto read = decode_reply(list_in(frame_of(alive)));
  REQUIRE(read);
  CHECK(read->heartbeat);
  CHECK(read->seq == 0);
}

TEST_CASE("a request needs a seq that is not 0") {
  CHECK(request_error([](NvWriter& out) { out.u8("cmd", 4); }) == Errc::missing_field);
  CHECK(request_error([](NvWriter& out) { out.u8("cmd", 4), out.u64("seq", 0); }) ==
        Errc::malformed);
  CHECK(request_error([](NvWriter& out) { out.u8("cmd", 4), out.u32("seq", 1); }) ==
        Errc::wrong_type);
}

TEST_CASE(
    "ranges that wrap are malformed, ranges past any volume are not ours to judge") {  // INV-9
  CHECK(request_error([](NvWriter& out) { range(out, 1, ~0ULL, 1); }) == Errc::malformed);
  CHECK(request_error([](NvWriter& out) { range(out, 3, 4096, ~0ULL - 4095); }) == Errc::malformed);
  CHECK(request_error([](NvWriter& out) { range(out, 1, ~0ULL - 511, 4096); }) == Errc::malformed);
  const Bytes far = list_of([](NvWriter& out) { range(out, 3, 4096, ~0ULL - 4096); });
  CHECK(decode_request(*NvReader::parse(far)));
}

TEST_CASE("writes have data and nothing else has") {
  CHECK(request_error([](NvWriter& out) { range(out, 2, 0, 4096); }) == Errc::malformed);
  CHECK(request_error([](NvWriter& out) { range(out, 2, 0, 4096), out.u32("size", 0); }) ==
        Errc::malformed);
  for (const std::uint8_t command : {1, 3, 4, 5})
    CHECK(request_error([&](NvWriter& out) { range(out, command, 0, 4096), out.u32("size", 1); }) ==
          Errc::malformed);
}

TEST_CASE("a payload has at most the size of the largest request") {  // INV-9
  CHECK(request_error([](NvWriter& out) {
          range(out, 2, 0, 4096), out.u32("size", kMaxIoBytes + 1);
        }) == Errc::too_large);
  CHECK(request_error([](NvWriter& out) { range(out, 2, 0, 4096), out.u32("size", ~0U); }) ==
        Errc::too_large);
  const Bytes largest =
      list_of([](NvWriter& out) { range(out, 2, 0, kMaxIoBytes), out.u32("size", kMaxIoBytes); });
  CHECK(decode_request(*NvReader::parse(largest)));
}

TEST_CASE("memsync is a matter of existence and of writes") {
  const Bytes write = list_of(
      [](NvWriter& out) { range(out, 2, 0, 4096), out.i64("memsync", 0), out.u32("size", 4096); });
  CHECK(decode_request(*NvReader::parse(write))->memsync);
  const Bytes read = list_of([](NvWriter& out) { range(out, 1, 0, 4096), out.u8("memsync", 1); });
  CHECK_FALSE(decode_request(*NvReader::parse(read))->memsync);
}

TEST_CASE("replies that no request can have are refused") {
  CHECK(reply_error([](NvWriter& out) { out.i16("error", 5); }) == Errc::missing_field);
  CHECK(reply_error([](NvWriter& out) { out.u64("seq", 0); }) == Errc::malformed);
  CHECK(reply_error([](NvWriter& out) { out.u64("seq", 1), out.i32("error", 5); }) ==
        Errc::wrong_type);
  CHECK(reply_error([](NvWriter& out) {
          out.u64("seq", 1), out.i16("error", 5), out.u32("size", 512);
        }) == Errc::malformed);
  CHECK(reply_error([](NvWriter& out) {
          out.u64("seq", 1), out.i8("received", 1), out.u32("size", 512);
        }) == Errc::malformed);
  CHECK(reply_error([](NvWriter& out) { out.u64("seq", 1), out.u32("size", kMaxIoBytes + 1); }) ==
        Errc::too_large);
}

TEST_CASE("an original may answer received and error at once: the error counts") {
  const Bytes both = list_of(
      [](NvWriter& out) { out.u64("seq", 1), out.i8("received", 1), out.i16("error", 22); });
  const auto reply = decode_reply(*NvReader::parse(both));
  REQUIRE(reply);
  CHECK(reply->received);
  CHECK(reply->error == EINVAL);
}

TEST_CASE("an error number that means nothing is EIO, 0 is none") {
  const auto error_with = [](std::int16_t number) {
    const Bytes bytes =
        list_of([&](NvWriter& out) { out.u64("seq", 1), out.i16("error", number); });
    return decode_reply(*NvReader::parse(bytes))->error;
  };
  CHECK(error_with(-5) == EIO);
  CHECK(error_with(3000) == EIO);
  CHECK(error_with(0) == 0);
}

TEST_CASE("a payload of an unknown kind spoils its request and its reply") {
  const auto unknown = [](NvWriter& out) { out.string("compression", "zstd"), out.u32("size", 1); };
  CHECK(request_error([&](NvWriter& out) { range(out, 2, 0, 512), unknown(out); }) ==
        Errc::unknown_algorithm);
  CHECK(reply_error([&](NvWriter& out) { out.u64("seq", 9), unknown(out); }) ==
        Errc::unknown_algorithm);
}

TEST_CASE("an order without its generations, or with what are none, is refused") {
  for (const Command command : {Command::sync_begin, Command::sync_end, Command::alone}) {
    const auto error_with = [&](auto generations) {
      return request_error([&](NvWriter& out) {
        out.u8("cmd", static_cast<std::uint8_t>(command)), out.u64("seq", 9), generations(out);
      });
    };
    CHECK(error_with([](NvWriter&) {}) == Errc::missing_field);
    CHECK(error_with([](NvWriter& out) { out.u64("generations", 7); }) == Errc::wrong_type);
    CHECK(error_with([](NvWriter& out) { out.u8_array("generations", Bytes(8)); }) ==
          Errc::malformed);
    CHECK(error_with([](NvWriter& out) {
            out.u8_array("generations", Bytes(hast::kGenerationsBytes));  // all unknown
          }) == Errc::malformed);
  }
}
