// The one way to the log. A Log is a cheap value with a prefix ("[shared] (primary) "); the sink is
// process-wide: syslog for a daemon, the terminal in the foreground (semantics §12). spdlog stays
// behind log.cpp. Thread-safe. Texts are complete sentences: what, why, what next.
#pragma once

#include <fmt/core.h>

#include <functional>
#include <string>
#include <string_view>

namespace hast {

enum class LogLevel { error, warning, info, debug, trace };  // debug: -d, trace: -dd

struct LogOptions {
  enum class Target { terminal, syslog } target = Target::terminal;
  int debug_level = 0;  // number of -d
};

/// Replaces the sink; call again after daemonising. Before the first call: terminal, level 0.
void open_log(const LogOptions& options);
bool log_enabled(LogLevel level);

/// Lines go to `tap` instead of the sink, prefix and text as they were given; an empty tap ends it.
/// For tests and simulations, which judge what was said. One thread.
using LogTap = std::function<void(LogLevel level, std::string_view line)>;
void tap_log(LogTap tap);

class Log {
 public:
  explicit Log(std::string prefix = {}) : prefix_(std::move(prefix)) {}

  template <class... A>
  void error(fmt::format_string<A...> text, A&&... a) const {
    line(LogLevel::error, text, std::forward<A>(a)...);
  }
  template <class... A>
  void warning(fmt::format_string<A...> text, A&&... a) const {
    line(LogLevel::warning, text, std::forward<A>(a)...);
  }
  template <class... A>
  void info(fmt::format_string<A...> text, A&&... a) const {
    line(LogLevel::info, text, std::forward<A>(a)...);
  }
  template <class... A>
  void debug(fmt::format_string<A...> text, A&&... a) const {
    line(LogLevel::debug, text, std::forward<A>(a)...);
  }
  template <class... A>
  void trace(fmt::format_string<A...> text, A&&... a) const {
    line(LogLevel::trace, text, std::forward<A>(a)...);
  }

 private:
  template <class... A>
  void line(LogLevel level, fmt::format_string<A...> text, A&&... a) const {
    if (log_enabled(level)) write(level, fmt::format(text, std::forward<A>(a)...));
  }
  void write(LogLevel level, std::string_view text) const;

  std::string prefix_;
};

}  // namespace hast
