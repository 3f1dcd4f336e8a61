// What happened in a world, as one number: equal seeds give equal digests, whatever the compiler.
// With HAST_SIM_TRACE=1 in the environment every event is also printed, which is how a failing seed
// is read.
#pragma once

#include <cstdint>
#include <string_view>

#include "hast/port/clock.hpp"

namespace hast::sim {

class VirtualClock;

class Trace {
 public:
  explicit Trace(const VirtualClock& clock);

  void note(std::string_view what, std::string_view who, std::uint64_t a = 0, std::uint64_t b = 0);
  std::uint64_t digest() const { return digest_; }
  std::uint64_t events() const { return events_; }

 private:
  void mix(std::uint64_t value);
  void mix(std::string_view text);

  const VirtualClock& clock_;
  bool printing_;
  std::uint64_t digest_ = 0xcbf29ce484222325ULL;
  std::uint64_t events_ = 0;
};

}  // namespace hast::sim
