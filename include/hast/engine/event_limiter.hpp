// Keeps a failing disk from flooding the log (INV-13): the first event of a kind is said, then for
// a while only counted; the next one that is said tells how many were not.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "hast/core/event.hpp"
#include "hast/port/clock.hpp"

namespace hast::engine {

class EventLimiter {
 public:
  static constexpr port::Duration kQuietTime = std::chrono::seconds(10);

  /// How many events of this kind were left out since one was said; nothing: leave this one out.
  std::optional<std::uint64_t> admit(core::Event::Kind kind, port::TimePoint now);

 private:
  struct Kind {
    port::TimePoint quiet_until{};
    std::uint64_t left_out = 0;
  };
  static constexpr std::size_t kKinds = 32;
  std::array<Kind, kKinds> kinds_{};
};

}  // namespace hast::engine
