#include "geom_tree.hpp"

#include <string>

namespace hast::adapter::ggate {

namespace {

/// What lies between `begin` and the next `end`; empty: there is no such part.
std::string_view part(std::string_view text, std::string_view begin, std::string_view end) {
  const std::size_t from = text.find(begin);
  if (from == std::string_view::npos) return {};
  const std::string_view rest = text.substr(from + begin.size());
  return rest.substr(0, rest.find(end));
}

}  // namespace

// Names are unique within a class only: what puts the node into /dev is a geom of the same name,
// and always has a consumer.
bool reads_component(std::string_view tree, std::string_view name) {
  std::string_view gates = part(tree, "<name>GATE</name>", "</class>");
  for (;;) {
    const std::string_view geom = part(gates, "<geom id=", "</geom>");
    if (geom.empty()) return false;
    if (part(geom, "<name>", "</name>") == name)
      return geom.find("<consumer id=") != std::string_view::npos;
    gates = gates.substr(static_cast<std::size_t>(geom.data() - gates.data()) + geom.size());
  }
}

}  // namespace hast::adapter::ggate
