#include "schema.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "hast/config/parse.hpp"
#include "nearest.hpp"
#include "value.hpp"

namespace hast::config {
namespace {

using yaml::Node;

/// A key of a map and how its value is stored. Tables of these are the schema.
template <class T>
struct Key {
  std::string_view name;
  Result<void> (*store)(const Node& value, T& into);
};

template <auto member, auto convert, class T>
Result<void> store(const Node& node, T& into) {
  auto value = convert(node);
  if (!value) return std::move(value).error();
  into.*member = {*std::move(value), node.mark};
  return {};
}

template <class T, std::size_t count>
using Table = std::array<Key<T>, count>;

template <class T, std::size_t a, std::size_t b>
constexpr Table<T, a + b> join(const Table<T, a>& first, const Table<T, b>& second) {
  Table<T, a + b> joined{};
  std::copy(second.begin(), second.end(), std::copy(first.begin(), first.end(), joined.begin()));
  return joined;
}

Error unknown_key(const Node& key, std::span<const std::string_view> valid) {
  // The right word in the wrong place is the commonest mistake of all.
  for (const std::string& known : schema_keys())
    if (known.ends_with("." + key.text) || known == key.text)
      return yaml::error_at(key.mark, fmt::format("\"{}\" does not belong here but in {}; {}",
                                                  key.text, known, hint_for("", valid)));
  return yaml::error_at(key.mark,
                        fmt::format("unknown key \"{}\": {}", key.text, hint_for(key.text, valid)));
}

Error wants_map(const Node& node, std::string_view what) {
  return yaml::error_at(node.mark, fmt::format("{} is expected here", what));
}

template <class T, std::size_t count>
Result<void> read_map(const Node& node, const Table<T, count>& table, T& into) {
  if (node.kind == Node::Kind::null) return {};
  if (node.kind != Node::Kind::map) return wants_map(node, "a map of keys and values");
  for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
    const Node& key = node.items[i];
    const auto found = std::find_if(table.begin(), table.end(),
                                    [&](const Key<T>& row) { return row.name == key.text; });
    if (found == table.end()) {
      std::array<std::string_view, count> valid;
      std::transform(table.begin(), table.end(), valid.begin(), [](auto& row) { return row.name; });
      return unknown_key(key, valid);
    }
    if (Result<void> stored = found->store(node.items[i + 1], into); !stored) return stored;
  }
  return {};
}

/// A map whose keys are names the operator chose: nodes, resources.
template <class T, std::size_t count>
Result<void> read_named(const Node& node, const Table<T, count>& table, std::string_view what,
                        std::vector<Named<T>>& into) {
  if (node.kind == Node::Kind::null) return {};
  if (node.kind != Node::Kind::map) return wants_map(node, fmt::format("a map of {}s", what));
  for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
    const Node& key = node.items[i];
    if (Result<void> checked =
            value::check_name(fmt::format("the {} name", what), key.text, key.mark);
        !checked)
      return checked;
    Named<T> named{key.text, key.mark, {}};
    if (Result<void> read = read_map(node.items[i + 1], table, named.value); !read) return read;
    into.push_back(std::move(named));
  }
  return {};
}

template <class T>
constexpr Table<T, 12> kSettings{{
    {"replication", store<&T::replication, value::replication>},
    {"checksum", store<&T::checksum, value::checksum>},
    {"compression", store<&T::compression, value::compression>},
    {"timeout", store<&T::timeout, value::timeout>},
    {"heartbeat", store<&T::heartbeat, value::heartbeat>},
    {"metaflush", store<&T::metaflush, value::flag>},
    {"io", store<&T::io, value::io_mode>},
    {"on_local_error", store<&T::on_local_error, value::on_local_error>},
    {"on_peer_loss", store<&T::on_peer_loss, value::on_peer_loss>},
    {"fence", store<&T::fence, value::hook>},
    {"fence_timeout", store<&T::fence_timeout, value::fence_timeout>},
    {"exec", store<&T::exec, value::hook>},
}};

constexpr Table<FrontendKeys, 6> kFrontend{{
    {"type", store<&FrontendKeys::type, value::frontend_type>},
    {"listen", store<&FrontendKeys::listen, value::frontend_listen>},
    {"device", store<&FrontendKeys::device, value::nbd_device>},
    {"connections", store<&FrontendKeys::connections, value::connections>},
    {"dead_timeout", store<&FrontendKeys::dead_timeout, value::timeout>},
    {"direct_reads", store<&FrontendKeys::direct_reads, value::flag>},
}};

template <class T>
Result<void> store_frontend(const Node& node, T& into) {
  if (Result<void> read = read_map(node, kFrontend, into.frontend); !read) return read;
  const FrontendKeys& keys = into.frontend;
  if (keys.type && keys.type->value != FrontendType::nbd && keys.listen)
    return yaml::error_at(keys.listen->mark,
                          fmt::format("a front-end of type {} does not listen: remove this, or "
                                      "write type: nbd",
                                      to_string(keys.type->value)));
  return {};
}

constexpr Table<ResourceNode, 7> kResourceNode{{
    {"remote", store<&ResourceNode::remote, value::remote>},
    {"local", store<&ResourceNode::local, value::path>},
    {"source", store<&ResourceNode::source, value::source>},
    {"name", store<&ResourceNode::name, value::name>},
    {"metaflush", store<&ResourceNode::metaflush, value::flag>},
    {"io", store<&ResourceNode::io, value::io_mode>},
    {"frontend", store_frontend},
}};

Result<void> store_resource_nodes(const Node& node, Resource& into) {
  return read_named(node, kResourceNode, "node", into.nodes);
}

constexpr auto kResource =
    join(kSettings<Resource>, Table<Resource, 4>{{
                                  {"local", store<&Resource::local, value::path>},
                                  {"name", store<&Resource::name, value::name>},
                                  {"frontend", store_frontend},
                                  {"nodes", store_resource_nodes},
                              }});

template <class T>
constexpr Table<T, 3> kDaemon{{
    {"control", store<&T::control, value::control>},
    {"pidfile", store<&T::pidfile, value::path>},
    {"listen", store<&T::listen, value::listen>},
}};

Result<void> store_nodes(const Node& node, Document& into) {
  return read_named(node, kDaemon<DaemonKeys>, "node", into.nodes);
}
Result<void> store_defaults(const Node& node, Document& into) {
  return read_map(node, kSettings<Settings>, into.defaults);
}
Result<void> store_resources(const Node& node, Document& into) {
  if (node.items.size() / 2 > kMaxResources)
    return yaml::error_at(node.mark, fmt::format("more than {} resources", kMaxResources));
  return read_named(node, kResource, "resource", into.resources);
}

constexpr auto kDocument =
    join(kDaemon<Document>, Table<Document, 5>{{
                                {"threads", store<&Document::threads, value::threads>},
                                {"busy_poll", store<&Document::busy_poll, value::busy_poll>},
                                {"nodes", store_nodes},
                                {"defaults", store_defaults},
                                {"resources", store_resources},
                            }});

template <class T, std::size_t count>
void list_keys(std::string_view prefix, const Table<T, count>& table,
               std::vector<std::string>& to) {
  for (const Key<T>& key : table) to.push_back(fmt::format("{}{}", prefix, key.name));
}

}  // namespace

std::vector<std::string> schema_keys() {
  std::vector<std::string> all;
  list_keys("", kDocument, all);
  list_keys("nodes.NODE.", kDaemon<DaemonKeys>, all);
  list_keys("defaults.", kSettings<Settings>, all);
  list_keys("resources.NAME.", kResource, all);
  list_keys("resources.NAME.frontend.", kFrontend, all);
  list_keys("resources.NAME.nodes.NODE.", kResourceNode, all);
  list_keys("resources.NAME.nodes.NODE.frontend.", kFrontend, all);
  return all;
}

Result<Document> read_document(const Node& root) {
  Document document;
  if (Result<void> read = read_map(root, kDocument, document); !read)
    return std::move(read).error();
  return document;
}

}  // namespace hast::config
