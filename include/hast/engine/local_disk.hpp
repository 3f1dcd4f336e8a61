// The local component as a resource holds it while its role lasts: submissions of one turn of the
// loop go out together, at its end, and the disk behind it can be closed and replaced while the
// core lives on. Closed, every operation fails with ENXIO. Replaced only while nothing is in
// flight. It tells of each flush or durable write that failed, before the one who asked for it
// hears.
#pragma once

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "hast/base/assert.hpp"
#include "hast/engine/turn_end.hpp"
#include "hast/port/disk.hpp"

namespace hast::engine {

class LocalDisk final : public port::Disk {
 public:
  LocalDisk(std::unique_ptr<port::Disk> disk, TurnEnd& turn_end,
            std::function<void(int)> flush_failed)
      : disk_(std::move(disk)),
        geometry_(disk_->geometry()),
        turn_end_(turn_end),
        flush_failed_(std::move(flush_failed)) {}

  port::DiskGeometry geometry() const override { return geometry_; }

  void submit(port::DiskOp& op) override {
    if (!disk_) {
      refused_.push_back(op);
    } else {
      if (port::is_promise(op)) watch(op);
      disk_->submit(op);
    }
    turn_end_.due();
  }
  void kick() override {
    if (disk_) disk_->kick();
    while (port::DiskOp* op = refused_.pop_front()) {
      op->error = ENXIO;
      op->completed(*op);
    }
  }

  void flush_again() override {
    if (disk_) disk_->flush_again();
  }
  bool completes_in_kick() const override { return !disk_ || disk_->completes_in_kick(); }

  void close() { disk_.reset(); }
  /// Takes over what `other` has open.
  void replace_with(LocalDisk& other) {
    disk_ = std::move(other.disk_);
    geometry_ = other.geometry_;
  }

 private:
  struct Promise {
    port::DiskOp* op = nullptr;
    void (*completed)(port::DiskOp&) = nullptr;
    void* owner = nullptr;
  };

  void watch(port::DiskOp& op) {
    promises_.push_back({&op, op.completed, op.owner});
    completes_with<&LocalDisk::promise_ended>(op, this);
  }
  void promise_ended(port::DiskOp& op) {
    const auto found = std::find_if(promises_.begin(), promises_.end(),
                                    [&op](const Promise& promise) { return promise.op == &op; });
    HAST_ASSERT(found != promises_.end());
    op.completed = found->completed;
    op.owner = found->owner;
    promises_.erase(found);
    if (port::flush_result(op.error) != 0) flush_failed_(op.error);
    op.completed(op);  // may destroy this object
  }

  std::unique_ptr<port::Disk> disk_;
  port::DiskGeometry geometry_;
  IntrusiveList<port::DiskOp, port::DiskOp> refused_;
  TurnEnd& turn_end_;
  std::function<void(int)> flush_failed_;  // gets the errno
  std::vector<Promise> promises_;          // under way
};

}  // namespace hast::engine
