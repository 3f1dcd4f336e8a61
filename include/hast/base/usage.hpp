// How many of a pool are in use: now, and at most since somebody asked last.
#pragma once

#include <algorithm>
#include <cstddef>

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

class UsageMeter {
 public:
  void taken() { usage_.most = std::max(usage_.most, ++usage_.now); }
  void returned() { --usage_.now; }
  /// What it shows begins anew.
  Usage read() {
    const Usage shown = usage_;
    usage_.most = usage_.now;
    return shown;
  }

 private:
  Usage usage_;
};

}  // namespace hast
