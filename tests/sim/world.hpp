// A world for production code: two machines, their cables, their disks and their time, driven by
// one seed. The loop: run everything that is ready, then jump to the next event of the virtual
// clock (docs/architecture.md, simulation). Same seed, same digest.
//
// The log of the process is tapped while a world exists, so there is one world at a time.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>
#include <vector>

#include "hast/base/log.hpp"
#include "machine.hpp"
#include "network.hpp"
#include "trace.hpp"

namespace hast::sim {

struct WorldOptions {
  std::uint64_t seed = 1;
  NetworkOptions network;
  DiskOptions disk;
  VolumeShape volume;
  Replication replication = Replication::fullsync;
  Checksum checksum = Checksum::none;
  Compression compression = Compression::hole;
  std::chrono::seconds timeout{20};
  bool metaflush = true;
  OnLocalError on_local_error = OnLocalError::detach;
  OnPeerLoss on_peer_loss = OnPeerLoss::go_on;
  bool strands = false;
  unsigned rare_percent = 0;  // how often the nodes take the rare way where two are right
  Intake intake = Intake::batched;
  bool direct_reads = false;
  std::vector<std::string> resources{"shared"};
};

struct LogLine {
  port::TimePoint at{};
  LogLevel level{};
  std::string text;
};

class World {
 public:
  explicit World(WorldOptions options = {});
  ~World();

  const WorldOptions& options() const { return options_; }
  VirtualClock& clock() { return clock_; }
  port::Duration now() const { return clock_.since_start(); }
  Network& network() { return network_; }
  Trace& trace() { return trace_; }
  SeededRandom& random() { return random_; }
  Machine& a() { return a_; }
  Machine& b() { return b_; }
  Machine& other(const Machine& machine) { return &machine == &a_ ? b_ : a_; }
  ProcessParts parts(const std::string& host, SeededRandom random, HookLines& hooks);

  /// Everything that is ready now, no time passes.
  void settle();
  /// Exactly so many handlers, with the time between them: to be anywhere in the middle.
  void steps(std::size_t handlers);
  void run_for(port::Duration duration);
  /// True as soon as the condition holds, false when `limit` has passed before.
  bool run_until(const std::function<bool()>& condition, port::Duration limit);

  // The usual beginnings and ends.
  /// Both booted, a primary, b secondary, connected and in sync; false if it did not come to that.
  bool start_pair();
  /// The primary of the two is connected and nothing is left to copy.
  bool synced(Machine& primary);
  bool run_until_synced(Machine& primary, port::Duration limit);
  /// Bytes of the volume that differ between the machines.
  std::uint64_t different_bytes();

  /// Without what a dying process would have said at the instant of its death.
  const std::vector<LogLine>& log() const { return log_; }
  void clear_log() { log_.clear(); }
  std::size_t logged(std::string_view text) const;

 private:
  void tap(LogLevel level, std::string_view line);

  WorldOptions options_;
  boost::asio::io_context context_;
  VirtualClock clock_;
  Trace trace_;
  SeededRandom random_;
  Network network_;
  Machine a_;
  Machine b_;
  std::vector<LogLine> log_;
  bool printing_;
};

}  // namespace hast::sim
