// The port::Disk of one simulated hastd: operations take virtual time, or none at all, complete in
// any order, fail where a test says so, and are kept back until kick(), as the port allows. The
// bytes live in test::DiskMedia, which outlives processes.
//
// cut() is the instant the process dies: what was on its way reaches the media whole, in part
// (sector by sector) or not at all; from then on nothing does, and every operation, old or new,
// ends with EIO. Whether the media then also lose what no flush covered is the machine's business.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "clock.hpp"
#include "hast/port/net.hpp"
#include "random.hpp"
#include "support/fake_disk.hpp"
#include "trace.hpp"

namespace hast::sim {

using test::DiskFault;
using test::DiskMedia;

struct DiskOptions {
  port::Duration min_latency = std::chrono::microseconds(20);
  port::Duration max_latency = std::chrono::microseconds(200);
  bool at_once = false;        // done, and completed, within kick(), as on a disk in memory
  bool torn_failures = false;  // a change that fails may have changed some of its sectors
};

/// The drive of a machine: its media and its moods. Outlives the processes that open it.
struct Drive {
  DiskMedia media;
  DiskOptions options;
  std::vector<DiskFault> faults;
  std::vector<DiskFault> inabilities;                  // what no repair changes
  bool drops_unflushed = false;                        // some of it, when a flush fails
  bool held = false;                                   // operations hang, until release_held()
  bool opened = false;                                 // exclusively, by the living process
  std::uint64_t operations = 0;                        // submitted
  std::function<void(const port::DiskOp&)> submitted;  // sees each operation before it starts
  std::function<void(const port::DiskOp&)> completed;  // and when it has ended, before its owner

  /// At this moment, by somebody who does not wait.
  bool is_readable(std::uint64_t offset_bytes, std::uint64_t length_bytes) const;
};

struct DiskWorld {
  VirtualClock& clock;
  Trace& trace;
  port::Executor executor;
};

class SimDiskOpener;

class SimDisk final : public port::Disk, public ListNode<SimDisk> {
 public:
  SimDisk(SimDiskOpener& opener, Drive& drive, SeededRandom random, std::string name);
  ~SimDisk() override;

  port::DiskGeometry geometry() const override;
  void submit(port::DiskOp& op) override;
  void kick() override;
  void flush_again() override { flush_error_ = 0; }
  bool completes_in_kick() const override { return drive_.options.at_once; }

  void cut();
  void release_held();
  std::size_t under_way() const { return pending_.size(); }

 private:
  struct Pending {
    port::DiskOp* op = nullptr;
    DiskMedia::FlushPoint flush_point = 0;
    bool kicked = false;
    bool timed = false;  // `key` is its completion
    bool due = false;    // its time has come, but the drive is held
    VirtualClock::Key key;
  };

  void complete_kicked();
  void complete(port::DiskOp& op);
  void end(const Pending& pending, int error);
  int execute(const Pending& pending);
  void fail_flushes(const Pending& pending, int error);
  void change_some_sectors(const port::DiskOp& op);
  void leave_traces(const Pending& pending);
  const DiskFault* fault_for(std::vector<DiskFault>& faults, const port::DiskOp& op);

  SimDiskOpener& opener_;
  Drive& drive_;
  DiskWorld world_;
  SeededRandom random_;
  std::string name_;
  std::vector<Pending> pending_;
  bool cut_ = false;
  int flush_error_ = 0;  // since one failed all do, until it is opened again
};

/// Opens the drives of one machine for one process.
class SimDiskOpener final : public port::DiskOpener {
 public:
  SimDiskOpener(DiskWorld world, SeededRandom random, std::string host);
  ~SimDiskOpener() override;
  Result<std::unique_ptr<port::Disk>> create_sparse(const std::string&, std::uint64_t) override {
    return Errc::unsupported;
  }
  void remove(const std::string&) override {}

  void add(std::string path, Drive& drive) { drives_.emplace_back(std::move(path), &drive); }
  void open(const std::string& path, Opened opened) override;
  void when_closed(std::function<void()> closed) override;
  /// As a kernel that waits for something else: nothing is opened, or closed, until let_on().
  void hold_openings() { holds_openings_ = true; }
  void hold_closings() { holds_closings_ = true; }
  void let_on();

  void cut();
  void release_held();

 private:
  friend class SimDisk;

  Result<std::unique_ptr<port::Disk>> open_now(const std::string& path);

  DiskWorld world_;
  SeededRandom random_;
  std::string host_;
  std::vector<std::pair<std::string, Drive*>> drives_;
  IntrusiveList<SimDisk, SimDisk> disks_;
  std::vector<std::function<void()>> held_on_;
  bool holds_openings_ = false;
  bool holds_closings_ = false;
  bool cut_ = false;
};

}  // namespace hast::sim
