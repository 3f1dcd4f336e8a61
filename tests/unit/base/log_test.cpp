#include "hast/base/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "support/catch.hpp"

using hast::Log;
using hast::LogLevel;
using hast::LogOptions;

namespace {

// Diverts one of the process's streams to a file while it lives.
class Capture {
 public:
  explicit Capture(std::FILE* stream) : stream_(stream) {
    std::fflush(stream_);
    saved_ = dup(fileno(stream_));
    std::array<char, 32> name{"/tmp/hast-log-test-XXXXXX"};
    file_ = mkstemp(name.data());
    unlink(name.data());
    dup2(file_, fileno(stream_));
  }
  ~Capture() {
    close(file_);
    close(saved_);
  }
  std::string stop() {
    std::fflush(stream_);
    dup2(saved_, fileno(stream_));
    std::string text(static_cast<std::size_t>(lseek(file_, 0, SEEK_END)), '\0');
    if (pread(file_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) return "?";
    return text;
  }

 private:
  std::FILE* stream_;
  int saved_ = -1;
  int file_ = -1;
};

struct Lines {
  std::string out;
  std::string err;
};

template <class F>
Lines lines_at(int debug_level, F body) {
  Capture out(stdout);
  Capture err(stderr);
  hast::open_log({LogOptions::Target::terminal, debug_level});
  body();
  Lines lines{out.stop(), err.stop()};
  hast::open_log({});
  return lines;
}

void say_everything() {
  const Log log("[shared] (primary) ");
  log.error("Unable to open {}.", "/dev/da0");
  log.warning("Slow.");
  log.info("Connected to {}:{}.", "b", 8457);
  log.debug("Detail.");
  log.trace("More detail.");
}

}  // namespace

TEST_CASE("the terminal gets the original's markers, errors and warnings on stderr") {
  const Lines lines = lines_at(2, say_everything);
  CHECK(lines.err ==
        "[ERROR] [shared] (primary) Unable to open /dev/da0.\n"
        "[WARNING] [shared] (primary) Slow.\n");
  CHECK(lines.out ==
        "[INFO] [shared] (primary) Connected to b:8457.\n"
        "[DEBUG][1] [shared] (primary) Detail.\n"
        "[DEBUG][2] [shared] (primary) More detail.\n");
}

TEST_CASE("each -d opens one more level") {
  CHECK(lines_at(0, say_everything).out.find("DEBUG") == std::string::npos);
  const std::string once = lines_at(1, say_everything).out;
  CHECK(once.find("[DEBUG][1]") != std::string::npos);
  CHECK(once.find("[DEBUG][2]") == std::string::npos);
  lines_at(1, [] {
    CHECK(hast::log_enabled(LogLevel::debug));
    CHECK_FALSE(hast::log_enabled(LogLevel::trace));
    CHECK(hast::log_enabled(LogLevel::info));
  });
}

TEST_CASE("a line without a prefix starts with its text") {
  CHECK(lines_at(0, [] { Log().info("Started."); }).out == "[INFO] Started.\n");
}

TEST_CASE("a text from outside cannot forge a line or steer the terminal") {
  const Lines lines = lines_at(0, [] {
    Log().error("The peer says: {}", std::string("no\n[INFO] all is well\x1b[2J\x7f") + '\0' + "é");
  });
  CHECK(lines.err == "[ERROR] The peer says: no\\x0a[INFO] all is well\\x1b[2J\\x7f\\x00é\n");
}

TEST_CASE("braces in a formatted text are not formatted again") {
  CHECK(lines_at(0, [] { Log("{p} ").info("{}", "{} {0}"); }).out == "[INFO] {p} {} {0}\n");
}

TEST_CASE("a daemon's log leaves the terminal alone") {
  Capture out(stdout);
  Capture err(stderr);
  hast::open_log({LogOptions::Target::syslog, 0});
  Log().debug("This is a test line of hast's unit tests.");
  hast::open_log({});
  CHECK(out.stop().empty());
  CHECK(err.stop().empty());
}
