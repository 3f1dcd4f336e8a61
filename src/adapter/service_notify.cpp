#include "hast/adapter/service_notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>

namespace hast::adapter {

namespace {

std::string taken_from_environment(const char* name) {
  const char* value = std::getenv(name);
  const std::string text = value != nullptr ? value : "";
  (void)::unsetenv(name);
  return text;
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value <= 0) return std::nullopt;
  return value;
}

/// A watchdog that is meant for another process (a shell around us) is none of ours.
port::Duration watchdog_time(std::string_view microseconds, std::string_view pid) {
  constexpr std::int64_t kDayUsec = 86'400'000'000;
  const std::optional<std::int64_t> time = number(microseconds);
  if (!time || (!pid.empty() && number(pid) != ::getpid())) return {};
  return std::chrono::microseconds(std::min(*time, kDayUsec));
}

Error failure(int os_error) {
  return Error{Errc::io_failed, os_error, "the service manager was not told"};
}

}  // namespace

ServiceNotify ServiceNotify::from_environment() {
  std::string socket = taken_from_environment("NOTIFY_SOCKET");
  const std::string time = taken_from_environment("WATCHDOG_USEC");
  const std::string pid = taken_from_environment("WATCHDOG_PID");
  if (!socket.starts_with('/') && !socket.starts_with('@')) socket.clear();
  return ServiceNotify(std::move(socket), watchdog_time(time, pid));
}

Result<void> ServiceNotify::reloading() const {
  timespec now{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t usec = static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
  return send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(usec));
}

Result<void> ServiceNotify::send(std::string_view state) const {
  if (!is_managed()) return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.size() >= sizeof address.sun_path) return failure(ENAMETOOLONG);
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_.front() == '@') address.sun_path[0] = '\0';  // the abstract name space
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());

  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failure(errno);
  const ssize_t sent = ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&address), length);
  const int error = sent < 0 ? errno : 0;
  ::close(fd);
  if (error != 0) return failure(error);
  return {};
}

}  // namespace hast::adapter
