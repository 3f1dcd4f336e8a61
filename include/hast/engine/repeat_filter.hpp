// Keeps the log readable while something fails again and again (INV-13): a text passes once, and
// then again after a while. So do only so many different texts in that time: whoever makes up new
// ones, a stranger at the door for instance, fills no log. One executor.
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
  static constexpr std::size_t kMostTexts = 16;  // within kAgainAfter

  bool passes(std::string_view text, port::TimePoint now) {
    std::erase_if(said_, [now](const Said& said) { return now - said.at >= kAgainAfter; });
    const bool said_before = std::any_of(said_.begin(), said_.end(),
                                         [text](const Said& said) { return said.text == text; });
    if (said_before || said_.size() == kMostTexts) return false;
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
  std::vector<Said> said_;
};

}  // namespace hast::engine
