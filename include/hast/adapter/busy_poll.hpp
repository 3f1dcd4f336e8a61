// How the one thread that runs the loop waits. To be woken costs more than most of what hastd waits
// for at a low depth (docs/decisions/012), so where the next event is expected soon the loop polls
// for a while before it sleeps, and lets everybody else who wants the processor go first. At a high
// depth it sleeps at once: what gathers meanwhile is handled together, which saves more.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <functional>

#include "hast/base/usage.hpp"

namespace hast::adapter {

/// Whether the next event will come soon, judging by the last few.
class Expectation {
 public:
  bool soon() const { return score_ > kMost / 2; }
  void was_soon(bool soon);

 private:
  static constexpr int kMost = 3;  // one exception does not change its mind
  int score_ = 0;
};

/// What the loop is told before each wait.
struct Prospect {
  std::chrono::microseconds longest{0};  // to poll for; 0: sleep at once
  Usage requests;                        // of all resources
};

/// With more requests than this under way at once the loop does not poll.
inline constexpr std::size_t kPolledDepth = 8;

/// A service of an io_context that one thread runs. While a wait is expected to be short, a handler
/// that posts itself again keeps the loop from sleeping. All of it inside of one run(): that is how
/// long Asio keeps the memory of operations for the next ones.
class BusyPoll final : public boost::asio::execution_context::service {
 public:
  static inline boost::asio::execution_context::id id;  // Asio's name for it

  /// `context` is an io_context. Made by boost::asio::make_service before anything that waits.
  BusyPoll(boost::asio::execution_context& context, std::function<Prospect()> prospect);
  /// Never polls (Asio wants a service that can be made of nothing).
  explicit BusyPoll(boost::asio::execution_context& context)
      : BusyPoll(context, [] { return Prospect{}; }) {}

  /// From a handler of the loop: what somebody waited for has come.
  void arrived();

 private:
  using Clock = std::chrono::steady_clock;

  void shutdown() override {}
  void post();
  void turn();
  void begin_wait();
  void end_wait(bool soon);

  boost::asio::io_context::executor_type executor_;
  std::function<Prospect()> prospect_;
  /// A client that thinks says nothing about how soon the peer or a disk answers.
  std::array<Expectation, 2> expectations_;
  Expectation* expectation_ = nullptr;  // of this wait
  std::chrono::microseconds longest_{0};
  Clock::time_point wait_began_;
  bool waits_ = false;
  bool news_ = false;  // since the last turn
  bool posted_ = false;
  bool looked_ = false;  // the loop, since the last yield
  int ignored_ = 0;      // arrivals, at depth, until the prospect is asked for again
};

/// Held by whoever waits for sockets, disks or threads: tells the loop, if it polls, what came.
class Arrivals {
 public:
  explicit Arrivals(const boost::asio::any_io_executor& executor);
  void note() {
    if (poll_ != nullptr) poll_->arrived();
  }

 private:
  BusyPoll* poll_ = nullptr;
};

}  // namespace hast::adapter
