// The schema of hast.yaml: which keys exist, where, and what each wants.
#pragma once

#include "document.hpp"

namespace hast::config {

/// Errors: config_invalid with "LINE:COLUMN: TEXT" as detail.
Result<Document> read_document(const yaml::Node& root);

}  // namespace hast::config
