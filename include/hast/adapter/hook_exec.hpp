// port::HookRunner: starts the operator's program, without the daemon's descriptors or signal mask,
// reaps it, ends it when it runs too long, and says when it fails. Bounded: so many at once, so
// many waiting. run() may be called from any thread; the rest is on a strand of its own.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <vector>

#include "hast/base/log.hpp"
#include "hast/port/hook.hpp"

namespace hast::adapter {

struct HookLimits {
  std::size_t running = 32;
  std::size_t waiting = 1024;
  std::chrono::milliseconds run_time = std::chrono::seconds(60);   // then SIGTERM
  std::chrono::milliseconds grace_time = std::chrono::seconds(5);  // then SIGKILL
};

class HookExec final : public port::HookRunner {
 public:
  explicit HookExec(boost::asio::any_io_executor executor, HookLimits limits = {});
  ~HookExec();

  void run(std::vector<std::string> argv) override;
  /// Hooks that wait are started, hooks that run are left to themselves; the io_context may end.
  void stop();

 private:
  struct Running {
    pid_t pid;
    std::string name;  // "PATH role shared init primary"
    std::chrono::steady_clock::time_point deadline;
    bool terminated = false;
  };

  void enqueue(std::vector<std::string> argv);
  void start_waiting();
  bool start(const std::vector<std::string>& argv);
  void wait_for_children();
  void reap();
  void wait_for_deadline();
  void end_overdue();

  boost::asio::any_io_executor executor_;
  HookLimits limits_;
  Log log_;
  boost::asio::signal_set children_;
  boost::asio::steady_timer timer_;
  std::vector<Running> running_;
  std::deque<std::vector<std::string>> waiting_;
  bool stopping_ = false;
  bool timing_ = false;
};

}  // namespace hast::adapter
