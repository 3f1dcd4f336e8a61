#include "hast/adapter/service_notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "support/catch.hpp"
#include "temp_dir.hpp"

namespace hast::adapter {
namespace {

using namespace std::chrono_literals;
using test::TempDir;

/// The manager's end: a datagram socket with a name as NOTIFY_SOCKET gives it.
class FakeManager {
 public:
  explicit FakeManager(const std::string& name) : fd_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    REQUIRE(fd_ >= 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), length) == 0);
  }
  ~FakeManager() { ::close(fd_); }
  FakeManager(const FakeManager&) = delete;
  FakeManager& operator=(const FakeManager&) = delete;

  /// The next message, "" if there is none: it was sent before send() returned.
  std::string next() const {
    char text[256];
    const ssize_t got = ::recv(fd_, text, sizeof text, MSG_DONTWAIT);
    return got > 0 ? std::string(text, static_cast<std::size_t>(got)) : "";
  }

 private:
  int fd_;
};

bool tell(const Result<void>& told) { return told.has_value(); }

void set_environment(const std::string& socket, const char* usec, const std::string& pid) {
  ::setenv("NOTIFY_SOCKET", socket.c_str(), 1);
  ::setenv("WATCHDOG_USEC", usec, 1);
  ::setenv("WATCHDOG_PID", pid.c_str(), 1);
}

}  // namespace

TEST_CASE("A service manager is told each state in one datagram") {
  const TempDir dir;
  const FakeManager manager(dir.file("notify"));
  const ServiceNotify notify(dir.file("notify"), 0ns);
  CHECK(notify.is_managed());
  CHECK(tell(notify.ready()));
  CHECK(manager.next() == "READY=1");
  CHECK(tell(notify.alive()));
  CHECK(manager.next() == "WATCHDOG=1");
  CHECK(tell(notify.stopping()));
  CHECK(manager.next() == "STOPPING=1");
  CHECK(manager.next().empty());
}

TEST_CASE("A reload says when it began, as systemd demands") {
  const TempDir dir;
  const FakeManager manager(dir.file("notify"));
  const ServiceNotify notify(dir.file("notify"), 0ns);
  REQUIRE(tell(notify.reloading()));
  const std::string first = manager.next();
  REQUIRE(tell(notify.reloading()));
  const std::string second = manager.next();
  const std::string start = "RELOADING=1\nMONOTONIC_USEC=";
  REQUIRE(first.starts_with(start));
  REQUIRE(second.starts_with(start));
  CHECK(std::stoll(first.substr(start.size())) > 0);
  CHECK(std::stoll(second.substr(start.size())) >= std::stoll(first.substr(start.size())));
}

#ifdef __linux__
TEST_CASE("A socket in the abstract name space is reached") {
  const std::string name = "@hast-notify-test-" + std::to_string(::getpid());
  const FakeManager manager(name);
  CHECK(tell(ServiceNotify(name, 0ns).ready()));
  CHECK(manager.next() == "READY=1");
}
#endif

TEST_CASE("The environment is read once and taken away from hooks") {
  const TempDir dir;
  set_environment(dir.file("notify"), "30000000", std::to_string(::getpid()));
  const ServiceNotify notify = ServiceNotify::from_environment();
  CHECK(notify.is_managed());
  CHECK(notify.watchdog_interval() == 30s);
  CHECK(std::getenv("NOTIFY_SOCKET") == nullptr);
  CHECK(std::getenv("WATCHDOG_USEC") == nullptr);
  CHECK(std::getenv("WATCHDOG_PID") == nullptr);
  CHECK_FALSE(ServiceNotify::from_environment().is_managed());
}

TEST_CASE("A watchdog that means another process, or no sensible time, is ignored") {
  const TempDir dir;
  const std::string own = std::to_string(::getpid());
  const auto interval = [&](const char* usec, const std::string& pid) {
    set_environment(dir.file("notify"), usec, pid);
    return ServiceNotify::from_environment().watchdog_interval();
  };
  CHECK(interval("1000000", own) == 1s);
  CHECK(interval("1000000", "") == 1s);
  CHECK(interval("1000000", "1") == 0s);
  CHECK(interval("1000000", own + "x") == 0s);
  CHECK(interval("-5", own) == 0s);
  CHECK(interval("0", own) == 0s);
  CHECK(interval("soon", own) == 0s);
  CHECK(interval("99999999999999999999999", own) == 0s);
  CHECK(interval("9223372036854775807", own) == 24h);
}

TEST_CASE("Without a manager every call does nothing and succeeds") {
  const ServiceNotify none;
  CHECK_FALSE(none.is_managed());
  CHECK(tell(none.ready()));
  CHECK(none.watchdog_interval() == 0s);
  set_environment("vsock:2:1234", "1000000", "");  // a kind of address hast does not speak
  const ServiceNotify foreign = ServiceNotify::from_environment();
  CHECK_FALSE(foreign.is_managed());
  CHECK(foreign.watchdog_interval() == 0s);
}

TEST_CASE("A manager that cannot be reached is an error value, not a wait") {
  const TempDir dir;
  const Result<void> gone = ServiceNotify(dir.file("nobody"), 0ns).ready();
  REQUIRE_FALSE(gone.has_value());
  CHECK(gone.error().code == Errc::io_failed);
  CHECK(gone.error().os_error == ENOENT);
  const Result<void> long_name = ServiceNotify("/" + std::string(200, 'x'), 0ns).ready();
  REQUIRE_FALSE(long_name.has_value());
  CHECK(long_name.error().os_error == ENAMETOOLONG);
}

TEST_CASE("A manager that does not read costs messages, never time") {
  const TempDir dir;
  const FakeManager manager(dir.file("notify"));
  const ServiceNotify notify(dir.file("notify"), 0ns);
  int sent = 0;
  while (sent < 100'000 && tell(notify.alive())) ++sent;
  CHECK(sent < 100'000);  // the queue is full, and we are still here
  CHECK(manager.next() == "WATCHDOG=1");
}

}  // namespace hast::adapter
