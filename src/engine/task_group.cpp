#include "hast/engine/task_group.hpp"

#include <boost/asio/co_spawn.hpp>
#include <exception>

#include "hast/base/log.hpp"

namespace hast::engine {

TaskGroup::~TaskGroup() { HAST_ASSERT(running_ == 0); }

void TaskGroup::spawn(Awaitable<void> task) {
  ++running_;
  asio::co_spawn(executor_, std::move(task), [this](std::exception_ptr failure) {
    // Our code throws nothing; what a library throws is caught where it enters. This is a bug.
    if (failure) std::rethrow_exception(failure);
    if (--running_ == 0) ended_.notify();
  });
}

Awaitable<void> TaskGroup::join() {
  while (running_ > 0) co_await ended_.wait();
}

}  // namespace hast::engine
