// The rhythm in which two nodes of protocol version 3 say that they are alive
// (docs/protocol.md, Heartbeats).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "hast/port/clock.hpp"

namespace hast::engine {

/// After so many intervals without a word the other side is dead.
inline constexpr int kHeartbeatsMissed = 3;

/// The slower of the two wins; 0 if the peer knows no heartbeats. `peer_ms` may be anything
/// (INV-9).
inline port::Duration agreed_heartbeat(std::chrono::milliseconds own, std::uint32_t peer_ms) {
  using std::chrono::milliseconds;
  if (peer_ms == 0) return {};
  return std::max(own, std::min(milliseconds(peer_ms), milliseconds(std::chrono::minutes(1))));
}

/// How often deadlines are looked at.
inline port::Duration watch_interval(port::Duration heartbeat) {
  constexpr port::Duration kLongest = std::chrono::milliseconds(500);
  return heartbeat > port::Duration{} ? std::min(kLongest, heartbeat / 2) : kLongest;
}

}  // namespace hast::engine
