// The local component as a resource holds it while its role lasts: submissions of one turn of the
// loop go out together, at its end, and the disk behind it can be closed and replaced while the
// core lives on. Closed, every operation fails with ENXIO. Replaced only while nothing is in
// flight.
#pragma once

#include <cerrno>
#include <memory>
#include <utility>

#include "hast/engine/turn_end.hpp"
#include "hast/port/disk.hpp"

namespace hast::engine {

class LocalDisk final : public port::Disk {
 public:
  LocalDisk(std::unique_ptr<port::Disk> disk, TurnEnd& turn_end)
      : disk_(std::move(disk)), geometry_(disk_->geometry()), turn_end_(turn_end) {}

  port::DiskGeometry geometry() const override { return geometry_; }

  void submit(port::DiskOp& op) override {
    if (disk_) {
      disk_->submit(op);
    } else {
      refused_.push_back(op);
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

  bool completes_in_kick() const override { return !disk_ || disk_->completes_in_kick(); }

  void close() { disk_.reset(); }
  /// Takes over what `other` has open.
  void replace_with(LocalDisk& other) {
    disk_ = std::move(other.disk_);
    geometry_ = other.geometry_;
  }

 private:
  std::unique_ptr<port::Disk> disk_;
  port::DiskGeometry geometry_;
  IntrusiveList<port::DiskOp, port::DiskOp> refused_;
  TurnEnd& turn_end_;
};

}  // namespace hast::engine
