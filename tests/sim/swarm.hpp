// What one seed draws: the world, the clients and which faults this life knows. Swarm testing: each
// life has a random subset of the faults only, because some bugs show only where nothing else
// disturbs them, and some only where much does.
#pragma once

#include <string>
#include <vector>

#include "hast/wire/frame.hpp"
#include "workload.hpp"
#include "world.hpp"

namespace hast::sim {

/// Something that befalls the pair or is done to it between two stretches of quiet work.
enum class Trouble : std::uint8_t {
  lose_primary,
  lose_secondary,
  lose_both,
  hand_over,         // an orderly change of places
  early_hand_over,   // while the new primary still lacks something, which the other one has
  cut,               // the network, one way or both, for a while
  reset,             // of every connection
  forget,            // half-open: connections carry nothing any more, and nobody is told
  slow_network,      // for a while
  slow_disk,         // for a while
  stuck_disk,        // operations hang for a while
  disk_error,        // a few operations fail
  flush_lost,        // fails, and what it was to make durable goes with the power
  disk_bad,          // a kind of operation fails until the disk is repaired
  disk_full,         // changes fail with ENOSPC until there is room
  metadata_damage,   // sectors of one copy rot while the node is down
  disk_lost,         // and replaced by an empty one
  bounce_secondary,  // role init and back
  bounce_primary,
  reload,       // other settings
  split_brain,  // an operator who does not follow the procedure
};
std::string_view to_string(Trouble trouble);

struct Swarm {
  WorldOptions world;
  WorkloadOptions workload;
  std::vector<Trouble> troubles;                     // of this life; at least one
  std::uint8_t protocol_a = wire::kProtocolVersion;  // the highest that each node speaks
  std::uint8_t protocol_b = wire::kProtocolVersion;
  unsigned events = 4;            // how many of them happen
  bool power_losses = true;       // nodes lose their power, too, not only their processes
  bool discards_refused = false;  // one of the drives cannot discard

  bool has(Trouble trouble) const;
  bool freezes() const { return world.on_peer_loss == OnPeerLoss::freeze; }
  /// Both nodes can tell each other who is behind.
  bool native() const {
    return protocol_a >= wire::kNativeVersion && protocol_b >= wire::kNativeVersion;
  }
  /// A drive may fail operations: then clients may see errors and the log may complain.
  bool has_disk_errors() const;
};

Swarm draw_swarm(SeededRandom& random);

/// "fullsync, 3 extents of 4096 bytes, power losses: lose_primary cut": for people.
std::string describe(const Swarm& swarm);

}  // namespace hast::sim
