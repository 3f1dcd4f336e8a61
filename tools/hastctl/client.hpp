// A conversation with hastd over its control socket: blocking, one line there, one line back, under
// one deadline. Plain POSIX; what the lines mean is hast::control's.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "hast/base/result.hpp"
#include "hast/config/config.hpp"
#include "hast/control/reply.hpp"
#include "hastctl/commands.hpp"

namespace hastctl {

class Client {
 public:
  /// Errors: daemon_unreachable with the kernel's reason.
  static hast::Result<Client> connect(const std::string& path, std::chrono::seconds patience);
  Client(Client&& other) noexcept;
  Client& operator=(Client&&) = delete;
  ~Client();

  /// Sends `line`, returns the reply without its newline. Errors: timed_out, connection_closed,
  /// too_large, io_failed.
  hast::Result<std::string> ask(std::string_view line);

 private:
  using Clock = std::chrono::steady_clock;

  Client(int descriptor, Clock::time_point deadline)
      : descriptor_(descriptor), deadline_(deadline) {}
  hast::Result<void> wait_for(short events) const;
  hast::Result<void> send(std::string_view bytes) const;
  hast::Result<std::string> receive_line() const;

  int descriptor_;
  Clock::time_point deadline_;
};

/// The resources an operand list means: none, or `all` in front, is every resource.
hast::control::Selection selection_of(std::vector<std::string> names);

/// The reply to one request, or the exit status after the reason has been printed.
std::variant<std::string, int> ask_daemon(const hast::config::Config& config,
                                          const hast::control::Command& command,
                                          std::chrono::seconds patience);

/// Prints why hastd refused the whole request, or why its reply is none; returns the exit status.
int report_reply_error(const hast::Error& error);

/// Prints what hastd says about one resource: "[shared] Received error 1 from hastd. ...", and
/// returns that number, the exit status.
int report_resource_error(const std::string& resource, const hast::Error& error);

inline const hast::control::RequestId kRequestId{std::int64_t{1}};

/// Asks hastd, and has `report` tell a person of each resource; returns the exit status.
template <class Reply, class Entry>
int ask_and_report(const hast::config::Config& config, const hast::control::Command& command,
                   std::chrono::seconds patience,
                   hast::Result<Reply> (*decode)(std::string_view, const hast::control::RequestId&),
                   int (*report)(const Entry&)) {
  const auto answer = ask_daemon(config, command, patience);
  if (const int* failed = std::get_if<int>(&answer)) return *failed;
  const hast::Result<Reply> reply = decode(std::get<std::string>(answer), kRequestId);
  if (!reply) return report_reply_error(reply.error());
  int status = 0;
  for (const Entry& entry : reply->resources) keep_first(status, report(entry));
  return status;
}

}  // namespace hastctl
