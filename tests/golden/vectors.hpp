// The recorded conversations of the original: folders DIR/wire/SCENARIO and DIR/probe/CASE with a
// stream a file and an index.json that says what is in it. DIR is tests/golden and, if it is set,
// $HAST_VECTORS, a folder of the same form.
#pragma once

#include <boost/json.hpp>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "hast/base/bytes.hpp"

namespace hast::golden {

/// `wire`: between two originals. `probe`: made by hand and sent to one; may break the protocol.
enum class Kind { wire, probe };

/// One message as the index describes it, and its bytes.
struct Message {
  std::string where;  // "basic-async conn0.c2s @57": for failures
  int connection = 0;
  bool from_primary = false;  // c2s
  std::size_t offset = 0;     // in its stream
  ConstByteSpan header, nv, payload;
  boost::json::array elements;
  boost::json::object fields;

  ConstByteSpan frame() const { return {header.data(), header.size() + nv.size()}; }
  std::string text(const char* field) const;
  std::uint64_t number(const char* field) const;  // 0 if absent
  bool has(const char* field) const { return fields.contains(field); }
};

struct Scenario {
  Kind kind = Kind::wire;
  bool ours = true;  // of tests/golden: here the tests know what is refused and why
  std::string name;
  boost::json::object params;
  std::map<std::string, std::vector<std::byte>> streams;  // "conn0.c2s"
  std::vector<Message> messages;                          // views into streams
};

/// All of them, read once.
const std::vector<Scenario>& scenarios();

/// True if a message may break the protocol in ways that these tests do not know.
inline bool is_unknown_probe(const Scenario& scenario, const Message& message) {
  return scenario.kind == Kind::probe && !scenario.ours && message.from_primary;
}

/// A copy of an nv list with zeros where the original left garbage: behind the names.
std::vector<std::byte> masked(ConstByteSpan nv);

}  // namespace hast::golden
