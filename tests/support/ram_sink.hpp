// A RequestSink over memory, for tests of front-ends: a fixed number of slots, completions when the
// test says so, errors on ranges, and a journal of what was submitted. No threads, no clock, no
// Asio: `ready` is called when turn() has something to do, from inside submit() or release(), and
// arranges that turn() runs later, on the same executor.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "hast/base/assert.hpp"
#include "hast/base/intrusive_list.hpp"
#include "hast/base/units.hpp"
#include "hast/port/disk.hpp"
#include "hast/port/frontend.hpp"

namespace hast::test {

struct RamSinkOptions {
  std::uint64_t size_bytes = 1 << 20;
  std::uint32_t sector_bytes = 512;
  std::size_t slots = 16;
};

class RamSink final : public port::RequestSink {
 public:
  struct Entry {
    IoKind kind;
    std::uint64_t offset_bytes;
    std::uint64_t length_bytes;
    bool fua;
    bool operator==(const Entry&) const = default;
  };

  explicit RamSink(RamSinkOptions options, std::function<void()> ready = {})
      : options_(options),
        ready_(std::move(ready)),
        memory_(options.size_bytes),
        buffers_(static_cast<std::byte*>(
            std::aligned_alloc(port::kBufferAlignment, options.slots * port::kBlockBytes))),
        slots_(options.slots) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      slots_[i].buffer = buffers_.get() + i * port::kBlockBytes;
      free_.push_back(slots_[i]);
    }
  }
  ~RamSink() override {
    HAST_ASSERT(all_free() && waiters_.empty());
    while (free_.pop_front() != nullptr) {
    }
  }

  // port::RequestSink
  port::VolumeInfo volume() const override { return {options_.size_bytes, options_.sector_bytes}; }
  port::IoRequest* acquire() override {
    Slot* slot = free_.pop_front();
    if (slot != nullptr) slot->state = Slot::State::acquired;
    return slot;
  }
  void wait_for_slot(port::SlotWaiter& waiter) override { waiters_.push_back(waiter); }
  void cancel_wait(port::SlotWaiter& waiter) override {
    if (waiter.is_linked()) waiters_.erase(waiter);
  }
  void submit(port::IoRequest& request) override {
    Slot& slot = static_cast<Slot&>(request);
    HAST_ASSERT(slot.state == Slot::State::acquired);
    slot.state = Slot::State::submitted;
    ++batch_;
    if (journaling_)
      journal_.push_back({slot.kind, slot.offset_bytes, slot.length_bytes, slot.fua});
    slot.error = execute(slot);
    submitted_.push_back(slot);
    if (!held_) schedule();
  }
  void release(port::IoRequest& request) override {
    Slot& slot = static_cast<Slot&>(request);
    HAST_ASSERT(slot.state == Slot::State::acquired);
    slot.state = Slot::State::free;
    free_.push_back(slot);
    if (!waiters_.empty()) schedule();
  }

  void batch_begins() override { batch_ = 0; }
  void batch_ends() override {
    largest_batch_ = std::max(largest_batch_, std::exchange(batch_, 0));
  }

  /// Completes what was submitted and serves those who wait for slots.
  void turn() {
    scheduled_ = false;
    if (!held_) {
      SlotList batch;
      batch.splice_back(submitted_);
      while (Slot* slot = batch.pop_front()) complete(*slot);
    }
    while (!free_.empty() && !waiters_.empty()) waiters_.pop_front()->slot_freed();
  }

  /// While held, requests complete only by complete_at().
  void hold() { held_ = true; }
  void unhold() {
    held_ = false;
    schedule();
  }
  std::size_t submitted() const { return submitted_.size(); }
  /// The n-th of those submitted, in order of submission.
  void complete_at(std::size_t n) {
    auto slot = submitted_.begin();
    while (n-- > 0) ++slot;
    Slot& chosen = *slot;
    submitted_.erase(chosen);
    complete(chosen);
  }

  /// From now on requests of that kind that touch [offset, offset + length) fail.
  void fail(IoKind kind, std::uint64_t offset_bytes, std::uint64_t length_bytes, int error) {
    faults_.push_back({kind, offset_bytes, offset_bytes + length_bytes, error});
  }
  void heal() { faults_.clear(); }

  void keep_journal() { journaling_ = true; }
  std::vector<Entry> take_journal() { return std::exchange(journal_, {}); }
  std::size_t largest_batch() const { return largest_batch_; }
  std::byte* memory() { return memory_.data(); }
  bool all_free() const { return free_.size() == slots_.size(); }
  std::size_t free_slots() const { return free_.size(); }
  std::size_t waiters() const { return waiters_.size(); }
  std::size_t refused() const { return refused_; }  // broke a rule of port/frontend.hpp

 private:
  struct Slot : port::IoRequest, ListNode<Slot> {
    enum class State : std::uint8_t { free, acquired, submitted } state = State::free;
  };
  using SlotList = IntrusiveList<Slot, Slot>;
  struct Fault {
    IoKind kind;
    std::uint64_t begin, end;
    int error;
  };
  struct FreeMemory {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  void schedule() {
    if (std::exchange(scheduled_, true)) return;
    if (ready_) ready_();
  }

  void complete(Slot& slot) {
    slot.state = Slot::State::acquired;
    slot.completed(slot);
  }

  /// The rules of port/frontend.hpp, so that a front-end that breaks one is found out.
  bool is_valid(const Slot& slot) const {
    if (slot.kind == IoKind::flush) return slot.length_bytes == 0;
    if (slot.length_bytes == 0 || slot.offset_bytes % options_.sector_bytes != 0 ||
        slot.length_bytes % options_.sector_bytes != 0 ||
        !range_within(slot.offset_bytes, slot.length_bytes, options_.size_bytes))
      return false;
    if (slot.kind == IoKind::discard) return slot.length_bytes <= port::kMaxDiscardBytes;
    const std::uint64_t last = slot.offset_bytes + slot.length_bytes - 1;
    return slot.offset_bytes / port::kBlockBytes == last / port::kBlockBytes;
  }

  int execute(Slot& slot) {
    if (!is_valid(slot)) {
      ++refused_;
      return EINVAL;
    }
    for (const Fault& fault : faults_) {
      if (fault.kind == slot.kind && slot.offset_bytes < fault.end &&
          fault.begin < slot.offset_bytes + std::max<std::uint64_t>(slot.length_bytes, 1))
        return fault.error;
    }
    std::byte* at = memory_.data() + slot.offset_bytes;
    switch (slot.kind) {
      case IoKind::read:
        std::memcpy(slot.buffer, at, slot.length_bytes);
        break;
      case IoKind::write:
        std::memcpy(at, slot.buffer, slot.length_bytes);
        break;
      case IoKind::discard:
      case IoKind::write_zeroes:
        std::memset(at, 0, slot.length_bytes);
        break;
      case IoKind::flush:
        break;
    }
    return 0;
  }

  const RamSinkOptions options_;
  std::function<void()> ready_;
  std::vector<std::byte> memory_;
  std::unique_ptr<std::byte, FreeMemory> buffers_;
  std::deque<Slot> slots_;
  SlotList free_;
  SlotList submitted_;
  IntrusiveList<port::SlotWaiter, port::SlotWaiter> waiters_;
  std::vector<Fault> faults_;
  std::vector<Entry> journal_;
  std::size_t refused_ = 0;
  bool journaling_ = false;
  std::size_t batch_ = 0;  // submitted since it began
  std::size_t largest_batch_ = 0;
  bool held_ = false;
  bool scheduled_ = false;
};

}  // namespace hast::test
