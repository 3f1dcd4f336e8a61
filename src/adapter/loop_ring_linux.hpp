// Private to the adapters of Linux: an io_uring whose completions wake the loop of an executor. On
// that executor; where one thread runs it, completions are worked off when they are asked for, not
// when they arrive.
#pragma once

#if __has_include(<liburing.h>)
#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "hast/adapter/busy_poll.hpp"

namespace hast::adapter {

class LoopRing {
 public:
  explicit LoopRing(const boost::asio::any_io_executor& executor)
      : owner_(executor), arrivals_(executor), descriptor_(executor) {}
  ~LoopRing() {
    if (is_set_up_) io_uring_queue_exit(&uring_);
  }
  LoopRing(const LoopRing&) = delete;
  LoopRing& operator=(const LoopRing&) = delete;

  /// `more` flags than those it needs itself; errno.
  int set_up(unsigned entries, unsigned more = 0) {
    deferred_ = owner_.target<boost::asio::io_context::executor_type>() != nullptr;
    const unsigned flags = deferred_ ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN : 0U;
    int error = io_uring_queue_init(entries, &uring_, flags | more);
    if (error == -EINVAL && deferred_) {  // a kernel before 6.1
      deferred_ = false;
      error = io_uring_queue_init(entries, &uring_, more);
    }
    if (error < 0) return -error;
    is_set_up_ = true;
    // The ring's own descriptor does not become readable for work that is deferred.
    const int news = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (news < 0) return errno;
    boost::system::error_code failure;
    descriptor_.assign(news, failure);
    if (failure) {
      ::close(news);
      return failure.value();
    }
    return -io_uring_register_eventfd(&uring_, news);
  }

  io_uring* uring() { return &uring_; }

  /// No handler runs any more.
  void silence() {
    alive_.reset();
    boost::system::error_code ignored;
    descriptor_.close(ignored);
  }

  /// False if the kernel did not take all that was prepared (it is short of memory, or of room for
  /// completions): the rest is to be offered again in a later turn.
  bool submit() {
    while (io_uring_sq_ready(&uring_) > 0) {
      const int taken = io_uring_submit(&uring_);
      if (taken <= 0 && taken != -EINTR) return false;
    }
    return true;
  }

  /// What has arrived is in the completion queue after that.
  void get_events() {
    if (deferred_) io_uring_get_events(&uring_);
  }

  /// `handler` runs once when something may have arrived, unless this ring is destroyed before.
  template <class Handler>
  void wait(Handler handler) {
    if (std::exchange(waits_, true)) return;
    descriptor_.async_read_some(
        boost::asio::buffer(&news_count_, sizeof news_count_),
        [this, alive = std::weak_ptr(alive_), handler = std::move(handler)](
            const boost::system::error_code& error, std::size_t) {
          if (error == boost::asio::error::operation_aborted || alive.expired()) return;
          waits_ = false;
          arrivals_.note();
          handler();
        });
  }
  /// `handler` runs in a later turn, unless this ring is destroyed before.
  template <class Handler>
  void post(Handler handler) {
    boost::asio::post(owner_, [alive = std::weak_ptr(alive_), handler = std::move(handler)] {
      if (!alive.expired()) handler();
    });
  }

 private:
  boost::asio::any_io_executor owner_;
  Arrivals arrivals_;
  boost::asio::posix::stream_descriptor descriptor_;  // an eventfd: there are completions
  std::uint64_t news_count_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // handlers may outlive the ring
  io_uring uring_{};
  bool is_set_up_ = false;
  bool deferred_ = false;
  bool waits_ = false;
};

}  // namespace hast::adapter
#endif
