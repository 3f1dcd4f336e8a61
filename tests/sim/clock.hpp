// Virtual time. VirtualClock is the world's queue of things to come; time jumps from one to the
// next, so a day of silence costs nothing. ProcessClock is what one simulated hastd gets of it:
// when that process dies, all its waits end at once and every later one too, so that its coroutines
// can be drained at the instant of the crash.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "hast/base/intrusive_list.hpp"
#include "hast/port/clock.hpp"
#include "hast/port/wakeup.hpp"

namespace hast::sim {

class VirtualClock {
 public:
  using Action = std::function<void()>;
  /// Orders events: by time, and those of one instant in the order they were asked for.
  struct Key {
    port::TimePoint at{};
    std::uint64_t order = 0;
    auto operator<=>(const Key&) const = default;
  };

  port::TimePoint now() const { return now_; }
  port::Duration since_start() const { return now_ - kStart; }
  Key at(port::TimePoint when, Action action);
  Key after(port::Duration delay, Action action) { return at(now_ + delay, std::move(action)); }
  /// What has run already, or was cancelled, is ignored.
  void cancel(const Key& key) { events_.erase(key); }

  bool idle() const { return events_.empty(); }
  port::TimePoint next() const { return events_.begin()->first.at; }
  /// Jumps to the next event and runs it.
  void run_next();
  /// Nothing happens until then.
  void advance_to(port::TimePoint when);

 private:
  // Not zero: a time point nobody set must not look like the present.
  static constexpr port::TimePoint kStart{std::chrono::hours(1000)};
  port::TimePoint now_ = kStart;
  std::uint64_t order_ = 0;
  std::map<Key, Action> events_;
};

class SimTimer;

class ProcessClock final : public port::Clock {
 public:
  explicit ProcessClock(VirtualClock& clock) : clock_(clock) {}

  port::TimePoint now() const override { return clock_.now(); }
  std::unique_ptr<port::Timer> make_timer(boost::asio::any_io_executor executor) override;

  void kill();
  bool dead() const { return dead_; }

 private:
  friend class SimTimer;
  VirtualClock& clock_;
  IntrusiveList<SimTimer, SimTimer> timers_;
  bool dead_ = false;
};

class SimTimer final : public port::Timer, public ListNode<SimTimer> {
 public:
  SimTimer(ProcessClock& clock, boost::asio::any_io_executor executor);
  ~SimTimer() override;

  boost::asio::awaitable<bool> wait_for(port::Duration duration) override;
  void cancel() override;

 private:
  ProcessClock& clock_;
  boost::asio::any_io_executor executor_;
  port::Wakeup wakeup_;
  VirtualClock::Key key_;
  bool waiting_ = false;
  bool passed_ = false;
};

}  // namespace hast::sim
