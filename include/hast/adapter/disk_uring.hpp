// UringDisk: port::Disk over io_uring: what a turn submits goes to the kernel with one system call,
// many completions come back with one wake-up, and no thread of ours stands in between. Reads and
// writes take the ring; whatever the kernel would give to a thread of its own anyway (flush,
// discard, write-zeroes, what has to wait, and buffered writes, which the ring would also do one
// after the other) takes the pool that this disk brings along. On the owner's executor; owned by
// the resource; nothing may be in flight when it is destroyed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "hast/adapter/component.hpp"
#include "hast/adapter/disk_pool.hpp"
#include "hast/base/intrusive_list.hpp"
#include "hast/port/disk.hpp"

namespace hast::adapter {

class UringDisk final : public port::Disk {
 public:
  static constexpr unsigned kDepth = 256;

  /// A disk over the pool's component. Errors: unsupported (built without io_uring), io_failed (the
  /// kernel has none, or forbids it); `pool` is untouched then.
  static Result<std::unique_ptr<UringDisk>> start(std::unique_ptr<DiskPool>& pool,
                                                  const DiskPool::Executor& owner);
  ~UringDisk() override;

  port::DiskGeometry geometry() const override { return pool_->geometry(); }
  void submit(port::DiskOp& op) override;
  void kick() override;
  void flush_again() override { pool_->flush_again(); }

 private:
  using OpList = IntrusiveList<port::DiskOp, port::DiskOp>;
  struct Ring;
  struct Transfer {
    port::DiskOp* op = nullptr;
    std::uint64_t done_bytes = 0;
  };

  UringDisk(std::unique_ptr<DiskPool> pool, std::unique_ptr<Ring> ring);
  bool takes_ring(const port::DiskOp& op) const;
  void start_waiting();
  void prepare(std::uint16_t index);
  void submit_prepared();
  void reap();
  void transferred(std::uint16_t index, int result);
  void wait();
  void turn();

  std::unique_ptr<DiskPool> pool_;
  std::unique_ptr<Ring> ring_;
  OpList waiting_;
  OpList finished_;
  std::vector<Transfer> transfers_;
  std::vector<std::uint16_t> free_;
  std::size_t in_flight_ = 0;  // of the ring
  bool pool_due_ = false;
  bool needs_threads_ = false;  // the kernel would give everything to threads: the pool takes it
};

}  // namespace hast::adapter
