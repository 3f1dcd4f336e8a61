// YAML text as a bounded tree with positions: the only file pair that knows yaml-cpp. Aliases are
// expanded under a budget, duplicate keys, merge keys and control characters are refused, so that
// the schema above sees plain scalars, lists and maps of known size (INV-9).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hast/base/result.hpp"

namespace hast::config::yaml {

struct Mark {
  int line = 1;  // 1-based, as editors count
  int column = 1;
};

struct Node {
  enum class Kind { null, scalar, list, map };

  Kind kind = Kind::null;
  bool quoted = false;  // a quoted scalar is text even if it looks like a number
  std::string text;     // of a scalar
  Mark mark;
  std::vector<Node> items;  // of a list; of a map: key, value, key, value, ...; keys are scalars
};

inline constexpr std::size_t kMaxDepth = 16;
inline constexpr std::size_t kMaxNodes = 200'000;  // after expansion of aliases

/// config_invalid with "LINE:COLUMN: TEXT" as detail: the caller puts the file's name before it.
Error error_at(Mark mark, std::string_view text);

/// The root of the first and only document; null for an empty one. Errors: config_invalid.
Result<Node> parse(std::string_view text);

}  // namespace hast::config::yaml
