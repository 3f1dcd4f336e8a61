// Clients at work: a fixed number of them, each with one request at a time, on whichever machine
// they are attached to, with pauses in between. They know what they may expect (History) and
// collect what is wrong. Everything is drawn from one seed and happens on the virtual clock.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "history.hpp"
#include "world.hpp"

namespace hast::sim {

struct WorkloadOptions {
  unsigned clients = 8;
  port::Duration min_pause = std::chrono::microseconds(0);
  port::Duration max_pause = std::chrono::milliseconds(20);
  std::uint64_t max_sectors = 64;
  // Percent of requests; the rest are writes.
  unsigned reads = 25;
  unsigned flushes = 4;
  unsigned discards = 4;
  unsigned zeroes = 4;
  unsigned forced = 5;       // of the writes
  unsigned commits = 0;      // of the writes: flushed as soon as they are acknowledged
  unsigned hot_percent = 0;  // of the requests go to the first eighth of the volume
  unsigned bursts = 0;       // of the requests come together with one of each idle client
};

class Workload {
 public:
  Workload(World& world, History& history, SeededRandom random, WorkloadOptions options);
  ~Workload();

  /// TRIM is advice: where a drive cannot, an acknowledged one may have done nothing.
  void discards_are_advice() { discards_are_advice_ = true; }

  /// Requests go there from now on, whenever it serves.
  void attach(Machine& machine) {
    machine_ = &machine;
    data_lost_at_.reset();
  }
  Machine& machine() { return *machine_; }
  void start();
  /// No new requests.
  void stop() { running_ = false; }
  bool idle() const { return in_flight_ == 0; }
  /// Acknowledged data are lost: a flush must fail before one that is asked from now on succeeds.
  void data_are_lost();
  /// Clients know it otherwise, since their device went away.
  void device_was_lost() { data_lost_at_.reset(); }
  /// Sees each change that was acknowledged, at that moment.
  std::function<void(const History::Range&, History::Stamp)> acknowledged;

  std::uint64_t answered() const { return answered_; }
  std::uint64_t failed() const { return failed_; }    // with an error
  std::uint64_t written() const { return written_; }  // acknowledged changes
  /// Those that were asked for without a connection to the peer.
  std::uint64_t written_alone() const { return written_alone_; }
  std::uint64_t flushed() const { return flushed_; }  // acknowledged flushes
  /// How long the oldest request has been waiting for its answer.
  port::Duration longest_wait() const;
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  void next(unsigned client);
  void pause(unsigned client);
  void wake_others(unsigned client);
  void issue(unsigned client);
  void write(unsigned client, IoKind kind);
  void read(unsigned client);
  void flush(unsigned client);
  void commit(unsigned client);
  void finished(unsigned client, int error);
  History::Range draw_range();
  void ask(unsigned client, ClientRequest request);

  World& world_;
  History& history_;
  SeededRandom random_;
  WorkloadOptions options_;
  Machine* machine_ = nullptr;
  std::vector<VirtualClock::Key> pauses_;
  std::vector<std::optional<port::TimePoint>> asked_at_;  // by client
  std::optional<port::TimePoint> data_lost_at_;           // and nobody told them
  bool running_ = false;
  bool discards_are_advice_ = false;
  unsigned in_flight_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t written_alone_ = 0;
  std::uint64_t flushed_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t failed_ = 0;
  std::vector<std::string> wrong_;
};

}  // namespace hast::sim
