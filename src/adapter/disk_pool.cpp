#include "hast/adapter/disk_pool.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <functional>
#include <system_error>
#include <utility>

#include "perform.hpp"
#include "signals_blocked.hpp"

namespace hast::adapter {

namespace asio = boost::asio;

// Asio recycles handler memory only on threads that run an io_context; a post from here would pay
// malloc and free. There is never more than one, so one place is enough: Asio gives it back before
// it calls the handler, and the next post follows the call. Access is ordered by mutex_.
struct DiskPool::PostMemory {
  alignas(std::max_align_t) std::byte bytes[256];
  bool taken = false;
};

template <class T>
class DiskPool::PostAllocator {
 public:
  using value_type = T;

  explicit PostAllocator(PostMemory& memory) : memory_(&memory) {}
  template <class U>
  PostAllocator(const PostAllocator<U>& other) : memory_(other.memory_) {}

  T* allocate(std::size_t count) {
    const std::size_t size = count * sizeof(T);
    if (memory_->taken || size > sizeof memory_->bytes) return static_cast<T*>(operator new(size));
    memory_->taken = true;
    return reinterpret_cast<T*>(memory_->bytes);
  }
  void deallocate(T* pointer, std::size_t) {
    if (reinterpret_cast<std::byte*>(pointer) == memory_->bytes)
      memory_->taken = false;
    else
      operator delete(pointer);
  }
  bool operator==(const PostAllocator&) const = default;

 private:
  template <class U>
  friend class PostAllocator;
  PostMemory* memory_;
};

Result<std::unique_ptr<DiskPool>> DiskPool::start(std::unique_ptr<Component> component,
                                                  Executor owner, unsigned threads) {
  HAST_ASSERT(threads > 0 && threads <= kMaxThreads);
  std::unique_ptr<DiskPool> pool(new DiskPool(std::move(component), std::move(owner)));
  if (Result<void> started = pool->start_threads(threads); !started)
    return std::move(started).error();
  return pool;
}

DiskPool::DiskPool(std::unique_ptr<Component> component, Executor owner)
    : component_(std::move(component)),
      owner_(std::move(owner)),
      arrivals_(owner_),
      one_writer_(component_->kind() == ComponentKind::file && !component_->is_direct()),
      post_memory_(std::make_unique<PostMemory>()) {}

DiskPool::~DiskPool() {
  HAST_ASSERT(in_flight_ == 0);
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  for (const std::unique_ptr<Worker>& worker : workers_) worker->wakeup.notify_one();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->thread.join();
}

Result<void> DiskPool::start_threads(unsigned count) {
  const SignalsBlocked inherited_by_threads;
  try {
    workers_.reserve(count);
    sleeping_.reserve(count);
    while (workers_.size() < count) {
      auto worker = std::make_unique<Worker>();
      worker->thread = std::thread(&DiskPool::work, this, std::ref(*worker));
      workers_.push_back(std::move(worker));
    }
  } catch (const std::system_error& error) {
    return Error{Errc::io_failed, error.code().value(), "threads for " + component_->path()};
  }
  return {};
}

void DiskPool::submit(port::DiskOp& op) {
  HAST_ASSERT(op.completed != nullptr);
  ++in_flight_;
  submitted_.push_back(op);
}

void DiskPool::kick() {
  if (submitted_.empty()) return;
  std::array<Worker*, kMaxThreads> called;
  std::size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    while (port::DiskOp* op = submitted_.pop_front()) queue_for(*op).push_back(*op);
    for (const std::size_t wanted = startable(); waking_ < wanted && !sleeping_.empty();) {
      called[count] = sleeping_.back();
      sleeping_.pop_back();
      called[count++]->called = true;
      ++waking_;
    }
  }
  while (count > 0) called[--count]->wakeup.notify_one();
}

void DiskPool::sleep(Worker& self, std::unique_lock<std::mutex>& lock) {
  sleeping_.push_back(&self);
  self.wakeup.wait(lock, [&] { return self.called || stopping_; });
  if (std::exchange(self.called, false)) --waking_;
}

void DiskPool::work(Worker& self) {
  OpList batch;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (take(batch)) {
      lock.unlock();
      const int error = perform(*component_, batch.front());
      lock.lock();
      if (finish(batch, error)) {
        lock.unlock();
        post_delivery();
        lock.lock();
      }
    } else if (stopping_) {
      return;
    } else {
      sleep(self, lock);
    }
  }
}

// A durable write waits for the device: in line with other changes it would hold up all of them.
DiskPool::OpList& DiskPool::queue_for(const port::DiskOp& op) {
  if (op.kind == IoKind::flush) return waiting_flushes_;
  return one_writer_ && op.kind != IoKind::read && !op.durable ? waiting_changes_ : waiting_;
}

// How many threads would find something to do.
std::size_t DiskPool::startable() const {
  const bool change = !waiting_changes_.empty() && !changing_;
  const bool flush = !waiting_flushes_.empty() && !flushing_;
  return waiting_.size() + (change ? 1 : 0) + (flush ? 1 : 0);
}

// One operation, or every flush that waits: the one call makes durable what any of them asks for,
// and flushes can never hold all the threads.
bool DiskPool::take(OpList& batch) {
  if (!flushing_ && !waiting_flushes_.empty()) {
    batch.splice_back(waiting_flushes_);
    flushing_ = true;
  } else if (!changing_ && !waiting_changes_.empty()) {
    batch.push_back(*waiting_changes_.pop_front());
    changing_ = true;
  } else if (port::DiskOp* op = waiting_.pop_front()) {
    batch.push_back(*op);
  }
  return !batch.empty();
}

// True if the caller must post the delivery.
bool DiskPool::finish(OpList& batch, int error) {
  const OpList& queue = queue_for(batch.front());
  if (&queue == &waiting_flushes_) flushing_ = false;
  if (&queue == &waiting_changes_) changing_ = false;
  for (port::DiskOp& op : batch) op.error = error;
  done_.splice_back(batch);
  return !std::exchange(delivery_posted_, true);
}

void DiskPool::post_delivery() {
  auto delivery = asio::bind_allocator(PostAllocator<void>(*post_memory_), [this] { deliver(); });
  // A type-erased executor forgets the allocator, so the common case is asked for by name.
  if (const auto* context = owner_.target<asio::io_context::executor_type>())
    asio::post(*context, std::move(delivery));
  else
    asio::post(owner_, std::move(delivery));
}

void DiskPool::deliver() {
  arrivals_.note();
  OpList batch;
  {
    const std::lock_guard lock(mutex_);
    batch.splice_back(done_);
    delivery_posted_ = false;
  }
  // The last completion may destroy this object: afterwards only the local list is touched.
  while (port::DiskOp* op = batch.pop_front()) {
    --in_flight_;
    op->completed(*op);
  }
}

}  // namespace hast::adapter
