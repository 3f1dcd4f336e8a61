#include "swarm.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace hast::sim {

using namespace std::chrono_literals;

namespace {

struct Known {
  Trouble trouble;
  std::string_view name;
  unsigned percent;  // of the lives have it
};

constexpr std::array kKnown{
    Known{Trouble::lose_primary, "lose_primary", 60},
    Known{Trouble::lose_secondary, "lose_secondary", 60},
    Known{Trouble::lose_both, "lose_both", 35},
    Known{Trouble::hand_over, "hand_over", 40},
    Known{Trouble::early_hand_over, "early_hand_over", 30},
    Known{Trouble::cut, "cut", 50},
    Known{Trouble::reset, "reset", 40},
    Known{Trouble::forget, "forget", 25},
    Known{Trouble::slow_network, "slow_network", 25},
    Known{Trouble::slow_disk, "slow_disk", 25},
    Known{Trouble::stuck_disk, "stuck_disk", 20},
    Known{Trouble::disk_error, "disk_error", 25},
    Known{Trouble::flush_lost, "flush_lost", 20},
    Known{Trouble::disk_bad, "disk_bad", 15},
    Known{Trouble::disk_full, "disk_full", 12},
    Known{Trouble::metadata_damage, "metadata_damage", 20},
    Known{Trouble::disk_lost, "disk_lost", 12},
    Known{Trouble::bounce_secondary, "bounce_secondary", 25},
    Known{Trouble::bounce_primary, "bounce_primary", 25},
    Known{Trouble::reload, "reload", 25},
    Known{Trouble::split_brain, "split_brain", 20},
};

template <class T>
T one_of(SeededRandom& random, std::initializer_list<T> values) {
  return *(values.begin() + random.below(values.size()));
}

void draw_volume(SeededRandom& random, VolumeShape& shape) {
  const std::uint64_t data = random.between(1, 12) * 64 * 1024;
  shape.component_bytes = 1024 * 1024 + data;
  // The last two are copied in pieces.
  shape.extent_bytes = 4u * 1024u << one_of(random, {0, 1, 2, 3, 4, 5, 6, 6, 7});
  shape.keepdirty = static_cast<std::uint32_t>(random.between(1, 6));
}

void draw_network(SeededRandom& random, NetworkOptions& network) {
  network.min_delay = one_of<port::Duration>(random, {20us, 200us});
  network.max_delay = one_of<port::Duration>(random, {300us, 3ms, 20ms});
  network.max_read = one_of<std::size_t>(random, {0, 0, 0, 5000});
  network.max_write = one_of<std::size_t>(random, {0, 0, 0, 9000});
  network.at_once = one_of(
      random, {AtOnce::nothing, AtOnce::any_part, AtOnce::any_part, AtOnce::whole, AtOnce::whole});
  network.window_bytes = one_of<std::size_t>(random, {16 * 1024, 64 * 1024, 512 * 1024});
}

WorldOptions draw_world(SeededRandom& random) {
  WorldOptions world;
  world.seed = random.next();
  world.replication = one_of(random, {Replication::fullsync, Replication::fullsync,
                                      Replication::memsync, Replication::async});
  world.checksum = one_of(random, {Checksum::none, Checksum::none, Checksum::crc32});
  world.compression =
      one_of(random, {Compression::none, Compression::none, Compression::none, Compression::hole,
                      Compression::hole, Compression::hole, Compression::hole, Compression::lzf});
  draw_volume(random, world.volume);
  world.timeout = std::chrono::seconds(random.between(2, 20));
  world.on_local_error = one_of(random, {OnLocalError::detach, OnLocalError::pass});
  world.strands = random.chance(50);
  world.rare_percent = one_of<unsigned>(random, {0, 0, 5, 30});
  draw_network(random, world.network);
  world.intake = one_of(random, {Intake::single, Intake::batched});
  world.disk.at_once = random.chance(15);
  world.disk.max_latency = one_of<port::Duration>(random, {100us, 1ms, 5ms, 30ms});
  return world;
}

WorkloadOptions draw_workload(SeededRandom& random) {
  WorkloadOptions workload;
  workload.clients = static_cast<unsigned>(random.between(1, 10));
  // From a few to about a hundred requests a second, however many clients share them.
  workload.max_pause =
      workload.clients * one_of<port::Duration>(random, {20ms, 60ms, 200ms, 800ms});
  workload.max_sectors = one_of<std::uint64_t>(random, {1, 4, 16, 64, 256});
  workload.reads = one_of<unsigned>(random, {5, 25, 50});
  workload.flushes = one_of<unsigned>(random, {0, 4, 15, 30});
  workload.discards = one_of<unsigned>(random, {0, 4, 20});
  workload.zeroes = one_of<unsigned>(random, {0, 4, 20});
  workload.forced = one_of<unsigned>(random, {0, 5, 50});
  workload.commits = one_of<unsigned>(random, {0, 0, 0, 50});
  workload.bursts = one_of<unsigned>(random, {0, 0, 10, 60});
  workload.hot_percent = one_of<unsigned>(random, {0, 50, 90});
  return workload;
}

}  // namespace

std::string_view to_string(Trouble trouble) {
  for (const Known& known : kKnown) {
    if (known.trouble == trouble) return known.name;
  }
  return "?";
}

bool Swarm::has(Trouble trouble) const {
  return std::find(troubles.begin(), troubles.end(), trouble) != troubles.end();
}

bool Swarm::has_disk_errors() const {
  return has(Trouble::disk_error) || has(Trouble::flush_lost) || has(Trouble::disk_bad) ||
         has(Trouble::disk_full) || has(Trouble::disk_lost);
}

Swarm draw_swarm(SeededRandom& random) {
  Swarm swarm;
  swarm.world = draw_world(random);
  swarm.workload = draw_workload(random);
  for (const Known& known : kKnown) {
    if (random.chance(known.percent)) swarm.troubles.push_back(known.trouble);
  }
  if (swarm.troubles.empty()) swarm.troubles.push_back(Trouble::lose_primary);
  if (random.chance(25)) {  // one of them is older, or both
    swarm.protocol_a = static_cast<std::uint8_t>(random.between(1, wire::kProtocolVersion));
    swarm.protocol_b = static_cast<std::uint8_t>(random.between(1, wire::kProtocolVersion));
  }
  swarm.events = static_cast<unsigned>(random.between(2, 10));
  swarm.power_losses = random.chance(70);
  swarm.discards_refused = random.chance(10);
  if (random.chance(15)) swarm.world.on_peer_loss = OnPeerLoss::freeze;
  // A map that is not flushed promises nothing about a power loss.
  if (!swarm.power_losses) swarm.world.metaflush = random.chance(70);
  // From a source of its own: what the seeds meant before they mean still.
  swarm.world.direct_reads = SeededRandom(swarm.world.seed).chance(30);
  return swarm;
}

std::string describe(const Swarm& swarm) {
  std::string text = fmt::format("{}, protocol {}/{}, extents of {} bytes, {} clients{}{}{}{}{}{}:",
                                 hast::to_string(swarm.world.replication), swarm.protocol_a,
                                 swarm.protocol_b, swarm.world.volume.extent_bytes,
                                 swarm.workload.clients, swarm.power_losses ? ", power losses" : "",
                                 swarm.world.metaflush ? "" : ", metaflush off",
                                 swarm.discards_refused ? ", a drive that cannot discard" : "",
                                 swarm.freezes() ? ", on_peer_loss freeze" : "",
                                 swarm.world.direct_reads ? ", direct reads" : "",
                                 swarm.world.rare_percent > 0 ? ", rare ways" : "");
  for (const Trouble trouble : swarm.troubles) text += fmt::format(" {}", to_string(trouble));
  return text;
}

}  // namespace hast::sim
