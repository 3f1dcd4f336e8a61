// The only source of chance in a simulated world: splitmix64, so that a seed means the same on
// every compiler and host. Streams forked from it do not disturb each other.
#pragma once

#include "hast/base/assert.hpp"
#include "hast/port/clock.hpp"
#include "hast/port/random.hpp"

namespace hast::sim {

class SeededRandom final : public port::Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// [0, limit)
  std::uint64_t below(std::uint64_t limit) {
    HAST_ASSERT(limit > 0);
    return next() % limit;
  }
  /// [least, most]
  std::uint64_t between(std::uint64_t least, std::uint64_t most) {
    return least + below(most - least + 1);
  }
  port::Duration between(port::Duration least, port::Duration most) {
    return least + port::Duration(static_cast<port::Duration::rep>(
                       below(static_cast<std::uint64_t>((most - least).count()) + 1)));
  }
  bool chance(unsigned percent) { return below(100) < percent; }
  /// Of those forked from it, too.
  void set_rare_percent(unsigned percent) { rare_percent_ = percent; }
  bool rarely() override { return rare_percent_ > 0 && chance(rare_percent_); }
  SeededRandom fork() {
    SeededRandom other(next());
    other.rare_percent_ = rare_percent_;
    return other;
  }

  void fill(ByteSpan bytes) override {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(next() & 0xff);
  }

 private:
  std::uint64_t state_;
  unsigned rare_percent_ = 0;
};

}  // namespace hast::sim
