// The names this machine answers to in `nodes:` blocks (config-and-cli §2): the one given with
// --node, or else host name, short host name, host UUIDs and "hostid<decimal>". Found once at
// start; a plain value afterwards, so tests make their own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hast::config {

struct NodeIdentity {
  std::optional<std::string> given;  // --node: then no other name counts
  std::string hostname;
  std::vector<std::string> uuids;  // compared without regard to case and dashes
  std::optional<std::uint64_t> hostid;

  /// The names of the machine hast runs on. What cannot be read is left out: it then matches
  /// nothing.
  static NodeIdentity of_this_host(std::optional<std::string> given = std::nullopt);

  bool matches(std::string_view name) const;
  /// Short name, full name, UUIDs, host id, in the original's order: for the error message.
  std::vector<std::string> acceptable_names() const;
};

}  // namespace hast::config
