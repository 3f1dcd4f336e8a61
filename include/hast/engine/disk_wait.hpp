// One disk operation that a coroutine waits for; outside the data path. Lives in the coroutine.
#pragma once

#include "hast/port/disk.hpp"
#include "hast/port/net.hpp"
#include "hast/port/wakeup.hpp"

namespace hast::engine {

class DiskWait {
 public:
  /// Each returns 0 or an errno.
  port::Awaitable<int> read(port::Disk* disk, std::uint64_t offset_bytes, ByteSpan into) {
    co_return co_await run(disk, IoKind::read, offset_bytes, into);
  }
  port::Awaitable<int> write(port::Disk* disk, std::uint64_t offset_bytes, ByteSpan from) {
    co_return co_await run(disk, IoKind::write, offset_bytes, from);
  }
  port::Awaitable<int> flush(port::Disk* disk) {
    co_return co_await run(disk, IoKind::flush, 0, {});
  }

 private:
  port::Awaitable<int> run(port::Disk* disk, IoKind kind, std::uint64_t offset_bytes,
                           ByteSpan data) {
    completes_with<&DiskWait::done>(op_, this);
    op_.kind = kind;
    op_.offset_bytes = offset_bytes;
    op_.length_bytes = data.size();
    op_.data = data.data();
    op_.error = 0;
    disk->submit(op_);
    co_await done_.wait();
    co_return op_.error;
  }
  void done(port::DiskOp&) { done_.notify(); }

  port::DiskOp op_;
  port::Wakeup done_;
};

}  // namespace hast::engine
