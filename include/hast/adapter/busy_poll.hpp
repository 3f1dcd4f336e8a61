// How the one thread that runs the loop waits. To be woken costs more than most of what hastd waits
// for at a low depth (docs/decisions/012), so where the next event is expected soon the loop polls
// for a while before it sleeps, and lets everybody else who wants the processor go first. At a high
// depth it sleeps at once: what gathers meanwhile is handled together, which saves more.
#pragma once

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

/// Runs `context` in this thread until it is stopped or has nothing left to do.
void run_polling(boost::asio::io_context& context, const std::function<Prospect()>& prospect);

}  // namespace hast::adapter
