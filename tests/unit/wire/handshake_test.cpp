#include "hast/wire/handshake.hpp"

#include <vector>

#include "support/catch.hpp"
#include "support/hex.hpp"

using hast::ConstByteSpan;
using hast::Errc;
using hast::NvReader;
using hast::NvWriter;
using hast::SyncSource;
using hast::test::from_hex;
using namespace hast::wire;

namespace {

using Bytes = std::vector<std::byte>;

template <class Message>
Bytes frame_of(const Message& message, std::uint8_t version = 2) {
  Bytes out(kMaxEncodedBytes);
  const auto size = encode(message, version, out);
  REQUIRE(size);
  out.resize(*size);
  return out;
}

NvReader list_in(const Bytes& frame) {
  const auto nv = NvReader::parse(ConstByteSpan(frame).subspan(kFrameHeaderBytes));
  REQUIRE(nv);
  return *nv;
}

/// A list that keeps its bytes, for messages that no encoder of ours would write.
class List {
 public:
  template <class Fill>
  explicit List(Fill fill) : bytes_(2048) {
    NvWriter out(bytes_);
    fill(out);
    REQUIRE_FALSE(out.failed());
    bytes_.resize(out.size());
  }
  NvReader nv() const { return *NvReader::parse(bytes_); }

 private:
  Bytes bytes_;
};

template <class T>
Errc error_of(const hast::Result<T>& result) {
  REQUIRE_FALSE(result);
  return result.error().code;
}

Token token_a0() {
  Token token;
  for (std::size_t i = 0; i < token.size(); ++i) token[i] = static_cast<std::byte>(0xa0 + i);
  return token;
}

void counters(NvWriter& out) {
  out.i64("datasize", 4189696);
  out.i32("extentsize", 131072);
  out.u64("localcnt", 1);
  out.u64("remotecnt", 0);
}

}  // namespace

TEST_CASE("the golden first hello and reply are written and read") {
  const Bytes hello = from_hex(
      "01 34 00 00 00"
      "11 09 07 00 00 00 72 65 73 6f 75 72 63 65 00 00 00 00 00 00 00 00 73 68 61 72 65 64 00 00"
      "02 08 01 00 00 00 76 65 72 73 69 6f 6e 00 02 00 00 00 00 00 00 00");
  CHECK(frame_of(FirstHello{"shared", 2}, 1) == hello);
  CHECK_FALSE(is_second_hello(list_in(hello)));
  CHECK(decode_first_hello(list_in(hello))->resource == "shared");
  CHECK(decode_first_hello(list_in(hello))->version == 2);

  const Bytes reply = from_hex(
      "02 34 00 00 00 02 08 01 00 00 00 76 65 72 73 69 6f 6e 00 02 00 00 00 00 00 00 00"
      "0a 06 10 00 00 00 74 6f 6b 65 6e 00 00 00 a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af");
  CHECK(frame_of(FirstReply{2, token_a0()}) == reply);
  CHECK(decode_first_reply(list_in(reply))->token == token_a0());
  CHECK(decode_first_reply(list_in(reply))->version == 2);
}

TEST_CASE("a version that is absent, 0 or of another type means 1") {
  const auto version_of = [](auto fill) {
    const List list([&](NvWriter& out) { out.string("resource", "r0"), fill(out); });
    return decode_first_hello(list.nv())->version;
  };
  CHECK(version_of([](NvWriter&) {}) == 1);
  CHECK(version_of([](NvWriter& out) { out.u8("version", 0); }) == 1);
  CHECK(version_of([](NvWriter& out) { out.u32("version", 2); }) == 1);
  CHECK(version_of([](NvWriter& out) { out.u8("version", 200); }) == 200);
  const List reply([](NvWriter& out) { out.u8_array("token", token_a0()); });
  CHECK(decode_first_reply(reply.nv())->version == 1);
}

TEST_CASE("a reply may not choose a version that nobody here speaks") {
  const List reply([](NvWriter& out) {
    out.u8("version", kProtocolVersion + 1), out.u8_array("token", token_a0());
  });
  CHECK(error_of(decode_first_reply(reply.nv())) == Errc::version_mismatch);
}

TEST_CASE("resource names are text of 1 to 255 bytes") {
  const auto hello = [](std::string_view name) {
    const List list([&](NvWriter& out) { out.string("resource", name); });
    return decode_first_hello(list.nv());
  };
  CHECK(hello(std::string(255, 'n'))->resource.size() == 255);
  CHECK(error_of(hello(std::string(256, 'n'))) == Errc::malformed);
  CHECK(error_of(hello("")) == Errc::malformed);
  CHECK(error_of(hello("a\nb")) == Errc::malformed);
  CHECK(error_of(hello("a\x7f")) == Errc::malformed);
  CHECK(hello("gr\xc3\xbc\xc3\x9f")->resource.size() == 6);
  const List none([](NvWriter& out) { out.u8("version", 2); });
  CHECK(error_of(decode_first_hello(none.nv())) == Errc::missing_field);
  const List number([](NvWriter& out) { out.u8("resource", 2); });
  CHECK(error_of(decode_first_hello(number.nv())) == Errc::wrong_type);
}

TEST_CASE("a token has sixteen bytes") {
  for (const std::size_t size : {1U, 8U, 15U, 17U, 32U}) {
    const List list([&](NvWriter& out) {
      out.string("resource", "r0"), out.u8_array("token", Bytes(size));
      out.u64("resuid", 1), out.u64("localcnt", 0), out.u64("remotecnt", 0);
    });
    CHECK(is_second_hello(list.nv()));
    CHECK(error_of(decode_second_hello(list.nv())) == Errc::malformed);
    CHECK(error_of(decode_first_reply(list.nv())) == Errc::malformed);
  }
  const List text([](NvWriter& out) { out.string("token", "fifteen letters"); });
  CHECK(error_of(decode_first_reply(text.nv())) == Errc::wrong_type);
  const List none([](NvWriter& out) { out.u8("version", 2); });
  CHECK(error_of(decode_first_reply(none.nv())) == Errc::missing_field);
}

TEST_CASE("a refusal reads as an error with the peer's words") {
  const auto refused =
      decode_first_reply(list_in(frame_of(Refusal{"Resource not configured.", false})));
  CHECK(error_of(refused) == Errc::peer_refused);
  CHECK(refused.error().detail == "Resource not configured.");
  const auto waits = decode_first_reply(list_in(frame_of(Refusal{"busy", true})));
  CHECK(error_of(waits) == Errc::peer_waits);
  CHECK(waits.error().detail == "busy");
}

TEST_CASE("a peer's words are cut, cleaned and never empty") {  // INV-9
  const auto words = [](std::string_view text) {
    const List list([&](NvWriter& out) { out.string("errmsg", text); });
    return decode_first_reply(list.nv()).error().detail;
  };
  CHECK(words(std::string(2000, 'x')).size() == kMaxText);
  CHECK(words("a\nb\x1b[2Jc") == "a?b?[2Jc");
  CHECK(words("") == "(no reason given)");
}

TEST_CASE("the second hello comes back as it went, virgin by existence") {
  for (const bool virgin : {false, true}) {
    const SecondHello sent{"shared", token_a0(), virgin, ~0ULL, 3, 4};
    const Bytes frame = frame_of(sent);
    CHECK(is_second_hello(list_in(frame)));
    const auto got = decode_second_hello(list_in(frame));
    REQUIRE(got);
    CHECK(got->resource == sent.resource);
    CHECK(got->token == sent.token);
    CHECK(got->virgin == virgin);
    CHECK(got->resuid == ~0ULL);
    CHECK(got->localcnt == 3);
    CHECK(got->remotecnt == 4);
  }
}

TEST_CASE("a second hello without one of its numbers is refused") {
  for (const char* missing : {"resuid", "localcnt", "remotecnt"}) {
    const List list([&](NvWriter& out) {
      out.string("resource", "r0"), out.u8_array("token", token_a0());
      for (const char* name : {"resuid", "localcnt", "remotecnt"})
        if (std::string_view(name) != missing) out.u64(name, 1);
    });
    const auto hello = decode_second_hello(list.nv());
    CHECK(error_of(hello) == Errc::missing_field);
    CHECK(hello.error().detail == missing);
  }
}

TEST_CASE("the second reply comes back as it went") {
  SecondReply sent;
  sent.datasize = 4189696;
  sent.extentsize = 131072;
  sent.localcnt = 5;
  sent.remotecnt = 6;
  sent.virgin = true;
  sent.source = SyncSource::secondary;
  sent.mapsize = 512;
  Bytes scratch(512);
  sent.payload = encode_zeroes(512, hast::Checksum::sha256, scratch).info;
  const auto got = decode_second_reply(list_in(frame_of(sent)));
  REQUIRE(got);
  CHECK(got->datasize == 4189696);
  CHECK(got->extentsize == 131072);
  CHECK(got->localcnt == 5);
  CHECK(got->remotecnt == 6);
  CHECK(got->virgin);
  CHECK(got->source == SyncSource::secondary);
  CHECK(got->mapsize == 512);
  CHECK(got->payload.size_bytes == 4);
  CHECK(got->payload.hash == sent.payload.hash);
  CHECK(got->errmsg.empty());
}

TEST_CASE("after an error text nothing follows") {
  SecondReply sent;
  sent.datasize = 4189696;
  sent.extentsize = 131072;
  sent.errmsg = "Split-brain condition!";
  sent.mapsize = 512;
  const Bytes frame = frame_of(sent);
  CHECK_FALSE(list_in(frame).contains("mapsize"));
  CHECK(decode_second_reply(list_in(frame))->errmsg == "Split-brain condition!");
  const List empty([](NvWriter& out) { counters(out), out.string("errmsg", ""); });
  CHECK(decode_second_reply(empty.nv())->errmsg == "(no reason given)");
}

TEST_CASE("the direction of a resync is 1 or 2 and nothing else") {  // the original aborts
  for (const std::uint8_t source : {0, 3, 255}) {
    const List list(
        [&](NvWriter& out) { counters(out), out.u8("syncsrc", source), out.u32("mapsize", 0); });
    CHECK(error_of(decode_second_reply(list.nv())) == Errc::malformed);
  }
  const List none([](NvWriter& out) { counters(out), out.u32("mapsize", 0); });
  CHECK(error_of(decode_second_reply(none.nv())) == Errc::missing_field);
}

TEST_CASE("a map and its payload belong together") {
  const auto reply = [](std::uint32_t mapsize, std::uint32_t size) {
    const List list([&](NvWriter& out) {
      counters(out), out.u8("syncsrc", 1), out.u32("mapsize", mapsize);
      if (size != 0) out.u32("size", size);
    });
    return decode_second_reply(list.nv());
  };
  CHECK(reply(0, 0));
  CHECK(reply(512, 512));
  CHECK(reply(512, 4));
  CHECK(reply(1, 4));  // a hole of one byte
  CHECK(error_of(reply(512, 0)) == Errc::malformed);
  CHECK(error_of(reply(512, 513)) == Errc::malformed);
  CHECK(error_of(reply(0, 4)) == Errc::malformed);
  CHECK(error_of(reply(512, ~0U)) == Errc::malformed);
}

TEST_CASE("sizes that no volume has are refused") {
  const auto reply = [](std::int64_t datasize, std::int32_t extentsize) {
    const List list([&](NvWriter& out) {
      out.i64("datasize", datasize), out.i32("extentsize", extentsize);
      out.u64("localcnt", 1), out.u64("remotecnt", 0);
      out.u8("syncsrc", 1), out.u32("mapsize", 0);
    });
    return decode_second_reply(list.nv());
  };
  CHECK(reply(512, 512));
  CHECK(error_of(reply(0, 512)) == Errc::malformed);
  CHECK(error_of(reply(-512, 512)) == Errc::malformed);
  CHECK(error_of(reply(512, 0)) == Errc::malformed);
  CHECK(error_of(reply(512, INT32_MIN)) == Errc::malformed);
}

TEST_CASE("version 3 tells generations, marks, sizes and heartbeat, version 2 nothing of it") {
  NativeFacts facts;
  facts.generations.begin(7);
  facts.generations.begin(8);
  facts.generations.synced = 7;
  facts.inconsistent = facts.outdated = true;
  facts.sector_bytes = 4096;
  facts.max_io_bytes = 1 << 20;
  facts.heartbeat_ms = 1500;
  facts.boot = 0xb007;
  SecondHello hello{"shared", token_a0(), true, 1, 2, 3};
  hello.native = facts;
  CHECK(decode_second_hello(list_in(frame_of(hello, 3)))->native == facts);
  CHECK(decode_second_hello(list_in(frame_of(hello, 2)))->native == NativeFacts{});
  SecondReply reply;
  reply.datasize = 1 << 20;
  reply.extentsize = 4096;
  reply.native = facts;
  CHECK(decode_second_reply(list_in(frame_of(reply, 3)))->native == facts);
  CHECK(decode_second_reply(list_in(frame_of(reply, 2)))->native == NativeFacts{});
}

TEST_CASE("an encoder that lacks room says so") {
  const SecondHello hello{std::string(255, 'n'), token_a0(), true, 1, 2, 3};
  const std::size_t whole = frame_of(hello).size();
  for (std::size_t room = 0; room < whole; ++room) {
    Bytes out(room);
    REQUIRE(error_of(encode(hello, 2, out)) == Errc::too_large);
  }
  Bytes out(kMaxEncodedBytes);
  CHECK(error_of(encode(FirstHello{std::string(2000, 'n'), 2}, 2, out)) == Errc::too_large);
  CHECK(error_of(encode(FirstHello{std::string("a\0b", 3), 2}, 2, out)) == Errc::too_large);
}

TEST_CASE("a second reply without one of its fields, or with one of another type, is refused") {
  const char* const names[] = {"datasize", "extentsize", "localcnt", "remotecnt", "mapsize"};
  const auto error_without = [&](std::string_view missing, bool of_another_type) {
    const List list([&](NvWriter& out) {
      for (const std::string_view name : names) {
        if (name == missing) {
          if (of_another_type) out.string(name, "many");
        } else if (name == "datasize") {
          out.i64(name, 4189696);
        } else if (name == "extentsize") {
          out.i32(name, 131072);
        } else if (name == "mapsize") {
          out.u32(name, 0);
        } else {
          out.u64(name, 1);
        }
      }
      out.u8("syncsrc", 1);
    });
    const auto reply = decode_second_reply(list.nv());
    REQUIRE_FALSE(reply);
    CHECK(reply.error().detail == missing);
    return reply.error().code;
  };
  for (const char* missing : names) {
    CHECK(error_without(missing, false) == Errc::missing_field);
    CHECK(error_without(missing, true) == Errc::wrong_type);
  }
}

TEST_CASE("a second reply whose map is of an unknown kind is refused") {
  const List list([](NvWriter& out) {
    counters(out), out.u8("syncsrc", 1), out.u32("mapsize", 512);
    out.string("compression", "zstd"), out.u32("size", 512);
  });
  CHECK(error_of(decode_second_reply(list.nv())) == Errc::unknown_algorithm);
}

TEST_CASE("words that are no text are no refusal and no answer") {
  const List list([](NvWriter& out) { counters(out), out.u32("errmsg", 13); });
  CHECK(error_of(decode_first_reply(list.nv())) == Errc::wrong_type);
  CHECK(error_of(decode_second_reply(list.nv())) == Errc::wrong_type);
}
