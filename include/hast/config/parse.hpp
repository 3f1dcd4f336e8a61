// From text to configuration. Total (INV-9): every input yields a Config or one Error whose detail
// reads "file:line:column: what is wrong, and the nearest valid word". YAML stays behind yaml.cpp:
// aliases are expanded under a budget, depth and size are bounded, its exceptions end there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hast/base/result.hpp"
#include "hast/config/config.hpp"
#include "hast/config/node_identity.hpp"

namespace hast::config {

/// Errors: config_invalid (any rule broken, exit 78), no_such_node (a resource has no `nodes` entry
/// for this machine; the detail lists the acceptable names, exit 78).
Result<Config> parse_config(std::string_view text, std::string_view file_name,
                            const NodeIdentity& node);

/// Reads and parses; relative paths in it mean the folder of `path`. Errors: config_unreadable
/// (exit 72), and those of parse_config().
Result<Config> load_config(const std::string& path, const NodeIdentity& node);

/// Every key the schema knows, dotted ("resources.NAME.nodes.NODE.remote"): documents are tested
/// against it.
std::vector<std::string> schema_keys();

}  // namespace hast::config
