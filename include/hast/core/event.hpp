// What happened, as plain values: the engine turns them into log lines, hooks and counters.
#pragma once

#include <cstdint>

#include "hast/base/error.hpp"
#include "hast/base/types.hpp"

namespace hast::core {

struct Event {
  enum class Kind : std::uint8_t {
    sync_started,        // bytes: how much there is to copy
    sync_done,           // bytes: how much was copied; both nodes are equal now
    sync_interrupted,    // bytes: copied until the link was lost
    sync_incomplete,     // bytes: how much could not be copied; tried again later
    in_sync,             // connected and there was nothing to copy
    local_io_failed,     // io, offset_bytes, error: served from the peer from now on
    local_lost,          // error: the map or the metadata cannot be written; the peer serves alone
    local_attached,      // bytes: how much of it is to be copied from the peer
    read_repaired,       // offset_bytes, bytes: unreadable here, rewritten with the peer's data
    map_failed,          // error: the activemap cannot be written; writes to new extents fail
    metadata_failed,     // error: the metadata cannot be written; nothing new is acknowledged alone
    peer_io_failed,      // io, error: the peer refused an operation; the link is restarted
    primary_left,        // secondary: the primary stopped in an orderly way; this node is current
    primary_left_ahead,  // secondary: the same, but this node lacks changes of it
    peer_restarted,      // what it alone had and had not flushed may be lost: a flush fails
    stale_discarded,     // bytes: the peer that held newer data was replaced by an empty one
  };
  Kind kind{};
  IoKind io = IoKind::read;
  int error = 0;
  std::uint64_t offset_bytes = 0;
  std::uint64_t bytes = 0;
  SyncSource source = SyncSource::primary;
};

}  // namespace hast::core
