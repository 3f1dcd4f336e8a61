// What a service manager wants to know of hastd: up, reloading, stopping, still alive. The protocol
// of sd_notify(3), which is one datagram of text lines to the socket that $NOTIFY_SOCKET names, so
// no library is needed. Without a manager every call does nothing. Nothing here blocks: a manager
// that does not read loses messages, never time of ours. Owned by app's Daemon; any thread.
#pragma once

#include <string>
#include <string_view>

#include "hast/base/result.hpp"
#include "hast/port/clock.hpp"

namespace hast::adapter {

class ServiceNotify {
 public:
  /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them from the environment:
  /// hooks must not speak for the daemon. Before any thread exists.
  static ServiceNotify from_environment();

  ServiceNotify() = default;
  /// `socket` as in NOTIFY_SOCKET: a path, or "@NAME" in Linux's abstract name space.
  ServiceNotify(std::string socket, port::Duration watchdog)
      : socket_(std::move(socket)), watchdog_(watchdog) {}

  bool is_managed() const { return !socket_.empty(); }
  /// How often the manager wants to hear alive(); zero: never.
  port::Duration watchdog_interval() const { return is_managed() ? watchdog_ : port::Duration{}; }

  // Errors: io_failed, when the manager could not be told.
  Result<void> ready() const { return send("READY=1"); }
  Result<void> reloading() const;  // until the next ready()
  Result<void> stopping() const { return send("STOPPING=1"); }
  Result<void> alive() const { return send("WATCHDOG=1"); }

 private:
  Result<void> send(std::string_view state) const;

  std::string socket_;
  port::Duration watchdog_{};
};

}  // namespace hast::adapter
