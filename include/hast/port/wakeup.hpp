// A coroutine waits, somebody on the same executor wakes it. One waiter; a notification without a
// waiter is remembered (once), so none is lost between looking and waiting. No allocation.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>

#include "hast/base/assert.hpp"

namespace hast::port {

namespace asio = boost::asio;

class Wakeup {
 public:
  Wakeup() = default;
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  void notify() {
    if (!waiter_) {
      notified_ = true;
      return;
    }
    Handler handler = std::move(*waiter_);
    waiter_.reset();
    asio::post(std::move(handler));
  }

  bool has_waiter() const { return waiter_.has_value(); }

  /// Returns at once if notify() was called since the last wait ended.
  asio::awaitable<void> wait() {
    if (!std::exchange(notified_, false)) {
      co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(Store{this},
                                                                           asio::use_awaitable);
      notified_ = false;
    }
  }

 private:
  using Handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;

  struct Store {
    explicit Store(Wakeup* wakeup) : wakeup_(wakeup) {}
    void operator()(Handler handler) const {
      HAST_ASSERT(!wakeup_->waiter_);
      wakeup_->waiter_.emplace(std::move(handler));
    }
    Wakeup* wakeup_;
  };

  std::optional<Handler> waiter_;
  bool notified_ = false;
};

}  // namespace hast::port
