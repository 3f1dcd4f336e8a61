#include "hast/adapter/hook_exec.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "awaiting.hpp"
#include "support/catch.hpp"
#include "temp_dir.hpp"

namespace hast::adapter {
namespace {

using namespace std::chrono_literals;
using test::read_text;

// A runner, and a script that stands for the operator's program.
struct World {
  explicit World(HookLimits limits = {}) : hooks(io.get_executor(), limits) {}
  ~World() { finish(); }

  std::string script(const std::string& name, const std::string& body) const {
    const std::string path = dir.make_text(name, "#!/bin/sh\ncd " + dir.path() + "\n" + body);
    REQUIRE(::chmod(path.c_str(), 0700) == 0);
    return path;
  }
  // Everything of the runner ends, and so does the io_context.
  void finish() {
    hooks.stop();
    io.restart();
    io.run_for(test::kLimit);
    CHECK(io.stopped());
  }
  template <class Condition>
  void run_until(Condition condition) {
    test::run_until(io, condition);
  }
  std::string text(const std::string& name) const { return read_text(dir.file(name)); }

  test::TempDir dir;
  boost::asio::io_context io;
  HookExec hooks;
};

int lines(const std::string& text) {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

bool no_children() { return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD; }

}  // namespace

TEST_CASE("A hook gets its arguments and is reaped") {
  World world;
  const std::string path =
      world.script("hook", "printf '%s|' \"$0\" \"$@\" > out.new\nmv out.new out\n");
  world.hooks.run({path, "role", "shared", "init", "primary"});
  world.run_until([&] { return std::filesystem::exists(world.dir.file("out")); });
  CHECK(world.text("out") == path + "|role|shared|init|primary|");
  world.finish();
  CHECK(no_children());
  CHECK(world.hooks.counts().started == 1);
  CHECK(world.hooks.counts().failed == 0);
}

#if defined(__linux__)
TEST_CASE("A hook has /dev/null for 0, 1 and 2, and no other descriptor of the daemon") {
  World world;
  // A descriptor that somebody forgot to mark close-on-exec.
  const int leaked = ::open("/dev/zero", O_RDONLY);
  REQUIRE(leaked >= 0);
  // What ls itself opens is gone when its link is read.
  world.hooks.run({world.script("hook", "ls -l /proc/$$/fd | grep -o '[0-9]* -> .*' > fds\n"),
                   "connect", "shared"});
  world.finish();
  ::close(leaked);
  const std::string fds = world.text("fds");
  CHECK(fds.find("0 -> /dev/null\n") != std::string::npos);
  CHECK(fds.find("1 -> /dev/null\n") != std::string::npos);
  CHECK(fds.find("2 -> /dev/null\n") != std::string::npos);
  CHECK(fds.find("/dev/zero") == std::string::npos);
  CHECK(fds.find("socket") == std::string::npos);
  CHECK(fds.find("anon_inode") == std::string::npos);
}

TEST_CASE("A hook has no signal blocked or ignored, whatever the daemon does with them") {
  World world;
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGUSR1);
  REQUIRE(::pthread_sigmask(SIG_BLOCK, &blocked, &before) == 0);
  const auto pipe_before = ::signal(SIGPIPE, SIG_IGN);
  world.hooks.run({world.script("hook", "grep -E 'Sig(Blk|Ign)' /proc/self/status > signals\n"),
                   "connect", "shared"});
  world.finish();
  ::signal(SIGPIPE, pipe_before);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  const std::string signals = world.text("signals");
  CHECK(signals.find("SigBlk:\t0000000000000000\n") != std::string::npos);
  const std::size_t ignored = signals.find("SigIgn:\t");
  REQUIRE(ignored != std::string::npos);
  // glibc ignores the two real-time signals that it keeps for itself.
  CHECK((std::stoull(signals.substr(ignored + 8), nullptr, 16) & 0x7fffffff) == 0);
}
#endif

TEST_CASE("Failures are counted: a status, a signal, a program that does not exist") {
  World world;
  world.hooks.run({world.script("exits", "exit 3\n"), "role", "a"});
  world.hooks.run({world.script("dies", "kill -9 $$\n"), "role", "b"});
  world.hooks.run({world.dir.file("missing"), "role", "c"});
  world.hooks.run({world.dir.make_text("not-executable", ""), "role", "d"});
  world.hooks.run({world.script("works", "exit 0\n"), "role", "e"});
  world.finish();
  CHECK(world.hooks.counts().started == 3);
  CHECK(world.hooks.counts().failed == 2);
  CHECK(world.hooks.counts().unstartable == 2);
  CHECK(world.hooks.counts().timed_out == 0);
  CHECK(no_children());
}

TEST_CASE("A hook that hangs is terminated, one that ignores that is killed, with its children") {
  World world({.run_time = 1s, .grace_time = 300ms});
  const std::string stubborn = world.script(
      "stubborn",
      "trap '' TERM\necho $$ > pid\n(trap '' TERM; sleep 600) &\nsleep 600\nsleep 600\n");
  world.hooks.run({world.script("hangs", "sleep 600\n"), "role", "a"});
  world.hooks.run({stubborn, "role", "b"});
  world.finish();
  CHECK(world.hooks.counts().started == 2);
  CHECK(world.hooks.counts().timed_out == 2);
  CHECK(world.hooks.counts().failed == 0);  // one report each
  CHECK(no_children());
  // Nobody is left in the process group; the grandchildren have yet to be reaped by init.
  const pid_t group = static_cast<pid_t>(std::stol(world.text("pid")));
  for (int i = 0; i < 200 && ::kill(-group, 0) == 0; ++i) ::usleep(10'000);
  const int left = ::kill(-group, 0);
  CHECK((left != 0 || !std::filesystem::exists("/proc/1")));
}

TEST_CASE("A hook that leaves something running in the background is over when it ends itself") {
  World world;
  world.hooks.run(
      {world.script("forks", "(sleep 2; echo late > late) &\necho done > now\n"), "role", "a"});
  world.finish();
  CHECK(world.text("now") == "done\n");
  CHECK(!std::filesystem::exists(world.dir.file("late")));
  CHECK(world.hooks.counts().failed == 0);
  world.run_until([&] { return std::filesystem::exists(world.dir.file("late")); });
}

TEST_CASE("Hooks of one resource run one after the other in order, those of others beside them") {
  World world;
  const std::string slow = world.script(
      "slow",
      "echo begin $2 $3 >> log\nuntil [ -e go ]; do sleep 0.01; done\necho end $2 $3 >> log\n");
  for (const char* number : {"1", "2", "3"}) world.hooks.run({slow, "role", "a", number});
  world.hooks.run({slow, "role", "b", "1"});
  world.run_until([&] { return lines(world.text("log")) >= 2; });
  world.io.run_for(50ms);
  CHECK(lines(world.text("log")) == 2);  // a 1 and b 1: a 2 waits
  world.dir.make_text("go", "");
  world.finish();
  const std::string log = world.text("log");
  std::size_t place = 0;
  for (const char* line :
       {"begin a 1", "end a 1", "begin a 2", "end a 2", "begin a 3", "end a 3"}) {
    const std::size_t found = log.find(line);
    REQUIRE(found != std::string::npos);
    CHECK(found >= place);
    place = found;
  }
  CHECK(log.find("begin b 1") < log.find("end a 1"));
}

TEST_CASE("No more hooks run at once than allowed, and all of them run in the end") {
  World world({.running = 2});
  const std::string path =
      world.script("hook", "echo x >> begun\nuntil [ -e go ]; do sleep 0.01; done\n");
  for (int i = 0; i < 6; ++i) world.hooks.run({path, "role", "r" + std::to_string(i)});
  world.run_until([&] { return lines(world.text("begun")) == 2; });
  world.io.run_for(50ms);
  CHECK(world.hooks.counts().started == 2);
  world.dir.make_text("go", "");
  world.finish();
  CHECK(lines(world.text("begun")) == 6);
  CHECK(world.hooks.counts().dropped == 0);
}

TEST_CASE("Of too many waiting hooks of a resource the oldest go; other resources lose nothing") {
  World world({.waiting = 2});
  const std::string path =
      world.script("hook", "until [ -e go ]; do sleep 0.01; done\necho $2 $3 >> log\n");
  for (int i = 0; i < 6; ++i) world.hooks.run({path, "role", "a", std::to_string(i)});
  world.hooks.run({path, "role", "b", "0"});
  world.run_until([&] { return world.hooks.counts().dropped == 3; });
  world.dir.make_text("go", "");
  world.finish();
  const std::string log = world.text("log");
  CHECK(lines(log) == 4);
  for (const char* kept : {"a 0\n", "a 4\n", "a 5\n", "b 0\n"})
    CHECK(log.find(kept) != std::string::npos);
  CHECK(log.find("a 4") < log.find("a 5"));
}

TEST_CASE("A stop gives hooks a while, then ends them, and takes no new ones") {
  World world({.grace_time = 300ms, .stop_time = 1500ms});
  world.hooks.run({world.script("hangs", "sleep 600\n"), "role", "a"});
  world.hooks.run({world.script("quick", "sleep 0.01; echo done > quick.out\n"), "role", "b"});
  world.hooks.stop();
  world.hooks.run({world.script("late", "echo late > late.out\n"), "role", "c"});
  world.finish();
  CHECK(world.hooks.counts().timed_out == 1);
  CHECK(world.hooks.counts().dropped == 1);
  CHECK(world.text("quick.out") == "done\n");
  CHECK(!std::filesystem::exists(world.dir.file("late.out")));
  CHECK(no_children());
}

TEST_CASE("A stop with no hook at all ends at once") {
  World world;
  const auto begin = std::chrono::steady_clock::now();
  world.finish();
  CHECK(std::chrono::steady_clock::now() - begin < 5s);
}

TEST_CASE("A program that is asked consents with exit status 0 and with nothing else") {
  World world;
  std::vector<std::pair<std::string, bool>> answers;
  const auto ask = [&](const std::string& program) {
    world.hooks.ask({program, "fence", "a"}, 60s, [&answers, program](auto verdict) {
      answers.emplace_back(program, verdict == port::HookRunner::Verdict::yes);
    });
    world.run_until([&] { return !answers.empty() && answers.back().first == program; });
    return answers.back().second;
  };
  CHECK(ask(world.script("consents", "exit 0\n")));
  CHECK_FALSE(ask(world.script("refuses", "exit 1\n")));
  CHECK_FALSE(ask(world.script("dies", "kill -9 $$\n")));
  CHECK_FALSE(ask(world.dir.file("missing")));
  CHECK(answers.size() == 4);
}

TEST_CASE("A program that is asked has its own time, whatever the hooks before it may take") {
  World world({.grace_time = 300ms});
  std::optional<port::HookRunner::Verdict> answer;
  world.hooks.run({world.script("quick", "exit 0\n"), "freeze", "a"});
  world.hooks.run({world.script("slow", "until [ -e go ]; do sleep 0.01; done\n"), "role", "b"});
  world.hooks.ask({world.script("hangs", "sleep 600\n"), "fence", "a"}, 200ms,
                  [&](auto verdict) { answer = verdict; });
  world.run_until([&] { return answer.has_value(); });  // long before those are overdue
  CHECK(answer == port::HookRunner::Verdict::no);
  CHECK(world.hooks.counts().timed_out == 1);
  world.dir.make_text("go", "");
  world.finish();
  CHECK(world.hooks.counts().timed_out == 1);
  CHECK(no_children());
}

TEST_CASE("Children of others are left to them") {
  World world;
  const pid_t other = ::fork();
  if (other == 0) ::_exit(7);
  world.hooks.run({world.script("hook", "exit 0\n"), "role", "a"});
  world.finish();
  int status = 0;
  pid_t ended = -1;
  do ended = ::waitpid(other, &status, 0);
  while (ended < 0 && errno == EINTR);
  REQUIRE(ended == other);
  CHECK(WEXITSTATUS(status) == 7);
}

}  // namespace hast::adapter
