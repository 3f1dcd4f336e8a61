// When may a request be acknowledged: the table of modes (docs/invariants.md), as one pure
// function.
#pragma once

#include <cstdint>

#include "hast/base/types.hpp"

namespace hast::core {

enum class LocalState : std::uint8_t {
  pending,
  ok,
  failed,
  absent,  // there is no usable local copy of this range
};

enum class RemoteState : std::uint8_t {
  pending,
  received,  // memsync: the peer holds the data in memory
  ok,
  failed,  // the peer answered with an error
  absent,  // there is no peer, or it was lost
};

enum class Verdict : std::uint8_t { wait, success, failure };

constexpr bool is_settled(LocalState state) { return state != LocalState::pending; }
constexpr bool is_settled(RemoteState state) {
  return state != RemoteState::pending && state != RemoteState::received;
}

/// A write that failed on every node it had to reach is a failure, never a success.
constexpr Verdict verdict(Replication mode, LocalState local, RemoteState remote) {
  if (is_settled(local) && is_settled(remote)) {
    return local == LocalState::ok || remote == RemoteState::ok ? Verdict::success
                                                                : Verdict::failure;
  }
  if (local != LocalState::ok) return Verdict::wait;  // early answers need the local copy
  switch (mode) {
    case Replication::fullsync:
      return Verdict::wait;
    case Replication::memsync:
      return remote == RemoteState::received ? Verdict::success : Verdict::wait;
    case Replication::async:
      return Verdict::success;
  }
  return Verdict::wait;
}

}  // namespace hast::core
