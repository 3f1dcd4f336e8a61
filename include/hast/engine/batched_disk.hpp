// A disk whose submissions of one turn of the loop go out together: the first one posts a single
// kick(), which runs after the handlers that are ready now. Wraps the disk a resource opened.
#pragma once

#include <boost/asio/post.hpp>
#include <memory>

#include "hast/base/assert.hpp"
#include "hast/port/disk.hpp"
#include "hast/port/net.hpp"

namespace hast::engine {

class BatchedDisk final : public port::Disk {
 public:
  BatchedDisk(std::unique_ptr<port::Disk> disk, port::Executor executor)
      : disk_(std::move(disk)), executor_(std::move(executor)) {}

  port::DiskGeometry geometry() const override { return disk_->geometry(); }

  void submit(port::DiskOp& op) override {
    disk_->submit(op);
    if (kick_posted_) return;
    kick_posted_ = true;
    // An operation is under way, so its owner keeps this object until after the kick.
    boost::asio::post(executor_, [this] {
      kick_posted_ = false;
      disk_->kick();
    });
  }

 private:
  std::unique_ptr<port::Disk> disk_;
  port::Executor executor_;
  bool kick_posted_ = false;
};

}  // namespace hast::engine
