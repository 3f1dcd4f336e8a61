#include "clock.hpp"

#include <boost/asio/post.hpp>

namespace hast::sim {

VirtualClock::Key VirtualClock::at(port::TimePoint when, Action action) {
  const Key key{std::max(when, now_), ++order_};
  events_.emplace(key, std::move(action));
  return key;
}

void VirtualClock::run_next() {
  HAST_ASSERT(!idle());
  auto next = events_.extract(events_.begin());
  now_ = next.key().at;
  next.mapped()();
}

void VirtualClock::advance_to(port::TimePoint when) {
  HAST_ASSERT(when >= now_ && (idle() || when <= next()));
  now_ = when;
}

std::unique_ptr<port::Timer> ProcessClock::make_timer(boost::asio::any_io_executor executor) {
  return std::make_unique<SimTimer>(*this, std::move(executor));
}

void ProcessClock::kill() {
  dead_ = true;
  for (SimTimer& timer : timers_) timer.cancel();
}

SimTimer::SimTimer(ProcessClock& clock, boost::asio::any_io_executor executor)
    : clock_(clock), executor_(std::move(executor)) {
  clock_.timers_.push_back(*this);
}

SimTimer::~SimTimer() {
  HAST_ASSERT(!waiting_);
  clock_.timers_.erase(*this);
}

boost::asio::awaitable<bool> SimTimer::wait_for(port::Duration duration) {
  HAST_ASSERT(!waiting_);
  if (clock_.dead()) {
    co_await boost::asio::post(executor_, boost::asio::use_awaitable);
    co_return false;
  }
  waiting_ = true;
  passed_ = false;
  key_ = clock_.clock_.after(duration, [this] {
    waiting_ = false;
    passed_ = true;
    wakeup_.notify();
  });
  co_await wakeup_.wait();
  co_return passed_;
}

void SimTimer::cancel() {
  if (!waiting_) return;
  waiting_ = false;
  clock_.clock_.cancel(key_);
  wakeup_.notify();
}

}  // namespace hast::sim
