#include "hast/adapter/disk_uring.hpp"

#if __has_include(<liburing.h>)
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "hast/base/assert.hpp"
#include "hast/base/units.hpp"
#include "loop_ring_linux.hpp"

namespace hast::adapter {

struct UringDisk::Ring : LoopRing {
  using LoopRing::LoopRing;
  // Not registered: a ring lets go of its files some time after it is closed, and with them of the
  // component's lock.
  int fd = -1;
};

Result<std::unique_ptr<UringDisk>> UringDisk::start(std::unique_ptr<DiskPool>& pool,
                                                    const DiskPool::Executor& owner) {
  auto ring = std::make_unique<Ring>(owner);
  if (const int error = ring->set_up(kDepth)) return Error{Errc::io_failed, error, "io_uring"};
  ring->fd = pool->component().fd();
  return std::unique_ptr<UringDisk>(new UringDisk(std::move(pool), std::move(ring)));
}

UringDisk::UringDisk(std::unique_ptr<DiskPool> pool, std::unique_ptr<Ring> ring)
    : pool_(std::move(pool)), ring_(std::move(ring)), transfers_(kDepth) {
  free_.reserve(kDepth);
  for (std::uint16_t i = kDepth; i-- > 0;) free_.push_back(i);
}

UringDisk::~UringDisk() { HAST_ASSERT(in_flight_ == 0 && waiting_.empty()); }

bool UringDisk::takes_ring(const port::DiskOp& op) const {
  if (needs_threads_ || op.durable) return false;
  const Component& component = pool_->component();
  if (op.kind != IoKind::read && (op.kind != IoKind::write || !component.is_direct())) return false;
  // What is out of range gets its error where blocking calls get theirs.
  return op.length_bytes > 0 &&
         range_within(op.offset_bytes, op.length_bytes, component.geometry().size_bytes);
}

void UringDisk::submit(port::DiskOp& op) {
  HAST_ASSERT(op.completed != nullptr);
  if (takes_ring(op)) {
    waiting_.push_back(op);
  } else {
    pool_->submit(op);
    pool_due_ = true;
  }
}

void UringDisk::kick() { turn(); }

void UringDisk::start_waiting() {
  while (!waiting_.empty() && !free_.empty()) {
    const std::uint16_t index = free_.back();
    free_.pop_back();
    transfers_[index] = {waiting_.pop_front(), 0};
    ++in_flight_;
    prepare(index);
  }
}

void UringDisk::prepare(std::uint16_t index) {
  // Never more entries than transfers, and each transfer has one at a time.
  io_uring_sqe* sqe = io_uring_get_sqe(ring_->uring());
  HAST_ASSERT(sqe != nullptr);
  const Transfer& transfer = transfers_[index];
  const port::DiskOp& op = *transfer.op;
  std::byte* const data = op.data + transfer.done_bytes;
  const auto length = static_cast<unsigned>(op.length_bytes - transfer.done_bytes);
  const std::uint64_t offset = op.offset_bytes + transfer.done_bytes;
  if (op.kind == IoKind::read)
    io_uring_prep_read(sqe, ring_->fd, data, length, offset);
  else
    io_uring_prep_write(sqe, ring_->fd, data, length, offset);
  // Of a file, what would have to wait comes back and goes to the pool. The kernel's own threads
  // write one file one by one, and forget about some of it for ever (seen with FUSE on Linux 6.18).
  const Component& component = pool_->component();
  if (component.is_direct() && component.kind() == ComponentKind::file) sqe->rw_flags = RWF_NOWAIT;
  io_uring_sqe_set_data64(sqe, index);
}

void UringDisk::submit_prepared() {
  if (!ring_->submit()) ring_->post([this] { turn(); });
}

void UringDisk::reap() {
  if (in_flight_ > 0) ring_->get_events();
  io_uring_cqe* cqe = nullptr;
  while (io_uring_peek_cqe(ring_->uring(), &cqe) == 0) {
    const auto index = static_cast<std::uint16_t>(io_uring_cqe_get_data64(cqe));
    const int result = cqe->res;
    io_uring_cqe_seen(ring_->uring(), cqe);
    transferred(index, result);
  }
}

void UringDisk::transferred(std::uint16_t index, int result) {
  Transfer& transfer = transfers_[index];
  port::DiskOp& op = *transfer.op;
  if (result > 0) {
    transfer.done_bytes += static_cast<std::uint64_t>(result);
    if (transfer.done_bytes < op.length_bytes) return prepare(index);
    op.error = 0;
  } else {
    op.error = result == 0 ? EIO : -result;  // 0: the file was cut behind our back
  }
  free_.push_back(index);
  --in_flight_;
  if (op.error == EOPNOTSUPP) needs_threads_ = true;  // its file system always waits
  if (op.error == EAGAIN || op.error == EINTR || op.error == EOPNOTSUPP) {
    pool_->submit(op);
    pool_due_ = true;
  } else {
    finished_.push_back(op);
  }
}

void UringDisk::wait() {
  if (in_flight_ > 0) ring_->wait([this] { turn(); });
}

void UringDisk::turn() {
  start_waiting();
  submit_prepared();
  reap();  // what was in the page cache is there already
  start_waiting();
  submit_prepared();
  if (std::exchange(pool_due_, false)) pool_->kick();
  wait();
  // The last completion may destroy this object: from here on only the local list is touched.
  OpList finished;
  finished.splice_back(finished_);
  while (port::DiskOp* op = finished.pop_front()) op->completed(*op);
}

}  // namespace hast::adapter

#else

namespace hast::adapter {

struct UringDisk::Ring {};
Result<std::unique_ptr<UringDisk>> UringDisk::start(std::unique_ptr<DiskPool>&,
                                                    const DiskPool::Executor&) {
  return Errc::unsupported;
}
UringDisk::~UringDisk() = default;
void UringDisk::submit(port::DiskOp&) {}
void UringDisk::kick() {}

}  // namespace hast::adapter

#endif
