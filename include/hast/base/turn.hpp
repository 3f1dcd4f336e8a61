// How much of what has arrived is taken in before it is worked on and others have their turn.
#pragma once

#include <cstddef>

namespace hast {

/// Payloads of this size and more that are there already are taken in together, which saves
/// wake-ups and system calls. Grouped, smaller ones would make nodes and client wait for each other
/// in turn.
inline constexpr std::size_t kLargePayloadBytes = 32 * 1024;

/// Of large payloads, in one turn.
inline constexpr std::size_t kTurnBytes = 512 * 1024;

}  // namespace hast
