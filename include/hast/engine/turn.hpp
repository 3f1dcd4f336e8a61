// One at a time: coroutines that take a turn run one after the other, in the order they asked. All
// on one executor; whoever has the turn gives it back with done().
#pragma once

#include "hast/base/intrusive_list.hpp"
#include "hast/port/wakeup.hpp"

namespace hast::engine {

namespace asio = boost::asio;

class Turn {
 public:
  asio::awaitable<void> take() {
    if (!taken_) {
      taken_ = true;
      co_return;
    }
    Waiter waiter;
    waiters_.push_back(waiter);
    co_await waiter.wakeup.wait();
  }
  void done() {
    // Handed over without becoming free in between, so nobody overtakes.
    if (Waiter* next = waiters_.pop_front()) {
      next->wakeup.notify();
    } else {
      taken_ = false;
    }
  }

 private:
  struct Waiter : ListNode<Waiter> {
    port::Wakeup wakeup;
  };
  IntrusiveList<Waiter, Waiter> waiters_;
  bool taken_ = false;
};

}  // namespace hast::engine
