// Every payload verifies and expands to exactly what its message promised, and our pipeline with
// the settings of the scenario makes the same of it.
#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "golden/vectors.hpp"
#include "hast/wire/compression.hpp"
#include "hast/wire/request.hpp"
#include "support/catch.hpp"

using namespace hast;
using namespace hast::golden;
using namespace hast::wire;

namespace {

using Bytes = std::vector<std::byte>;

/// Hand-made payloads that must not reach a disk.
const std::map<std::string, Errc> kRefused = {
    {"write-bad-crc32", Errc::checksum_mismatch},
    {"write-size-smaller-than-length", Errc::malformed},
    {"write-size-too-big", Errc::too_large},
};

/// The length of the READ that a reply answers: the oldest of its seq on the first connection of
/// the pair, since the original answers in order.
class Reads {
 public:
  explicit Reads(const Scenario& scenario) {
    for (const Message& message : scenario.messages)
      if (message.from_primary && message.number("cmd") == 1)
        lengths_[{message.connection, message.number("seq")}].push_back(message.number("length"));
  }
  std::uint64_t answered_by(const Message& reply) {
    auto& waiting = lengths_[{reply.connection - 1, reply.number("seq")}];
    REQUIRE_FALSE(waiting.empty());
    const std::uint64_t length = waiting.front();
    waiting.pop_front();
    return length;
  }

 private:
  std::map<std::pair<int, std::uint64_t>, std::deque<std::uint64_t>> lengths_;
};

std::uint64_t promised_length(const Message& message, Reads& reads) {
  if (message.has("mapsize")) return message.number("mapsize");
  if (message.from_primary) return message.number("length");
  return reads.answered_by(message);
}

PayloadInfo info_of(const Message& message) {
  const auto nv = NvReader::parse(message.nv);
  REQUIRE(nv);
  const auto info = decode_payload_info(*nv);
  REQUIRE(info);
  return *info;
}

/// Calls `check(scenario, message, data)` for every payload that any receiver accepts; returns the
/// names of the scenarios in which one was refused.
template <class Check>
std::set<std::string> for_each_payload(Check check) {
  std::set<std::string> refused;
  for (const Scenario& scenario : scenarios()) {
    Reads reads(scenario);
    for (const Message& message : scenario.messages) {
      if (message.payload.empty() || is_unknown_probe(scenario, message)) continue;
      if (scenario.name == "write-unknown-checksum") continue;  // refused with its list
      INFO(message.where);
      Bytes data(promised_length(message, reads), std::byte{0xee});
      const auto done = decode_payload(info_of(message), message.payload, data);
      if (message.from_primary && kRefused.contains(scenario.name)) {
        REQUIRE_FALSE(done);
        CHECK(done.error().code == kRefused.at(scenario.name));
        refused.insert(scenario.name);
        continue;
      }
      REQUIRE(done);
      check(scenario, message, data);
    }
  }
  return refused;
}

PayloadOptions options_of(const Scenario& scenario) {
  const auto word = [&](const char* name) {
    return std::string(scenario.params.at(name).as_string());
  };
  return {parse_checksum(word("checksum")).value(), parse_compression(word("compression")).value()};
}

}  // namespace

TEST_CASE("every payload verifies and expands to the length that was promised") {
  int payloads = 0;
  const std::set<std::string> refused =
      for_each_payload([&](const Scenario&, const Message&, const Bytes&) { ++payloads; });
  CHECK(payloads >= 140);
  CHECK(refused.size() == kRefused.size());
}

TEST_CASE("with the settings of the scenario our pipeline sends the same") {
  int compared = 0;
  for_each_payload([&](const Scenario& scenario, const Message& message, const Bytes& data) {
    if (scenario.kind == Kind::probe) return;  // settings unknown
    Bytes scratch(std::max<std::size_t>(data.size(), 8));
    const EncodedPayload ours = encode_payload(data, options_of(scenario), scratch);
    const PayloadInfo theirs = info_of(message);
    CHECK(ours.info.compression == theirs.compression);
    CHECK(ours.info.checksum == theirs.checksum);
    ++compared;
    if (theirs.compression == Compression::lzf) {
      // Two lzf encoders need not agree; what they say must.
      Bytes back(data.size());
      REQUIRE(decode_payload(ours.info, ours.bytes, back));
      CHECK(back == data);
      return;
    }
    CHECK(ours.info.hash == theirs.hash);
    CHECK(std::ranges::equal(ours.bytes, message.payload));
  });
  CHECK(compared >= 100);
}
