// Wakeup: how synchronous code tells one coroutine that there is something to do. A wakeup that
// nobody waits for is remembered, several are one. Everything on the executor given at birth; the
// owner joins the coroutine that waits before it destroys this.
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <utility>

namespace hast::adapter::nbd {

class Wakeup {
 public:
  explicit Wakeup(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  /// The one who waits runs later, never from in here.
  void set() {
    if (!waiter_) {
      set_ = true;
      return;
    }
    // Not an assignment: Boost 1.81 destroys the wrong handler when one is moved onto another.
    Handler waiter(std::move(*waiter_));
    waiter_.reset();
    boost::asio::post(executor_, std::move(waiter));
  }

  /// One waiter at a time.
  template <class Token>
  auto async_wait(Token&& token) {
    return boost::asio::async_initiate<Token, void()>(
        [this](auto handler) {
          waiter_.emplace(std::move(handler));
          if (std::exchange(set_, false)) set();
        },
        token);
  }

  bool has_waiter() const { return waiter_.has_value(); }

 private:
  using Handler = boost::asio::any_completion_handler<void()>;

  boost::asio::any_io_executor executor_;
  std::optional<Handler> waiter_;
  bool set_ = false;
};

}  // namespace hast::adapter::nbd
