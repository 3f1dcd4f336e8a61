// From the document of all nodes to the configuration of one: precedence (resource's node over
// resource over defaults over built-in), defaults, and the rules that need more than one key.
#pragma once

#include "document.hpp"
#include "hast/config/node_identity.hpp"

namespace hast::config {

/// Errors: config_invalid and no_such_node, with "LINE:COLUMN: TEXT" as detail.
Result<Config> resolve(const Document& document, const NodeIdentity& node);

}  // namespace hast::config
