#include "hast/adapter/disk_uring.hpp"

#if __has_include(<liburing.h>)
#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "hast/base/assert.hpp"
#include "hast/base/units.hpp"

namespace hast::adapter {

namespace asio = boost::asio;

struct UringDisk::Ring {
  explicit Ring(const DiskPool::Executor& executor)
      : owner(executor), arrivals(executor), descriptor(executor) {}
  ~Ring() {
    if (is_set_up) io_uring_queue_exit(&uring);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// errno. With one thread completions are worked off when we ask for them, not when they arrive.
  int set_up(int component_fd) {
    deferred = owner.target<asio::io_context::executor_type>() != nullptr;
    const unsigned flags = deferred ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN : 0U;
    int error = io_uring_queue_init(kDepth, &uring, flags);
    if (error == -EINVAL && deferred) {  // a kernel before 6.1
      deferred = false;
      error = io_uring_queue_init(kDepth, &uring, 0);
    }
    if (error < 0) return -error;
    is_set_up = true;
    // The ring's own descriptor does not become readable for work that is deferred.
    const int news = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (news < 0) return errno;
    boost::system::error_code failure;
    descriptor.assign(news, failure);
    if (failure) {
      ::close(news);
      return failure.value();
    }
    if (const int refused = io_uring_register_eventfd(&uring, news); refused < 0) return -refused;
    // Not registered: a ring lets go of its files some time after it is closed, and with them of
    // the component's lock.
    fd = component_fd;
    return 0;
  }

  DiskPool::Executor owner;
  Arrivals arrivals;
  asio::posix::stream_descriptor descriptor;  // an eventfd: there are completions
  std::uint64_t news_count = 0;
  std::shared_ptr<Ring*> alive = std::make_shared<Ring*>(this);  // handlers may outlive the disk
  io_uring uring{};
  int fd = -1;
  unsigned prepared = 0;
  bool is_set_up = false;
  bool deferred = false;
};

Result<std::unique_ptr<UringDisk>> UringDisk::start(std::unique_ptr<DiskPool>& pool,
                                                    const DiskPool::Executor& owner) {
  auto ring = std::make_unique<Ring>(owner);
  if (const int error = ring->set_up(pool->component().fd()); error != 0)
    return Error{Errc::io_failed, error, "io_uring"};
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
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_->uring);
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
  ++ring_->prepared;
}

/// What the kernel does not take now (it is short of memory, or of room for completions) is offered
/// again in a later turn.
void UringDisk::submit_prepared() {
  while (ring_->prepared > 0) {
    const int taken = io_uring_submit(&ring_->uring);
    if (taken == -EINTR) continue;
    if (taken <= 0) break;
    ring_->prepared -= std::min(ring_->prepared, static_cast<unsigned>(taken));
  }
  if (ring_->prepared > 0)
    asio::post(ring_->owner, [this, alive = std::weak_ptr(ring_->alive)] {
      if (!alive.expired()) turn();
    });
}

void UringDisk::reap() {
  if (ring_->deferred && in_flight_ > 0) io_uring_get_events(&ring_->uring);
  io_uring_cqe* cqe = nullptr;
  while (io_uring_peek_cqe(&ring_->uring, &cqe) == 0) {
    const auto index = static_cast<std::uint16_t>(io_uring_cqe_get_data64(cqe));
    const int result = cqe->res;
    io_uring_cqe_seen(&ring_->uring, cqe);
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
  if (waits_ || in_flight_ == 0) return;
  waits_ = true;
  ring_->descriptor.async_read_some(
      asio::buffer(&ring_->news_count, sizeof ring_->news_count),
      [this, alive = std::weak_ptr(ring_->alive)](const boost::system::error_code& error,
                                                  std::size_t) {
        if (error == asio::error::operation_aborted || alive.expired()) return;
        waits_ = false;
        ring_->arrivals.note();
        turn();
      });
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
