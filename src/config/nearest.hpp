// "Did you mean": the valid word closest to what was written.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace hast::config {

/// The candidate with the fewest edits (swapped neighbours count once), or "" when none is close
/// enough to be a slip: at most a third of the word, one edit always.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// `did you mean "timeout"?`, or `valid: a, b, c` when nothing is near.
std::string hint_for(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace hast::config
