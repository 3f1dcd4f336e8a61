#include "hast/engine/event_limiter.hpp"

#include <utility>

#include "hast/base/assert.hpp"

namespace hast::engine {

std::optional<std::uint64_t> EventLimiter::admit(core::Event::Kind kind, port::TimePoint now) {
  const auto index = static_cast<std::size_t>(kind);
  HAST_ASSERT(index < kKinds);
  Kind& state = kinds_[index];
  if (now < state.quiet_until) {
    ++state.left_out;
    return std::nullopt;
  }
  state.quiet_until = now + kQuietTime;
  return std::exchange(state.left_out, 0);
}

}  // namespace hast::engine
