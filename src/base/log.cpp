#include "hast/base/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <syslog.h>

#include <atomic>
#include <memory>
#include <mutex>

namespace hast {
namespace {

using Logger = std::shared_ptr<spdlog::logger>;

// Where lines go. On the terminal errors and warnings have a stream of their own.
struct Sinks {
  Logger severe;
  Logger plain;
  LogOptions::Target target = LogOptions::Target::terminal;
};

Logger make_logger(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("hastd", std::move(sink));
  logger->set_pattern("%v", spdlog::pattern_time_type::local);
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  return logger;
}

Sinks open_sinks(LogOptions::Target target) {
  if (target == LogOptions::Target::syslog) {
    Logger daemon = make_logger(
        std::make_shared<spdlog::sinks::syslog_sink_mt>("hastd", LOG_PID, LOG_DAEMON, false));
    return {daemon, daemon, target};
  }
  return {make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>()),
          make_logger(std::make_shared<spdlog::sinks::stdout_sink_mt>()), target};
}

std::mutex sinks_mutex;
std::atomic<int> debug_level{0};
LogTap log_tap;

// Constructed at first use, so that a line before open_log() has somewhere to go.
Sinks& sinks() {
  static Sinks opened = open_sinks(LogOptions::Target::terminal);
  return opened;
}

bool severe(LogLevel level) { return level == LogLevel::error || level == LogLevel::warning; }

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::trace:
      return spdlog::level::trace;
  }
  return spdlog::level::info;
}

std::string_view marker(LogLevel level) {
  switch (level) {
    case LogLevel::error:
      return "[ERROR] ";
    case LogLevel::warning:
      return "[WARNING] ";
    case LogLevel::info:
      return "[INFO] ";
    case LogLevel::debug:
      return "[DEBUG][1] ";
    case LogLevel::trace:
      return "[DEBUG][2] ";
  }
  return "";
}

// A peer's error text or a file's name may hold newlines; it must not be able to forge a line of
// the log or to steer a terminal (INV-9).
void append_printable(std::string& line, std::string_view text) {
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f)
      line += c;
    else
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", byte);
  }
}

}  // namespace

void open_log(const LogOptions& options) {
  std::lock_guard guard(sinks_mutex);
  sinks() = Sinks{};  // the end of an old syslog sink must not close the connection of the new one
  sinks() = open_sinks(options.target);
  debug_level.store(options.debug_level, std::memory_order_relaxed);
}

bool log_enabled(LogLevel level) {
  const int verbosity = debug_level.load(std::memory_order_relaxed);
  if (level == LogLevel::debug) return verbosity >= 1;
  if (level == LogLevel::trace) return verbosity >= 2;
  return true;
}

void tap_log(LogTap tap) { log_tap = std::move(tap); }

void Log::write(LogLevel level, std::string_view text) const {
  if (log_tap) return log_tap(level, prefix_ + std::string(text));
  std::unique_lock lock(sinks_mutex);
  const Logger logger = severe(level) ? sinks().severe : sinks().plain;
  const bool terminal = sinks().target == LogOptions::Target::terminal;
  lock.unlock();
  std::string line(terminal ? marker(level) : std::string_view{});  // syslog has its own severity
  append_printable(line, prefix_);
  append_printable(line, text);
  logger->log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace hast
