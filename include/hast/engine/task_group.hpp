// Coroutines that belong together: spawned by an owner who stops what they wait for and joins them
// before it goes away. Nothing is detached. All on one executor.
#pragma once

#include <cstddef>

#include "hast/port/net.hpp"
#include "hast/port/wakeup.hpp"

namespace hast::engine {

namespace asio = boost::asio;
using port::Awaitable;
using port::Executor;

class TaskGroup {
 public:
  explicit TaskGroup(Executor executor) : executor_(std::move(executor)) {}
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  const Executor& executor() const { return executor_; }
  void spawn(Awaitable<void> task);
  std::size_t size() const { return running_; }
  /// Returns when every task has ended; the owner made them end.
  Awaitable<void> join();

 private:
  Executor executor_;
  std::size_t running_ = 0;
  port::Wakeup ended_;
};

}  // namespace hast::engine
