// How many of a pool are in use: now, and at most since somebody asked last.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

namespace hast {

struct Usage {
  std::size_t now = 0;
  std::size_t most = 0;  // since the last reading, `now` included

  Usage& operator+=(const Usage& other) {
    now += other.now;
    most += other.most;
    return *this;
  }
};

/// Remembers the most; how many are in use now the pool knows itself.
class UsageMeter {
 public:
  void note(std::size_t now) { most_ = std::max(most_, now); }
  /// What it shows begins anew.
  Usage read(std::size_t now) { return {now, std::max(std::exchange(most_, now), now)}; }

 private:
  std::size_t most_ = 0;
};

}  // namespace hast
