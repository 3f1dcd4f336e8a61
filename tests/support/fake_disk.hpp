// A port::Disk over DiskMedia that a test holds in its hand: every operation waits until the test
// completes it, one by one in any order or all. Faults are injected by kind, place and count; a log
// keeps what happened; watchers see each operation as it is submitted. One executor, no threads.
//
// It stands for one process's open component: cut() ends that process's reach. From then on every
// operation, held or new, ends with EIO and touches nothing, so a core can be torn down in peace
// while the media go on to the next process.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "hast/base/assert.hpp"
#include "hast/port/disk.hpp"
#include "support/disk_media.hpp"

namespace hast::test {

/// Operations that overlap [begin, end) fail: after `skip` of them, `times` times.
struct DiskFault {
  static constexpr unsigned kForever = std::numeric_limits<unsigned>::max();

  std::optional<IoKind> kind{};  // any, if absent
  std::uint64_t begin = 0;
  std::uint64_t end = std::numeric_limits<std::uint64_t>::max();
  unsigned skip = 0;
  unsigned times = 1;
  int error = EIO;
  std::uint64_t torn_bytes = 0;  // of a failing write: how many bytes get through
};

struct DiskLogEntry {
  IoKind kind{};
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  int error = 0;
};

class FakeDisk final : public port::Disk {
 public:
  explicit FakeDisk(DiskMedia& media) : media_(media) {}
  ~FakeDisk() override { HAST_ASSERT(held_.empty()); }

  DiskMedia& media() { return media_; }
  port::DiskGeometry geometry() const override {
    return {media_.size_bytes(), media_.sector_bytes()};
  }

  void submit(port::DiskOp& op) override {
    HAST_ASSERT(op.completed != nullptr);
    check_shape(op);
    ++submitted_;
    if (!cut_ && watcher_) watcher_(op);
    if (!cut_ && is_change(op.kind)) {
      for (const Held& other : held_) {
        if (is_change(other.op->kind) && overlap(*other.op, op)) ++racing_writes_;
      }
    }
    held_.push_back({&op, media_.flush_point()});
  }
  void flush_again() override { ++flush_agains_; }

  // Completing.
  using Choice = std::function<bool(const port::DiskOp&)>;
  std::size_t held() const { return held_.size(); }
  const port::DiskOp& held(std::size_t index) const { return *held_.at(index).op; }
  std::size_t held_of(const Choice& choice) const {
    return static_cast<std::size_t>(std::count_if(
        held_.begin(), held_.end(), [&](const Held& held) { return choice(*held.op); }));
  }
  std::size_t held_of(IoKind kind) const {
    return held_of([kind](const port::DiskOp& op) { return op.kind == kind; });
  }
  void complete(std::size_t index = 0) {
    const Held done = held_.at(index);
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(index));
    done.op->error = execute(done);
    log_.push_back({done.op->kind, done.op->offset_bytes, done.op->length_bytes, done.op->error});
    done.op->completed(*done.op);
  }
  /// The oldest held operation of the choice; false if there is none.
  bool complete_first(const Choice& choice) {
    for (std::size_t i = 0; i < held_.size(); ++i) {
      if (!choice(*held_[i].op)) continue;
      complete(i);
      return true;
    }
    return false;
  }
  bool complete_first(IoKind kind) {
    return complete_first([kind](const port::DiskOp& op) { return op.kind == kind; });
  }
  /// In order of submission, with everything that is submitted meanwhile.
  void run_all() {
    for (std::size_t steps = 0; !held_.empty(); ++steps) {
      HAST_ASSERT(steps < 1'000'000);  // somebody submits for ever
      complete();
    }
  }

  // Trouble.
  void fail(const DiskFault& fault) { faults_.push_back(fault); }
  void heal() { faults_.clear(); }
  void cut() { cut_ = true; }
  /// What is written is durable at once, and a flush is not supported.
  void without_cache() { without_cache_ = true; }

  // Looking on.
  void watch(std::function<void(const port::DiskOp&)> watcher) { watcher_ = std::move(watcher); }
  const std::vector<DiskLogEntry>& log() const { return log_; }
  void clear_log() { log_.clear(); }
  std::size_t logged(const std::function<bool(const DiskLogEntry&)>& choice) const {
    return static_cast<std::size_t>(std::count_if(log_.begin(), log_.end(), choice));
  }
  std::size_t logged(IoKind kind) const {
    return logged([kind](const DiskLogEntry& entry) { return entry.kind == kind; });
  }
  std::uint64_t submitted() const { return submitted_; }
  unsigned flush_agains() const { return flush_agains_; }
  /// Pairs of changes of the same bytes that were under way at once: their order is anybody's.
  std::uint64_t racing_writes() const { return racing_writes_; }

 private:
  struct Held {
    port::DiskOp* op = nullptr;
    DiskMedia::FlushPoint flush_point = 0;
  };

  static bool is_change(IoKind kind) { return kind != IoKind::read && kind != IoKind::flush; }
  static bool overlap(const port::DiskOp& one, const port::DiskOp& other) {
    return one.offset_bytes < other.offset_bytes + other.length_bytes &&
           other.offset_bytes < one.offset_bytes + one.length_bytes;
  }
  void check_shape(const port::DiskOp& op) const {
    if (op.kind == IoKind::flush) return HAST_ASSERT(op.length_bytes == 0);
    HAST_ASSERT(op.length_bytes > 0);
    HAST_ASSERT(op.offset_bytes % media_.sector_bytes() == 0);
    HAST_ASSERT(op.length_bytes % media_.sector_bytes() == 0);
    HAST_ASSERT(range_within(op.offset_bytes, op.length_bytes, media_.size_bytes()));
    if (op.kind != IoKind::read && op.kind != IoKind::write) return;
    HAST_ASSERT(op.data != nullptr);
  }

  DiskFault* fault_for(const port::DiskOp& op) {
    DiskFault* found = nullptr;
    for (DiskFault& fault : faults_) {
      if (fault.kind && *fault.kind != op.kind) continue;
      if (op.kind != IoKind::flush &&
          !(op.offset_bytes < fault.end && fault.begin < op.offset_bytes + op.length_bytes))
        continue;
      if (fault.skip > 0) {
        --fault.skip;
      } else if (fault.times > 0 && found == nullptr) {
        if (fault.times != DiskFault::kForever) --fault.times;
        found = &fault;
      }
    }
    return found;
  }

  int execute(const Held& held) {
    port::DiskOp& op = *held.op;
    if (cut_) return EIO;
    if (const DiskFault* fault = fault_for(op)) {
      if (op.kind == IoKind::write && fault->torn_bytes > 0)
        media_.write(op.offset_bytes, {op.data, std::min(fault->torn_bytes, op.length_bytes)});
      return fault->error;
    }
    if (without_cache_ && op.kind == IoKind::flush) return EOPNOTSUPP;
    apply(held);
    if (without_cache_) media_.flush(media_.flush_point());
    return 0;
  }

  void apply(const Held& held) {
    port::DiskOp& op = *held.op;
    switch (op.kind) {
      case IoKind::read:
        std::memcpy(op.data, media_.newest(op.offset_bytes, op.length_bytes).data(),
                    op.length_bytes);
        break;
      case IoKind::write:
        if (op.durable)
          media_.write_durably(op.offset_bytes, {op.data, op.length_bytes});
        else
          media_.write(op.offset_bytes, {op.data, op.length_bytes});
        break;
      case IoKind::discard:
      case IoKind::write_zeroes:
        media_.zero(op.offset_bytes, op.length_bytes);
        break;
      case IoKind::flush:
        media_.flush(held.flush_point);
        break;
    }
  }

  DiskMedia& media_;
  std::vector<Held> held_;
  std::vector<DiskFault> faults_;
  std::vector<DiskLogEntry> log_;
  std::function<void(const port::DiskOp&)> watcher_;
  std::uint64_t submitted_ = 0;
  unsigned flush_agains_ = 0;
  std::uint64_t racing_writes_ = 0;
  bool cut_ = false;
  bool without_cache_ = false;
};

}  // namespace hast::test
