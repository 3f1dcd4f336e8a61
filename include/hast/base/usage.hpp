// How many requests of a pool are under way: now, and at most since somebody asked last.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace hast {

struct Usage {
  /// A larger request is as much work as several that fit in here.
  static constexpr std::uint64_t kOneRequestBytes = 16 * 1024;

  std::size_t now = 0;
  std::size_t most = 0;  // since the last reading, `now` included; large ones count as several

  Usage& operator+=(const Usage& other) {
    now += other.now;
    most += other.most;
    return *this;
  }
};

/// Remembers the most; how many are in use now the pool knows itself.
class UsageMeter {
 public:
  /// `now` are in use, the one that was submitted is of so many bytes.
  void submitted(std::size_t now, std::uint64_t bytes) {
    const std::size_t more = (std::max<std::uint64_t>(bytes, 1) - 1) / Usage::kOneRequestBytes;
    most_ = std::max(most_, now + more);
  }
  /// What it shows begins anew.
  Usage read(std::size_t now) { return {now, std::max(std::exchange(most_, now), now)}; }

 private:
  std::size_t most_ = 0;
};

}  // namespace hast
