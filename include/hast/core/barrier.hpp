// A flush of both nodes at once: the proof that INV-2 wants before a bit is cleaned, and what a
// resync ends with. One at a time. Without a peer it fails: then nothing is proven.
#pragma once

#include <cstdint>
#include <functional>

#include "hast/core/dirty_map.hpp"
#include "hast/core/outbox.hpp"
#include "hast/port/disk.hpp"

namespace hast::core {

class Barrier {
 public:
  /// `flush_lost`: errno of an earlier flush after which none of this node proves anything, or 0.
  Barrier(port::Disk& disk, Outbox& outbox, DirtyMap& map, const int& flush_lost);

  bool idle() const { return pending_ == 0; }
  /// Connected only. `done` gets both results as errno values; when both are 0 the map knows it.
  using Done = std::function<void(int local_error, int remote_error)>;
  void run(Done done);

 private:
  void local_done(port::DiskOp& op);
  void remote_done(RemoteOp& op);
  void one_done();

  port::Disk& disk_;
  Outbox& outbox_;
  DirtyMap& map_;
  const int& flush_lost_;
  port::DiskOp disk_op_;
  RemoteOp remote_op_;
  FlushEpoch epoch_ = 0;
  int pending_ = 0;
  Done done_;
};

}  // namespace hast::core
