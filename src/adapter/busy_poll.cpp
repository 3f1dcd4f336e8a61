#include "hast/adapter/busy_poll.hpp"

#include <algorithm>
#include <array>
#include <thread>

namespace hast::adapter {

namespace {

using Clock = std::chrono::steady_clock;

/// At depth the prospect is asked for once in so many handlers.
constexpr int kHandlersBetween = 16;

/// Until something was ready and ran, and all that was ready with it.
void wait(boost::asio::io_context& context, Expectation& expectation,
          std::chrono::microseconds longest) {
  const Clock::time_point begin = Clock::now();
  const auto is_soon = [&] { return Clock::now() - begin <= longest; };
  if (expectation.soon()) {
    do {
      if (context.poll() > 0) return expectation.was_soon(true);
      std::this_thread::yield();
    } while (is_soon());
  }
  context.run_one();
  expectation.was_soon(is_soon());
  context.poll();
}

}  // namespace

void Expectation::was_soon(bool soon) { score_ = std::clamp(score_ + (soon ? 1 : -1), 0, kMost); }

void run_polling(boost::asio::io_context& context, const std::function<Prospect()>& prospect) {
  // A client that thinks says nothing about how soon the peer or a disk answers.
  std::array<Expectation, 2> expectations;
  while (!context.stopped()) {
    const auto [longest, requests] = prospect();
    if (longest.count() > 0 && requests.most <= kPolledDepth) {
      wait(context, expectations[requests.now > 0 ? 1 : 0], longest);
    } else {
      for (int i = 0; i < kHandlersBetween && context.run_one() > 0; ++i) {
      }
    }
  }
}

}  // namespace hast::adapter
