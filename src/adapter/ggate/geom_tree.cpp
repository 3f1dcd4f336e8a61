#include "geom_tree.hpp"

namespace hast::adapter::ggate {

namespace {

/// What lies between `begin` and the next `end`; empty: there is no such part.
std::string_view part(std::string_view text, std::string_view begin, std::string_view end) {
  const std::size_t from = text.find(begin);
  if (from == std::string_view::npos) return {};
  const std::string_view rest = text.substr(from + begin.size());
  return rest.substr(0, rest.find(end));
}

/// What is said of the gate device of that name; empty: there is none. Names are unique within a
/// class only: what puts the node into /dev is a geom of the same name, and always has a consumer.
std::string_view gate(std::string_view tree, std::string_view name) {
  std::string_view gates = part(tree, "<name>GATE</name>", "</class>");
  for (;;) {
    const std::string_view geom = part(gates, "<geom id=", "</geom>");
    if (geom.empty() || part(geom, "<name>", "</name>") == name) return geom;
    gates = gates.substr(static_cast<std::size_t>(geom.data() - gates.data()) + geom.size());
  }
}

}  // namespace

bool reads_component(std::string_view tree, std::string_view name) {
  return gate(tree, name).find("<consumer id=") != std::string_view::npos;
}

}  // namespace hast::adapter::ggate
