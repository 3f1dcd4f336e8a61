// One question about text from outside: is it UTF-8? Configuration refuses what is not, JSON
// replaces it. Leaf, no state.
#pragma once

#include <cstddef>
#include <string_view>

namespace hast {

/// Bytes of the well-formed UTF-8 sequence `text` begins with (RFC 3629: no surrogates, no overlong
/// forms), 0 if it begins with none or is empty.
std::size_t utf8_sequence_bytes(std::string_view text);

}  // namespace hast
