// DiskPool: port::Disk for any platform, a few threads that make blocking calls on one component.
// The owner's executor submits and gets completions back there, in batches of one post each; the
// threads are its own, so that a component that hangs holds up nobody else's. Nothing is allocated
// per operation on an io_context's executor. Owned by the resource; nothing may be in flight when
// it is destroyed, which joins the threads.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hast/adapter/busy_poll.hpp"
#include "hast/adapter/component.hpp"
#include "hast/base/intrusive_list.hpp"
#include "hast/port/disk.hpp"

namespace hast::adapter {

class DiskPool final : public port::Disk {
 public:
  using Executor = boost::asio::any_io_executor;
  static constexpr unsigned kMaxThreads = 16;

  /// io_failed if the threads cannot be started. Calls on `owner` must not run in parallel.
  static Result<std::unique_ptr<DiskPool>> start(std::unique_ptr<Component> component,
                                                 Executor owner, unsigned threads);
  ~DiskPool() override;

  const Component& component() const { return *component_; }

  port::DiskGeometry geometry() const override { return component_->geometry(); }
  void submit(port::DiskOp& op) override;
  void kick() override;
  void flush_again() override { component_->flush_again(); }

 private:
  using OpList = IntrusiveList<port::DiskOp, port::DiskOp>;
  /// Only the thread that was asleep for the shortest time is called: its caches are the warmest.
  struct Worker {
    std::condition_variable wakeup;
    bool called = false;
    std::thread thread;
  };
  struct PostMemory;  // room for the one completion post that can be under way
  template <class T>
  class PostAllocator;

  DiskPool(std::unique_ptr<Component> component, Executor owner);
  Result<void> start_threads(unsigned count);
  void work(Worker& self);
  void sleep(Worker& self, std::unique_lock<std::mutex>& lock);
  OpList& queue_for(const port::DiskOp& op);
  std::size_t startable() const;
  bool take(OpList& batch);
  bool finish(OpList& batch, int error);
  void post_delivery();
  void deliver();

  std::unique_ptr<Component> component_;
  Executor owner_;
  Arrivals arrivals_;
  /// The kernel changes a buffered file one by one: threads that did it would only fight for it.
  const bool one_writer_;
  OpList submitted_;           // owner only: since the last kick()
  std::size_t in_flight_ = 0;  // owner only

  std::mutex mutex_;  // guards everything below
  OpList waiting_;
  OpList waiting_changes_;  // with one writer
  OpList waiting_flushes_;
  OpList done_;
  std::vector<Worker*> sleeping_;  // the last one fell asleep last
  std::size_t waking_ = 0;         // called, and have taken nothing yet
  bool changing_ = false;          // with one writer
  bool flushing_ = false;
  bool delivery_posted_ = false;
  bool stopping_ = false;

  std::unique_ptr<PostMemory> post_memory_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace hast::adapter
