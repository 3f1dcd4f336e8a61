#include "hast/adapter/daemonize.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "support/catch.hpp"
#include "temp_dir.hpp"

namespace hast::adapter {
namespace {

using test::read_text;
using test::TempDir;

/// Runs `body` in a process of its own and returns how that ended: its status, or -signal.
template <class Body>
int status_of(Body body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    body();
    ::_exit(99);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// A line that the daemon, whose parent has exited, writes when it comes to it.
void note(const std::string& path, const std::string& text) {
  const std::string draft = path + ".new";
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (::write(fd, text.data(), text.size()) < 0) ::_exit(98);
  ::close(fd);
  ::rename(draft.c_str(), path.c_str());
}

/// In a daemon, which nobody reaps: not for ever, and not longer than the test's directory exists.
void wait_for_file(const TempDir& dir, const std::string& name) {
  for (int i = 0; i < 2000; ++i) {
    if (std::filesystem::exists(dir.file(name)) || !std::filesystem::exists(dir.path())) return;
    ::usleep(10'000);
  }
}

std::string wait_for_note(const std::string& path) {
  for (int i = 0; i < 1000 && !std::filesystem::exists(path); ++i) ::usleep(10'000);
  return read_text(path);
}

}  // namespace

TEST_CASE("A pidfile is for its owner only, holds the pid, and goes with its holder") {
  const TempDir dir;
  const std::string path = dir.file("hastd.pid");
  {
    Result<Pidfile> pidfile = Pidfile::open(path);
    REQUIRE(pidfile);
    CHECK(read_text(path).empty());
    CHECK(pidfile->write());
    CHECK(read_text(path) == std::to_string(::getpid()) + "\n");
    struct stat made {};
    REQUIRE(::stat(path.c_str(), &made) == 0);
    CHECK((made.st_mode & 07777) == 0600);
    Pidfile moved = std::move(*pidfile);
    CHECK(std::filesystem::exists(path));
  }
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("A held pidfile names its holder and is not harmed") {
  const TempDir dir;
  const std::string path = dir.file("hastd.pid");
  Result<Pidfile> first = Pidfile::open(path);
  REQUIRE(first);
  {
    const Result<Pidfile> early = Pidfile::open(path);
    REQUIRE(!early);
    CHECK(early.error().code == Errc::already_running);
  }
  REQUIRE(first->write());
  {
    const Result<Pidfile> second = Pidfile::open(path);
    REQUIRE(!second);
    CHECK(second.error().code == Errc::already_running);
    CHECK(second.error().detail.find("pid " + std::to_string(::getpid())) != std::string::npos);
    CHECK(second.error().detail.find(path) != std::string::npos);
  }
  CHECK(read_text(path) == std::to_string(::getpid()) + "\n");
}

TEST_CASE("What is no pid in a held pidfile is not repeated") {
  const TempDir dir;
  const std::string path = dir.file("hastd.pid");
  const Result<Pidfile> first = Pidfile::open(path);
  REQUIRE(first);
  dir.make_text("hastd.pid", "\x1b[31m" + std::string(10000, 'x'));
  const Result<Pidfile> second = Pidfile::open(path);
  REQUIRE(!second);
  CHECK(second.error().detail.find('\x1b') == std::string::npos);
}

TEST_CASE("The pidfile of a daemon that died is taken over") {
  const TempDir dir;
  const std::string path = dir.make_text("hastd.pid", "12345678901234\n");
  Result<Pidfile> pidfile = Pidfile::open(path);
  REQUIRE(pidfile);
  CHECK(pidfile->write());
  CHECK(read_text(path) == std::to_string(::getpid()) + "\n");
}

TEST_CASE("A pidfile that somebody put in place of ours is left alone") {
  const TempDir dir;
  const std::string path = dir.file("hastd.pid");
  {
    const Result<Pidfile> pidfile = Pidfile::open(path);
    REQUIRE(pidfile);
    std::filesystem::remove(path);
    dir.make_text("hastd.pid", "other\n");
  }
  CHECK(read_text(path) == "other\n");
}

TEST_CASE("A pidfile that cannot be made is an I/O failure with its path") {
  const TempDir dir;
  const std::string path = dir.file("no/such/dir/hastd.pid");
  const Result<Pidfile> pidfile = Pidfile::open(path);
  REQUIRE(!pidfile);
  CHECK(pidfile.error().code == Errc::io_failed);
  CHECK(pidfile.error().os_error == ENOENT);
  CHECK(pidfile.error().detail.find(path) != std::string::npos);
}

TEST_CASE("The lock of a pidfile is the child's after a fork") {
  const TempDir dir;
  const std::string path = dir.file("hastd.pid");
  const int status = status_of([&] {
    Result<Pidfile> pidfile = Pidfile::open(path);
    if (!pidfile) ::_exit(1);
    Result<Detachment> detachment = Detachment::begin();
    if (!detachment || !pidfile->write() || !detachment->ready()) ::_exit(2);
    wait_for_file(dir, "done");
    { const Pidfile released = std::move(*pidfile); }
    note(dir.file("end"), "end");
    ::_exit(0);
  });
  CHECK(status == 0);
  const Result<Pidfile> second = Pidfile::open(path);
  const bool held = !second && second.error().code == Errc::already_running;
  dir.make_text("done", "");
  CHECK(held);
  CHECK(wait_for_note(dir.file("end")) == "end");
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("The parent exits with 0 when the daemon is ready, and not before") {
  const TempDir dir;
  const int status = status_of([&] {
    Result<Detachment> detachment = Detachment::begin();
    if (!detachment) ::_exit(1);
    ::usleep(50'000);
    dir.make_text("before", "x");
    if (!detachment->ready()) ::_exit(2);
    const bool led = ::getsid(0) == ::getpid();
    const std::string cwd = std::filesystem::current_path().string();
    note(dir.file("after"), (led ? "leader " : "follower ") + cwd);
    ::_exit(0);
  });
  CHECK(status == 0);
  CHECK(std::filesystem::exists(dir.file("before")));
  CHECK(wait_for_note(dir.file("after")) == "leader /");
}

TEST_CASE("The parent exits with the status of a daemon that did not come up") {
  CHECK(status_of([] {
          const Result<Detachment> detachment = Detachment::begin();
          ::_exit(detachment ? 72 : 1);
        }) == 72);
  CHECK(status_of([] {
          const Result<Detachment> detachment = Detachment::begin();
          ::kill(::getpid(), SIGKILL);
        }) == 71);
}

TEST_CASE("A daemon that is ready has let go of its standard descriptors") {
  const TempDir dir;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const int status = status_of([&] {
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
    ::close(ends[0]);
    ::close(ends[1]);
    Result<Detachment> detachment = Detachment::begin();
    if (!detachment) ::_exit(1);
    if (::write(2, "trouble\n", 8) != 8) ::_exit(2);  // still seen
    if (!detachment->ready()) ::_exit(3);
    (void)!::write(1, "lost\n", 5);
    wait_for_file(dir, "go");
    ::_exit(0);
  });
  ::close(ends[1]);
  CHECK(status == 0);
  std::string seen(100, '\0');
  ssize_t got = ::read(ends[0], seen.data(), seen.size());
  REQUIRE(got > 0);
  seen.resize(static_cast<std::size_t>(got));
  CHECK(seen == "trouble\n");
  char more = 0;
  CHECK(::read(ends[0], &more, 1) == 0);  // the daemon lives and holds no end
  ::close(ends[0]);
  dir.make_text("go", "");
}

TEST_CASE("A daemon started with closed standard descriptors comes up all the same") {
  const TempDir dir;
  const int status = status_of([&] {
    for (int fd = 0; fd <= 2; ++fd) ::close(fd);
    occupy_standard_descriptors();
    Result<Pidfile> pidfile = Pidfile::open(dir.file("pid"));
    Result<Detachment> detachment = Detachment::begin();
    if (!detachment || !pidfile || !pidfile->write() || !detachment->ready()) ::_exit(2);
    const int fd = ::open("/dev/null", O_RDONLY);
    note(dir.file("up"), fd > 2 && Pidfile::open(dir.file("pid")) ? "not held" : "held");
    ::_exit(0);
  });
  CHECK(status == 0);
  CHECK(wait_for_note(dir.file("up")) == "held");
}

}  // namespace hast::adapter
