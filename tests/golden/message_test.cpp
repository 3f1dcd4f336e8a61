// Every message decodes to the values of its index, and our encoder would have sent the same bytes,
// name padding aside. Of the hand-made messages some are refused, each for the reason it was made.
#include <map>
#include <set>
#include <string>
#include <variant>

#include "golden/vectors.hpp"
#include "hast/wire/handshake.hpp"
#include "hast/wire/request.hpp"
#include "support/catch.hpp"

using namespace hast;
using namespace hast::golden;
using namespace hast::wire;

namespace {

using Bytes = std::vector<std::byte>;

NvReader list_of(const Message& message) {
  const auto nv = NvReader::parse(message.nv);
  REQUIRE(nv);
  return *nv;
}

std::uint8_t version_byte(const Message& message) {
  return std::to_integer<std::uint8_t>(message.header[0]);
}

Bytes result_of(Result<std::size_t> size, Bytes out) {
  REQUIRE(size);
  out.resize(*size);
  return out;
}

template <class T>
Bytes encoded(const T& value, const Message& message) {
  Bytes out(kMaxEncodedBytes);
  const Result<std::size_t> size = encode(value, version_byte(message), out);
  return result_of(size, std::move(out));
}

/// Encodes what was decoded and compares it with what the original sent.
template <class T>
void check_reproduced(const Result<T>& value, const Message& message) {
  REQUIRE(value);
  Bytes sent(message.header.begin(), message.header.end());
  const Bytes list = masked(message.nv);
  sent.insert(sent.end(), list.begin(), list.end());
  CHECK(encoded(*value, message) == sent);
}

void check_payload_info(const PayloadInfo& info, const Message& message) {
  CHECK(info.size_bytes == message.number("size"));
  CHECK((info.compression == Compression::none) == !message.has("compression"));
  CHECK((info.checksum == Checksum::none) == !message.has("checksum"));
  if (message.has("compression")) CHECK(to_string(info.compression) == message.text("compression"));
  if (message.has("checksum")) CHECK(to_string(info.checksum) == message.text("checksum"));
}

// What the index says, by kind of message.

void check_request(const Message& message) {
  const auto request = decode_request(list_of(message));
  REQUIRE(request);
  CHECK(static_cast<unsigned>(request->command) == message.number("cmd"));
  CHECK(request->seq == message.number("seq"));
  CHECK(request->offset_bytes == message.number("offset"));
  CHECK(request->length_bytes == message.number("length"));
  CHECK(request->memsync == message.has("memsync"));
  check_payload_info(request->payload, message);
}

void check_reply(const Message& message) {
  const auto reply = decode_reply(list_of(message));
  REQUIRE(reply);
  CHECK(reply->seq == message.number("seq"));
  CHECK(reply->received == message.has("received"));
  CHECK(freebsd_errno(reply->error) == static_cast<int>(message.number("error")));
  check_payload_info(reply->payload, message);
}

void check_first_hello(const Message& message) {
  const auto hello = decode_first_hello(list_of(message));
  REQUIRE(hello);
  CHECK(hello->resource == message.text("resource"));
  const NvReader nv = list_of(message);
  const NvElement* version = nv.find("version");
  const bool readable = version != nullptr && version->type == NvType::uint8;
  CHECK(hello->version == (readable ? message.number("version") : 1));
}

void check_second_hello(const Message& message) {
  const auto hello = decode_second_hello(list_of(message));
  REQUIRE(hello);
  CHECK(hello->resource == message.text("resource"));
  CHECK(hello->virgin == message.has("virgin"));
  CHECK(hello->resuid == message.number("resuid"));
  CHECK(hello->localcnt == message.number("localcnt"));
  CHECK(hello->remotecnt == message.number("remotecnt"));
}

void check_first_reply(const Message& message) {
  const auto reply = decode_first_reply(list_of(message));
  if (message.has("errmsg")) {
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == (message.has("wait") ? Errc::peer_waits : Errc::peer_refused));
    CHECK(reply.error().detail == message.text("errmsg"));
  } else {
    REQUIRE(reply);
    CHECK(reply->version == message.number("version"));
  }
}

void check_second_reply(const Message& message) {
  const auto reply = decode_second_reply(list_of(message));
  REQUIRE(reply);
  CHECK(static_cast<std::uint64_t>(reply->datasize) == message.number("datasize"));
  CHECK(static_cast<std::uint64_t>(reply->extentsize) == message.number("extentsize"));
  CHECK(reply->localcnt == message.number("localcnt"));
  CHECK(reply->remotecnt == message.number("remotecnt"));
  CHECK(reply->errmsg == (message.has("errmsg") ? message.text("errmsg") : ""));
  CHECK(reply->virgin == message.has("virgin"));
  CHECK(reply->mapsize == message.number("mapsize"));
  if (!message.has("errmsg"))
    CHECK(static_cast<unsigned>(reply->source) == message.number("syncsrc"));
  check_payload_info(reply->payload, message);
}

struct Codec {
  void (*check)(const Message&);
  void (*reproduce)(const Message&);
};

template <auto decode>
void reproduce(const Message& message) {
  check_reproduced(decode(list_of(message)), message);
}

void reproduce_first_reply(const Message& message) {
  if (!message.has("errmsg")) return reproduce<decode_first_reply>(message);
  const Result<Refusal> refusal = Refusal{message.text("errmsg"), message.has("wait")};
  check_reproduced(refusal, message);
}

/// What a message is shows in its direction and its fields, as for a receiver.
Codec codec_of(const Message& message) {
  if (message.from_primary) {
    if (message.has("token")) return {check_second_hello, reproduce<decode_second_hello>};
    if (message.has("resource")) return {check_first_hello, reproduce<decode_first_hello>};
    return {check_request, reproduce<decode_request>};
  }
  if (message.has("datasize")) return {check_second_reply, reproduce<decode_second_reply>};
  if (message.has("seq")) return {check_reply, reproduce<decode_reply>};
  return {check_first_reply, reproduce_first_reply};
}

/// Hand-made cases whose last message of the primary no receiver of ours accepts.
const std::map<std::string, Errc> kRefused = {
    {"hs-no-resource", Errc::missing_field}, {"hs-short-token", Errc::missing_field},
    {"unknown-cmd", Errc::missing_field},  // it has no seq either: there is nothing to answer
    {"missing-cmd", Errc::missing_field},    {"missing-offset", Errc::missing_field},
    {"write-no-size", Errc::malformed},      {"write-unknown-checksum", Errc::unknown_algorithm},
};

const Message* last_of_primary(const Scenario& scenario) {
  const Message* last = nullptr;
  for (const Message& message : scenario.messages)
    if (message.from_primary && (last == nullptr || message.connection == 0)) last = &message;
  return last;
}

bool is_refused(const Scenario& scenario, const Message& message) {
  return scenario.kind == Kind::probe && scenario.ours && kRefused.contains(scenario.name) &&
         &message == last_of_primary(scenario);
}

Errc refusal_of(const Message& message) {
  const auto header = decode_frame_header(message.header);
  if (!header) return header.error().code;
  const NvReader nv = list_of(message);
  if (is_second_hello(nv)) {
    const auto hello = decode_second_hello(nv);
    REQUIRE_FALSE(hello);
    return hello.error().code;
  }
  if (message.number("cmd") == 0 && !message.has("seq")) {
    const auto hello = decode_first_hello(nv);
    REQUIRE_FALSE(hello);
    return hello.error().code;
  }
  const auto request = decode_request(nv);
  REQUIRE_FALSE(request);
  return request.error().code;
}

}  // namespace

TEST_CASE("every message means what its index says") {
  for (const Scenario& scenario : scenarios())
    for (const Message& message : scenario.messages) {
      if (is_refused(scenario, message) || is_unknown_probe(scenario, message)) continue;
      INFO(message.where);
      codec_of(message).check(message);
    }
}

TEST_CASE("every message of the originals is what we would have sent") {
  for (const Scenario& scenario : scenarios())
    for (const Message& message : scenario.messages) {
      // What was made by hand need not be in the original's order.
      if (scenario.kind == Kind::probe && message.from_primary) continue;
      INFO(message.where);
      codec_of(message).reproduce(message);
    }
}

TEST_CASE("hand-made messages that break the protocol are refused for their reason") {
  std::set<std::string> seen;
  for (const Scenario& scenario : scenarios()) {
    const Message* message = last_of_primary(scenario);
    if (message == nullptr || !is_refused(scenario, *message)) continue;
    INFO(message->where);
    CHECK(refusal_of(*message) == kRefused.at(scenario.name));
    seen.insert(scenario.name);
  }
  CHECK(seen.size() == kRefused.size());
}
