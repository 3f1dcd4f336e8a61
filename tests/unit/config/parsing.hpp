// What the tests of the configuration share: parse for a node called "nodea", or expect an error;
// and what the manual says.
#pragma once

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include "hast/config/parse.hpp"
#include "support/catch.hpp"

namespace hast::config {

inline NodeIdentity nodea() { return {"nodea", {}, {}, {}}; }
inline NodeIdentity nodeb() { return {"nodeb", {}, {}, {}}; }

inline Config parsed(std::string_view text, const NodeIdentity& node = nodea()) {
  Result<Config> config = parse_config(text, "hast.yaml", node);
  INFO((config ? "" : config.error().detail));
  REQUIRE(config);
  return *config;
}

inline std::string refused(std::string_view text, const NodeIdentity& node = nodea()) {
  const Result<Config> config = parse_config(text, "f", node);
  REQUIRE_FALSE(config);
  return config.error().detail;
}

/// A resource that is complete but for what a test adds to it.
inline std::string resource_with(std::string_view lines) {
  return "resources:\n"
         "  r0:\n"
         "    local: /dev/r0\n"
         "    nodes: {nodea: {remote: none}}\n" +
         std::string(lines);
}

/// The words of hast.yaml(5) from one of its texts to the next.
inline std::set<std::string> manual_words(std::string_view begin, std::string_view end) {
  std::ifstream file(std::string(HAST_SOURCE_DIR) + "/docs/man/hast.yaml.5");
  std::stringstream page;
  page << file.rdbuf();
  const std::string text = page.str();
  const std::size_t from = text.find(begin);
  REQUIRE(from != std::string::npos);
  std::istringstream part(text.substr(from, text.find(end, from) - from));
  return {std::istream_iterator<std::string>(part), {}};
}

inline std::string repeat(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

}  // namespace hast::config
