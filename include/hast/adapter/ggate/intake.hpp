// The intake: a few threads that block in the kernel for the next request, because nothing that can
// be polled tells of one, and post what they got to the executor of the resource. They take
// exchanges from a fixed pool; when it is empty they wait, and requests queue in the kernel: that
// is the back-pressure. Owned by the front-end, on its executor; destroyed after intake_ended().
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "hast/adapter/busy_poll.hpp"
#include "hast/adapter/ggate/exchange.hpp"

namespace hast::adapter::ggate {

struct IntakeLimits {
  unsigned threads = 3;                    // a burst of requests is not taken one by one
  std::size_t exchanges = 64;              // taken from the kernel and not answered
  std::size_t buffer_bytes = 1024 * 1024;  // of each; grows when a request is larger
  /// How often threads that sleep in the kernel are woken until they have noticed the end.
  std::chrono::milliseconds nudge_interval{20};
};

class Intake {
 public:
  class Owner {
   public:
    /// To be given back by recycle().
    virtual void taken(Exchange& exchange) = 0;
    /// The kernel refuses to hand out requests: ENXIO (the device is gone, its thread has ended) or
    /// something it tries again. ENOMEM: a write of `length_bytes` is more than can be taken.
    virtual void intake_failed(int error, std::uint64_t length_bytes) = 0;
    /// Nothing runs any more.
    virtual void intake_ended() = 0;

   protected:
    ~Owner() = default;
  };

  Intake(boost::asio::any_io_executor executor, GateDevice& device, const IntakeLimits& limits,
         Owner& owner);
  ~Intake();

  /// io_failed if the threads cannot be started: those that were end, see intake_ended().
  Result<void> start();
  void recycle(Exchange& exchange);
  /// No more requests are taken; intake_ended() when the threads have noticed.
  void end();
  bool has_ended() const { return ended_; }

 private:
  struct Failure {
    int error = 0;
    std::uint64_t length_bytes = 0;
  };

  void work();
  Exchange* take_free();
  bool fetch(Exchange& exchange);
  bool report(Failure failure);
  bool pause(std::chrono::milliseconds time);
  void hand_over(Exchange& exchange);
  void thread_ends();
  void post_delivery(std::unique_lock<std::mutex> lock);
  void deliver();
  void nudge();
  void check_ended();

  boost::asio::any_io_executor executor_;
  Arrivals arrivals_;
  GateDevice& device_;
  Owner& owner_;
  const IntakeLimits limits_;
  std::deque<Exchange> exchanges_;
  boost::asio::steady_timer nudge_timer_;
  bool threads_left_ = false;  // owner only, as are the next two
  bool nudging_ = false;       // the timer's handler has yet to run
  bool ended_ = true;

  std::mutex mutex_;  // guards everything below
  std::condition_variable freed_;
  std::condition_variable ending_now_;
  ExchangeList free_;
  ExchangeList taken_;
  std::vector<Failure> failures_;
  std::size_t running_ = 0;
  bool ending_ = false;
  bool delivery_posted_ = false;

  // Started and joined by the owner.
  std::vector<std::thread> threads_;
  std::optional<boost::asio::executor_work_guard<boost::asio::any_io_executor>> work_;
};

}  // namespace hast::adapter::ggate
