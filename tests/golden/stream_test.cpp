// Every stream splits into the messages of its index, and every element of them reads as indexed.
#include <set>
#include <string>

#include "golden/vectors.hpp"
#include "hast/wire/frame.hpp"
#include "support/catch.hpp"

using namespace hast;
using namespace hast::golden;
namespace json = boost::json;

namespace {

std::string hex(ConstByteSpan bytes) {
  static const char* const digits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += digits[std::to_integer<unsigned>(byte) >> 4];
    text += digits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

/// True if `element` of `nv` holds what the index says, read through the getter of its type.
bool holds(const NvReader& nv, const NvElement& element, const json::value& value) {
  const auto name = element.name;
  const auto is = [&](const auto& got) {
    REQUIRE(got);
    return value.to_number<std::decay_t<decltype(*got)>>() == *got;
  };
  switch (element.type) {
    case NvType::uint8:
      return is(nv.u8(name));
    case NvType::int8:
      return is(nv.i8(name));
    case NvType::int16:
      return is(nv.i16(name));
    case NvType::uint32:
      return is(nv.u32(name));
    case NvType::int32:
      return is(nv.i32(name));
    case NvType::uint64:
      return is(nv.u64(name));
    case NvType::int64:
      return is(nv.i64(name));
    case NvType::string:
      return *nv.string(name) == std::string_view(value.as_string());
    case NvType::uint8_array:
      return hex(*nv.u8_array(name)) == std::string(value.as_string());
    default:
      return false;
  }
}

/// The messages of one stream of `scenario`, in order.
std::vector<const Message*> in_stream(const Scenario& scenario, const std::string& stream) {
  std::vector<const Message*> found;
  for (const Message& message : scenario.messages)
    if (stream ==
        "conn" + std::to_string(message.connection) + (message.from_primary ? ".c2s" : ".s2c"))
      found.push_back(&message);
  return found;
}

/// Reads a stream as a peer would: header, list, and as many bytes as the list's `size` says. A
/// header that we refuse must be one of a newer version.
void check_stream(const Scenario& scenario, const std::vector<std::byte>& bytes,
                  const std::vector<const Message*>& expected) {
  ByteReader stream(bytes);
  for (const Message* message : expected) {
    INFO(message->where);
    REQUIRE(bytes.size() - stream.remaining() == message->offset);
    const auto header = wire::decode_frame_header(stream.take(wire::kFrameHeaderBytes));
    if (!header) {
      if (is_unknown_probe(scenario, *message)) return;
      CHECK(header.error().code == Errc::version_mismatch);
      CHECK(std::to_integer<int>(message->header[0]) > wire::kProtocolVersion);
      return;
    }
    CHECK(header->version == std::to_integer<int>(message->header[0]));
    const ConstByteSpan list = stream.take(header->nv_bytes);
    const auto nv = NvReader::parse(list);
    if (!nv && is_unknown_probe(scenario, *message)) return;
    REQUIRE(nv);
    const auto size = nv->u32("size");
    CHECK(stream.take(size ? *size : 0).size() == message->payload.size());
  }
  CHECK_FALSE(stream.failed());
  CHECK(stream.remaining() == 0);
}

}  // namespace

TEST_CASE("the recordings are there") {
  std::set<std::string> names;
  std::size_t messages = 0;
  for (const Scenario& scenario : scenarios()) {
    names.insert(scenario.name);
    messages += scenario.messages.size();
  }
  CHECK(names.size() >= 55);
  CHECK(messages >= 840);
}

TEST_CASE("every stream splits into the messages of its index") {
  for (const Scenario& scenario : scenarios())
    for (const auto& [name, bytes] : scenario.streams)
      check_stream(scenario, bytes, in_stream(scenario, name));
}

TEST_CASE("every element of every message reads as the index says") {
  for (const Scenario& scenario : scenarios())
    for (const Message& message : scenario.messages) {
      INFO(message.where);
      const auto nv = NvReader::parse(message.nv);
      if (!nv && is_unknown_probe(scenario, message)) continue;
      REQUIRE(nv);
      REQUIRE(nv->elements().size() == message.elements.size());
      for (std::size_t i = 0; i < message.elements.size(); ++i) {
        const NvElement& element = nv->elements()[i];
        const json::object& indexed = message.elements[i].as_object();
        INFO(element.name);
        CHECK(element.name == std::string_view(indexed.at("name").as_string()));
        CHECK(static_cast<int>(element.type) == indexed.at("type_byte").as_int64());
        const auto data_offset = element.data.data() - message.header.data();
        CHECK(static_cast<std::int64_t>(message.offset) + data_offset ==
              indexed.at("data_offset").as_int64());
        CHECK(holds(*nv, element, indexed.at("value")));
      }
    }
}
