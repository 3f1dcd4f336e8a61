// How hastd ends: for good, or to come back as a newer version of itself. Front-ends whose device
// belongs to the kernel ask when they are stopped: for good the device goes, for a restart it stays
// and its I/O waits for the next hastd. One a daemon; written by its main executor, read by those
// of the resources.
#pragma once

#include <atomic>

namespace hast::adapter {

class Departure {
 public:
  /// From now on what is stopped is stopped for a restart.
  void come_back() { comes_back_.store(true, std::memory_order_relaxed); }
  bool comes_back() const { return comes_back_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> comes_back_{false};
};

}  // namespace hast::adapter
