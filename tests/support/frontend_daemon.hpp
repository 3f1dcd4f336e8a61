// What tests of front-ends share: one hastd as a front-end sees it, which is a sink in memory, an
// io_context that the test drives, and a log. Whoever derives from it puts the front-end in.
#pragma once

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hast/adapter/departure.hpp"
#include "hast/base/log.hpp"
#include "support/catch.hpp"
#include "support/ram_sink.hpp"

namespace hast::test {

template <class Frontend>
struct FrontendDaemon {
  explicit FrontendDaemon(RamSinkOptions options)
      : sink(options, [this] { boost::asio::post(context, [this] { sink.turn(); }); }) {
    tap_log([this](LogLevel level, std::string_view line) {
      if (level <= LogLevel::info) log.emplace_back(line);
    });
  }
  ~FrontendDaemon() {
    if (frontend) stop();
    tap_log({});
  }
  FrontendDaemon(const FrontendDaemon&) = delete;
  FrontendDaemon& operator=(const FrontendDaemon&) = delete;

  void serve() {
    const Result<void> served = frontend->serve(sink);
    if (!served) FAIL(served.error().message());
  }
  void withdraw(std::string reason = "the role is secondary") {
    bool done = false;
    frontend->withdraw(std::move(reason), [&] { done = true; });
    CHECK_FALSE(done);
    run_until([&] { return done; });
    CHECK(sink.all_free());
  }
  void stop() {
    sink.unhold();
    withdraw("the test is over");
    bool stopped = false;
    frontend->stop([&] { stopped = true; });
    run_until([&] { return stopped; });
    frontend.reset();
    context.restart();
    context.run();  // returns: nothing is left behind
    CHECK(sink.refused() == 0);
  }

  template <class Condition>
  void run_until(Condition condition) {
    constexpr std::chrono::seconds kPatience{30};  // only a hang takes so long
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      REQUIRE(std::chrono::steady_clock::now() < give_up);
      context.restart();
      context.run_one_for(std::chrono::milliseconds(5));
    }
  }
  void settle() {
    context.restart();
    while (context.poll() > 0) {
    }
  }
  std::ptrdiff_t times_logged(std::string_view words) const {
    return std::count_if(log.begin(), log.end(), [&](const std::string& line) {
      return line.find(words) != std::string::npos;
    });
  }
  bool logged(std::string_view words) const { return times_logged(words) > 0; }

  boost::asio::io_context context;
  adapter::Departure departure;
  RamSink sink;
  std::optional<Frontend> frontend;
  std::vector<std::string> log;
};

}  // namespace hast::test
