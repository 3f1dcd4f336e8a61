#include "hast/adapter/busy_poll.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <thread>
#include <utility>

namespace hast::adapter {

namespace asio = boost::asio;

namespace {

/// At depth the prospect is asked for once in so many arrivals.
constexpr int kArrivalsBetween = 16;

}  // namespace

void Expectation::was_soon(bool soon) { score_ = std::clamp(score_ + (soon ? 1 : -1), 0, kMost); }

BusyPoll::BusyPoll(asio::execution_context& context, std::function<Prospect()> prospect)
    : service(context),
      executor_(static_cast<asio::io_context&>(context).get_executor()),
      prospect_(std::move(prospect)) {}

void BusyPoll::arrived() {
  news_ = true;
  if (posted_) return;
  if (ignored_ > 0) {
    --ignored_;
    return;
  }
  end_wait(Clock::now() - wait_began_ <= longest_);
  post();
}

void BusyPoll::post() {
  posted_ = true;
  asio::post(executor_, [this] { turn(); });
}

// Runs after the handlers that were ready, and while it is posted the loop looks for others without
// waiting for them.
void BusyPoll::turn() {
  posted_ = false;
  if (std::exchange(news_, false)) {
    end_wait(true);
    return begin_wait();
  }
  const Clock::time_point now = Clock::now();
  if (!std::exchange(waits_, true)) wait_began_ = now;
  if (!expectation_->soon() || now - wait_began_ > longest_) return;  // the loop sleeps
  // What the loop's last look found runs after this turn: nobody else goes first yet.
  if (looked_) std::this_thread::yield();
  looked_ = !looked_;
  post();
}

void BusyPoll::begin_wait() {
  const auto [longest, requests] = prospect_();
  if (longest.count() == 0 || requests.most > kPolledDepth) {
    ignored_ = kArrivalsBetween - 1;
    return;
  }
  expectation_ = &expectations_[requests.now > 0 ? 1 : 0];
  longest_ = longest;
  post();
}

void BusyPoll::end_wait(bool soon) {
  looked_ = false;
  if (std::exchange(waits_, false)) expectation_->was_soon(soon);
}

Arrivals::Arrivals(const asio::any_io_executor& executor) {
  auto& context = asio::query(executor, asio::execution::context);
  if (asio::has_service<BusyPoll>(context)) poll_ = &asio::use_service<BusyPoll>(context);
}

}  // namespace hast::adapter
