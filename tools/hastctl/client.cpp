#include "hastctl/client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "hast/base/log.hpp"
#include "hastctl/usage.hpp"
#include "hastctl/words.hpp"

namespace hastctl {

using hast::Errc;
using hast::Error;
using hast::Log;
using hast::Result;

Result<Client> Client::connect(const std::string& path, std::chrono::seconds patience) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Error{Errc::daemon_unreachable, ENAMETOOLONG, {}};
  std::memcpy(address.sun_path, path.data(), path.size());
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return Error{Errc::daemon_unreachable, errno, {}};
  Client client(descriptor, Clock::now() + patience);
  // A full backlog would make connect() wait for ever.
  const timeval limit{.tv_sec = patience.count(), .tv_usec = 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Error{Errc::daemon_unreachable, errno, {}};
  return client;
}

Client::Client(Client&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), deadline_(other.deadline_) {}

Client::~Client() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> Client::wait_for(short events) const {
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    pollfd ready{descriptor_, events, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (count > 0) return {};
    if (count == 0) return Errc::timed_out;
    if (errno != EINTR) return Error{Errc::io_failed, errno, {}};
  }
}

Result<void> Client::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    if (Result<void> ready = wait_for(POLLOUT); !ready) return ready;
    const ssize_t sent =
        ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    else if (errno != EINTR && errno != EAGAIN)
      return Error{Errc::connection_closed, errno, {}};
  }
  return {};
}

Result<std::string> Client::receive_line() const {
  std::string line;
  char buffer[65536];
  for (;;) {
    if (Result<void> ready = wait_for(POLLIN); !ready) return std::move(ready).error();
    const ssize_t got = ::recv(descriptor_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got == 0) return Errc::connection_closed;
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return Error{Errc::connection_closed, errno, {}};
    const std::string_view bytes(buffer, static_cast<std::size_t>(got));
    const std::size_t end = bytes.find('\n');
    line.append(bytes.substr(0, end));
    if (end != bytes.npos) return line;
    if (line.size() > hast::control::kMaxReplyBytes) return Errc::too_large;
  }
}

Result<std::string> Client::ask(std::string_view line) {
  if (Result<void> sent = send(line); !sent) return std::move(sent).error();
  return receive_line();
}

hast::control::Selection selection_of(std::vector<std::string> names) {
  if (names.empty() || names.front() == "all") return {true, {}};
  return {false, std::move(names)};
}

std::variant<std::string, int> ask_daemon(const hast::config::Config& config,
                                          const hast::control::Command& command,
                                          std::chrono::seconds patience) {
  const std::string request = encode_request(kRequestId, command);
  if (request.size() > hast::control::kMaxRequestBytes) {
    Log().error("Too many names for one request. Use `all`, or several commands.");
    return kUsage;
  }
  Result<Client> client = Client::connect(config.control.address.host, patience);
  if (!client) {
    Log().error("Unable to connect to hastd via {}: {}. {}", config.control.text,
                hast::errno_text(client.error().os_error),
                text_of(Errc::daemon_unreachable).action);
    return kOsError;
  }
  Result<std::string> reply = client->ask(request);
  if (reply) return *std::move(reply);
  const Error& error = reply.error();
  if (error.code == Errc::timed_out)
    Log().error(
        "No answer from hastd within {} seconds. What was asked may still come into force: ask "
        "for the status, and see hastd's log.",
        patience.count());
  else
    Log().error("Unable to talk to hastd via {}: {}", config.control.text, sentence(error));
  return kUnavailable;
}

int report_reply_error(const Error& error) {
  const bool unreadable = error.code == Errc::malformed || error.code == Errc::missing_field ||
                          error.code == Errc::wrong_type || error.code == Errc::too_large;
  if (unreadable) {
    Log().error("What answers on the control socket is not this version's hastd. {}",
                sentence(error));
    return kUnavailable;
  }
  Log().error("Received an error from hastd: {}", error.message());
  return kSoftware;
}

int report_resource_error(const std::string& resource, const Error& error) {
  const int code = hast::control::resource_code(error.code);
  Log("[" + resource + "] ").warning("Received error {} from hastd. {}", code, sentence(error));
  return code;
}

}  // namespace hastctl
