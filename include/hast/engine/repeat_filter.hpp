// Keeps the log readable while something fails again and again (INV-13): a text passes once, and
// then again after a while. A few different texts are remembered, so that alternating reasons are
// no way around it; what a peer can make up costs no more than that. One executor.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "hast/port/clock.hpp"

namespace hast::engine {

class RepeatFilter {
 public:
  static constexpr port::Duration kAgainAfter = std::chrono::minutes(10);
  static constexpr std::size_t kRemembered = 8;

  bool passes(std::string_view text, port::TimePoint now) {
    const auto found = std::find_if(said_.begin(), said_.end(),
                                    [text](const Said& said) { return said.text == text; });
    if (found != said_.end() && now - found->at < kAgainAfter) return false;
    if (found != said_.end()) said_.erase(found);
    if (said_.size() == kRemembered) said_.erase(said_.begin());
    said_.push_back({std::string(text), now});
    return true;
  }
  /// Things are well again: the next trouble is news.
  void forget() { said_.clear(); }

 private:
  struct Said {
    std::string text;
    port::TimePoint at{};
  };
  std::vector<Said> said_;  // oldest first
};

}  // namespace hast::engine
