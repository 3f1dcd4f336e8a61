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

#include "hast/base/assert.hpp"
#include "hast/base/error.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): FreeBSD declares it nowhere

namespace hast::adapter {

namespace {

namespace asio = boost::asio;

std::string joined(const std::vector<std::string>& argv) {
  std::string text;
  for (const std::string& word : argv) text += (text.empty() ? "" : " ") + word;
  return text;
}

/// What the child gets: /dev/null three times, nothing else, no blocked or ignored signal, and a
/// process group of its own, so that a time-out reaches what it started as well.
class SpawnSettings {
 public:
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
      ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    ::posix_spawnattr_init(&attributes);
    sigset_t signals;
    sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals);
    sigdelset(&signals, SIGKILL);
    sigdelset(&signals, SIGSTOP);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);
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

HookExec::HookExec(const asio::any_io_executor& executor, HookLimits limits)
    : executor_(asio::make_strand(executor)),
      limits_(limits),
      children_(executor_, SIGCHLD),
      timer_(executor_) {
  wait_for_children();
}

HookExec::~HookExec() = default;

void HookExec::run(std::vector<std::string> argv) {
  HAST_ASSERT(!argv.empty());
  Hook hook(std::move(argv));
  hook.run_time = limits_.run_time;
  asio::post(executor_, [this, hook = std::move(hook)]() mutable { enqueue(std::move(hook)); });
}

void HookExec::ask(std::vector<std::string> argv, port::Duration limit,
                   std::function<void(Verdict)> answer) {
  HAST_ASSERT(!argv.empty());
  Hook hook(std::move(argv));
  hook.run_time = std::chrono::duration_cast<std::chrono::milliseconds>(limit);
  hook.answer = std::move(answer);
  asio::post(executor_, [this, hook = std::move(hook)]() mutable { enqueue(std::move(hook)); });
}

void HookExec::stop() {
  asio::post(executor_, [this] { begin_stop(); });
}

void HookExec::enqueue(Hook hook) {
  if (stopping_) {
    log_.error("Hook dropped, hastd is ending: {}", joined(hook.argv));
    ++counts_.dropped;
    return hook.end(Verdict::no);
  }
  make_room(hook.resource());
  waiting_.push_back(std::move(hook));
  start_waiting();
}

// The newest event tells most: of a role that changed twice, the second change.
void HookExec::make_room(const std::string& resource) {
  const auto same = [&](const Hook& hook) { return hook.resource() == resource; };
  const auto count = std::count_if(waiting_.begin(), waiting_.end(), same);
  if (static_cast<std::size_t>(count) < limits_.waiting) return;
  const auto oldest = std::find_if(waiting_.begin(), waiting_.end(), same);
  log_.error("Hook dropped, {} more of its resource are waiting: {}", count, joined(oldest->argv));
  oldest->end(Verdict::no);
  waiting_.erase(oldest);
  ++counts_.dropped;
}

void HookExec::start_waiting() {
  for (auto hook = waiting_.begin(); hook != waiting_.end();) {
    const auto next = std::next(hook);
    if (may_start(*hook)) {
      const bool started = start(&*hook);
      if (started) running_.splice(running_.end(), waiting_, hook);
      if (!started) {
        hook->end(Verdict::no);
        waiting_.erase(hook);
      }
    }
    hook = next;
  }
  wait_for_deadline();
  finish_stop();
}

bool HookExec::may_start(const Hook& hook) const {
  const auto precedes = [&](const Hook& other) {
    return !hook.answer && !other.answer && other.resource() == hook.resource();
  };
  return running_.size() < limits_.running &&
         std::none_of(running_.begin(), running_.end(), precedes);
}

bool HookExec::start(Hook* hook) {
  std::vector<char*> words;
  for (std::string& word : hook->argv) words.push_back(word.data());
  words.push_back(nullptr);
  const SpawnSettings settings;
  const int error = ::posix_spawn(&hook->pid, words[0], &settings.actions, &settings.attributes,
                                  words.data(), environ);
  if (error != 0) {
    log_.error("Hook {} cannot be run: {}. Check that it exists and is executable.", hook->argv[0],
               errno_text(error));
    ++counts_.unstartable;
    return false;
  }
  hook->deadline = std::min(stop_deadline_, std::chrono::steady_clock::now() + hook->run_time);
  ++counts_.started;
  return true;
}

void HookExec::wait_for_children() {
  children_.async_wait(asio::bind_executor(executor_, [this](boost::system::error_code error, int) {
    if (error) return;  // this object may be gone
    reap();
    if (!stopping_ || !running_.empty()) wait_for_children();
  }));
}

// Signals of several children may come as one, and children of others cause some: every running
// hook is asked for, and nobody else.
void HookExec::reap() {
  running_.remove_if([this](const Hook& hook) { return has_ended(hook); });
  start_waiting();
}

bool HookExec::has_ended(const Hook& hook) {
  int status = 0;
  const pid_t ended = ::waitpid(hook.pid, &status, WNOHANG);
  if (ended == hook.pid) {
    report(hook, status);
    const bool consents = !hook.terminated && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    hook.end(consents ? Verdict::yes : Verdict::no);
  }
  const bool lost = ended < 0 && errno == ECHILD;
  if (lost) hook.end(Verdict::no);
  return ended == hook.pid || lost;
}

void HookExec::report(const Hook& hook, int status) {
  if (hook.terminated || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return;
  ++counts_.failed;
  if (WIFSIGNALED(status))
    log_.error("Hook was killed by signal {}: {}", WTERMSIG(status), joined(hook.argv));
  else
    log_.error("Hook ended with exit status {}: {}", WEXITSTATUS(status), joined(hook.argv));
}

/// For the first of the deadlines: one that comes earlier than those before is waited for instead.
void HookExec::wait_for_deadline() {
  if (running_.empty()) return;
  const auto first =
      std::min_element(running_.begin(), running_.end(),
                       [](const Hook& a, const Hook& b) { return a.deadline < b.deadline; });
  if (timing_ && timer_.expiry() <= first->deadline) return;
  timing_ = true;
  timer_.expires_at(first->deadline);
  timer_.async_wait(asio::bind_executor(executor_, [this](boost::system::error_code error) {
    if (error) return;  // another wait has taken its place, or this object may be gone
    timing_ = false;
    end_overdue();
    wait_for_deadline();
  }));
}

// The whole process group: a script that hangs usually hangs in a command.
void HookExec::end_overdue() {
  const Time now = std::chrono::steady_clock::now();
  for (Hook& hook : running_) {
    if (now < hook.deadline) continue;
    if (!hook.terminated) {
      ++counts_.timed_out;
      log_.error("Hook did not end in time and is terminated: {}", joined(hook.argv));
    }
    ::kill(-hook.pid, hook.terminated ? SIGKILL : SIGTERM);
    hook.terminated = true;
    hook.deadline = now + limits_.grace_time;
  }
}

void HookExec::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  stop_deadline_ = std::chrono::steady_clock::now() + limits_.stop_time;
  for (Hook& hook : running_) hook.deadline = std::min(hook.deadline, stop_deadline_);
  start_waiting();
}

void HookExec::finish_stop() {
  if (!stopping_ || !running_.empty()) return;
  children_.cancel();
  timer_.cancel();
}

}  // namespace hast::adapter
