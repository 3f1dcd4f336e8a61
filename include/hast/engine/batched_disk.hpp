// A disk whose submissions of one turn of the loop go out together, at its end. Wraps the disk a
// resource opened.
#pragma once

#include <memory>

#include "hast/engine/turn_end.hpp"
#include "hast/port/disk.hpp"

namespace hast::engine {

class BatchedDisk final : public port::Disk {
 public:
  BatchedDisk(std::unique_ptr<port::Disk> disk, TurnEnd& turn_end)
      : disk_(std::move(disk)), turn_end_(turn_end) {}

  port::DiskGeometry geometry() const override { return disk_->geometry(); }

  void submit(port::DiskOp& op) override {
    disk_->submit(op);
    turn_end_.due();
  }
  void kick() override { disk_->kick(); }

 private:
  std::unique_ptr<port::Disk> disk_;
  TurnEnd& turn_end_;
};

}  // namespace hast::engine
