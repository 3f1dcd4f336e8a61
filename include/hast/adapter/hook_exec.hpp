// port::HookRunner: starts the operator's program, without the daemon's descriptors or signal mask,
// reaps it, ends it when it runs too long, and says when it fails. Hooks of one resource run one
// after the other in the order of their events, so that a script never sees "became primary" after
// "became secondary"; those of different resources run at once. Bounded: so many at once, so many
// waiting. run() and stop() may be called from any thread; the rest is on a strand of its own.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "hast/base/log.hpp"
#include "hast/port/hook.hpp"

namespace hast::adapter {

struct HookLimits {
  std::size_t running = 32;
  std::size_t waiting = 64;  // a resource; the oldest is dropped for a newer one
  std::chrono::milliseconds run_time = std::chrono::seconds(60);   // then SIGTERM
  std::chrono::milliseconds grace_time = std::chrono::seconds(5);  // then SIGKILL
  std::chrono::milliseconds stop_time = std::chrono::seconds(10);  // run_time after stop()
};

/// What became of the hooks so far. Every one is counted in started, unstartable or dropped.
struct HookCounts {
  std::uint64_t started = 0;
  std::uint64_t failed = 0;       // ended with another status than 0, or by a signal of others
  std::uint64_t timed_out = 0;    // ended by us
  std::uint64_t unstartable = 0;  // no such program, no process left
  std::uint64_t dropped = 0;      // too many were waiting
};

class HookExec final : public port::HookRunner {
 public:
  explicit HookExec(const boost::asio::any_io_executor& executor, HookLimits limits = {});
  /// After stop(), when the io_context has ended, or with an io_context that never runs again.
  ~HookExec() override;

  void run(std::vector<std::string> argv) override;
  void ask(std::vector<std::string> argv, port::Duration limit,
           std::function<void(Verdict)> answer) override;
  /// Returns at once. Hooks that wait or run get stop_time to end by themselves; nothing of this
  /// object is left on the io_context, and no child, when they have: its run() joins them.
  void stop();

  /// On the strand, or when the io_context does not run.
  const HookCounts& counts() const { return counts_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Hook {
    explicit Hook(std::vector<std::string> words) : argv(std::move(words)) {}
    const std::string& resource() const { return argv.size() > 2 ? argv[2] : argv[0]; }

    std::vector<std::string> argv;  // PATH EVENT RESOURCE ...
    pid_t pid = 0;
    Time deadline{};
    bool terminated = false;
    std::chrono::milliseconds run_time{};
    std::function<void(Verdict)> answer;  // none: it is told, not asked
    void end(Verdict verdict) const {
      if (answer) answer(verdict);
    }
  };

  void enqueue(Hook hook);
  void make_room(const std::string& resource);
  void start_waiting();
  bool may_start(const Hook& hook) const;
  bool start(Hook* hook);
  void wait_for_children();
  void reap();
  bool has_ended(const Hook& hook);
  void report(const Hook& hook, int status);
  void wait_for_deadline();
  void end_overdue();
  void begin_stop();
  void finish_stop();

  boost::asio::any_io_executor executor_;
  HookLimits limits_;
  Log log_;
  HookCounts counts_;
  boost::asio::signal_set children_;
  boost::asio::steady_timer timer_;
  std::list<Hook> running_;
  std::list<Hook> waiting_;
  Time stop_deadline_ = Time::max();
  bool stopping_ = false;
  bool timing_ = false;
};

}  // namespace hast::adapter
