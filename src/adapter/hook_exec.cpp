#include "hast/adapter/hook_exec.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <cerrno>

#include "hast/base/error.hpp"

extern char** environ;

namespace hast::adapter {

namespace {

namespace asio = boost::asio;

std::string joined(const std::vector<std::string>& argv) {
  std::string text;
  for (const std::string& word : argv) text += (text.empty() ? "" : " ") + word;
  return text;
}

/// What the child gets: /dev/null three times, nothing else, no blocked signal, a group of its own.
class SpawnSettings {
 public:
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    sigset_t defaults;
    sigfillset(&defaults);
    ::posix_spawnattr_setsigdefault(&attributes, &defaults);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

}  // namespace

HookExec::HookExec(asio::any_io_executor executor, HookLimits limits)
    : executor_(asio::make_strand(std::move(executor))),
      limits_(limits),
      children_(executor_, SIGCHLD),
      timer_(executor_) {
  wait_for_children();
}

HookExec::~HookExec() = default;

void HookExec::run(std::vector<std::string> argv) {
  asio::post(executor_, [this, argv = std::move(argv)]() mutable { enqueue(std::move(argv)); });
}

void HookExec::stop() {
  asio::post(executor_, [this] {
    stopping_ = true;
    start_waiting();
    children_.cancel();
    timer_.cancel();
  });
}

void HookExec::enqueue(std::vector<std::string> argv) {
  if (waiting_.size() >= limits_.waiting) {
    log_.error("Hook dropped, {} are waiting already: {}", waiting_.size(), joined(argv));
    return;
  }
  waiting_.push_back(std::move(argv));
  start_waiting();
}

void HookExec::start_waiting() {
  while (!waiting_.empty() && running_.size() < limits_.running) {
    (void)start(waiting_.front());
    waiting_.pop_front();
  }
  wait_for_deadline();
}

bool HookExec::start(const std::vector<std::string>& argv) {
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const SpawnSettings settings;
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, argv[0].c_str(), &settings.actions, &settings.attributes,
                                  words.data(), environ);
  if (error != 0) {
    log_.error("Hook {} cannot be run: {}. Check that it exists and is executable.", argv[0],
               errno_text(error));
    return false;
  }
  running_.push_back({pid, joined(argv), std::chrono::steady_clock::now() + limits_.run_time});
  return true;
}

void HookExec::wait_for_children() {
  children_.async_wait(asio::bind_executor(executor_, [this](boost::system::error_code error, int) {
    if (error || stopping_) return;
    reap();
    wait_for_children();
  }));
}

/// Signals of several children may come as one: every running hook is looked at.
void HookExec::reap() {
  std::erase_if(running_, [this](const Running& hook) {
    int status = 0;
    if (::waitpid(hook.pid, &status, WNOHANG) != hook.pid) return false;
    if (WIFSIGNALED(status)) {
      log_.error("Hook was killed by signal {}: {}", WTERMSIG(status), hook.name);
    } else if (WEXITSTATUS(status) != 0) {
      log_.error("Hook ended with exit status {}: {}", WEXITSTATUS(status), hook.name);
    }
    return true;
  });
  start_waiting();
}

void HookExec::wait_for_deadline() {
  if (timing_ || running_.empty() || stopping_) return;
  timing_ = true;
  auto first =
      std::min_element(running_.begin(), running_.end(),
                       [](const Running& a, const Running& b) { return a.deadline < b.deadline; });
  timer_.expires_at(first->deadline);
  timer_.async_wait(asio::bind_executor(executor_, [this](boost::system::error_code) {
    timing_ = false;
    if (stopping_) return;
    end_overdue();
    wait_for_deadline();
  }));
}

void HookExec::end_overdue() {
  const auto now = std::chrono::steady_clock::now();
  for (Running& hook : running_) {
    if (now < hook.deadline) continue;
    log_.warning("Hook runs longer than allowed and is {}: {}",
                 hook.terminated ? "killed" : "terminated", hook.name);
    ::kill(-hook.pid, hook.terminated ? SIGKILL : SIGTERM);
    hook.terminated = true;
    hook.deadline = now + limits_.grace_time;
  }
}

}  // namespace hast::adapter
