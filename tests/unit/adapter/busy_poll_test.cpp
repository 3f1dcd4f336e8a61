#include "hast/adapter/busy_poll.hpp"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <thread>

#include "support/catch.hpp"

namespace hast::adapter {
namespace {

using namespace std::chrono_literals;

/// Sleeping at once, polling first, and at a depth where it does not pay.
Prospect any_prospect() {
  return GENERATE(Prospect{0us, {}}, Prospect{60us, {}}, Prospect{60us, {1, kPolledDepth}},
                  Prospect{60us, {1, kPolledDepth + 1}});
}

struct Rig {
  explicit Rig(Prospect first) : prospect(first) {}

  /// An idle loop takes two: one after the last event, and one that found nothing new.
  static constexpr int kTurnsBeforeSleep = 2;
  int turns_until_event_in(std::chrono::microseconds time) {
    bool has_come = false;
    boost::asio::steady_timer timer(io, time);
    timer.async_wait([&](boost::system::error_code) {
      arrivals.note();
      has_come = true;
    });
    int ran = 0;
    while (!has_come) ran += static_cast<int>(io.run_one());
    return ran - 1;
  }

  Prospect prospect;
  int asked = 0;
  boost::asio::io_context io;
  BusyPoll& busy_poll = boost::asio::make_service<BusyPoll>(io, [this] {
    ++asked;
    return prospect;
  });
  Arrivals arrivals{io.get_executor()};
};

}  // namespace

TEST_CASE("Soon is expected after two short waits, and still after one long one") {
  Expectation expectation;
  CHECK_FALSE(expectation.soon());
  expectation.was_soon(true);
  CHECK_FALSE(expectation.soon());
  expectation.was_soon(true);
  CHECK(expectation.soon());
  for (int i = 0; i < 10; ++i) expectation.was_soon(true);
  expectation.was_soon(false);
  CHECK(expectation.soon());
  expectation.was_soon(false);
  CHECK_FALSE(expectation.soon());
  for (int i = 0; i < 10; ++i) expectation.was_soon(false);  // however long it was idle
  expectation.was_soon(true);
  expectation.was_soon(true);
  CHECK(expectation.soon());
}

TEST_CASE("The loop ends when there is nothing left to do") {
  Rig rig(any_prospect());
  int ran = 0;
  for (int i = 0; i < 100; ++i)
    boost::asio::post(rig.io, [&] {
      rig.arrivals.note();
      boost::asio::post(rig.io, [&ran] { ++ran; });
    });
  boost::asio::steady_timer timer(rig.io, 2ms);
  timer.async_wait([&ran](boost::system::error_code) { ++ran; });
  rig.io.run();
  CHECK(ran == 101);
}

TEST_CASE("The loop ends when it is stopped, from inside and from another thread") {
  Rig rig(any_prospect());
  const auto work = boost::asio::make_work_guard(rig.io);
  const bool inside = GENERATE(true, false);
  boost::asio::post(rig.io, [&] {
    rig.arrivals.note();
    if (inside) rig.io.stop();
  });
  std::thread other([&] {
    if (!inside) rig.io.stop();
  });
  rig.io.run();
  other.join();
  CHECK(rig.io.stopped());
}

TEST_CASE("What another thread hands over runs, however the loop waits for it") {
  Rig rig(any_prospect());
  constexpr int kTimes = 2000;
  std::atomic<int> ran = 0;
  std::thread other([&, work = boost::asio::make_work_guard(rig.io)] {
    for (int i = 0; i < kTimes; ++i) {
      boost::asio::post(rig.io, [&] {
        rig.arrivals.note();
        ++ran;
      });
      while (i % 3 == 0 && ran <= i) std::this_thread::yield();  // let it wait, now and then
    }
  });
  rig.io.run();
  other.join();
  CHECK(ran == kTimes);
}

TEST_CASE("The prospect is asked for anew before each wait, and seldom at depth") {
  const bool deep = GENERATE(false, true);
  Rig rig(deep ? Prospect{60us, {100, 100}} : Prospect{60us, {1, 1}});
  int left = 64;
  std::function<void()> again = [&] {
    rig.arrivals.note();
    if (--left > 0) boost::asio::post(rig.io, again);
  };
  boost::asio::post(rig.io, again);
  rig.io.run();
  CHECK(rig.asked >= (deep ? 4 : 32));
  CHECK(rig.asked <= (deep ? 5 : 64));
}

TEST_CASE(
    "While the next event is expected soon the loop does not sleep, for as long as is allowed") {
  Rig rig({10s, {1, 1}});
  for (int i = 0; i < 3; ++i) rig.turns_until_event_in(1ms);
  CHECK(rig.turns_until_event_in(1ms) > Rig::kTurnsBeforeSleep);
  rig.prospect.longest = 1us;
  CHECK(rig.turns_until_event_in(20ms) < 500);  // it would be tens of thousands
}

TEST_CASE("After waits that were long the loop sleeps at once") {
  Rig rig({1us, {1, 1}});
  for (int i = 0; i < 3; ++i) rig.turns_until_event_in(2ms);
  rig.prospect.longest = 10s;
  CHECK(rig.turns_until_event_in(2ms) == Rig::kTurnsBeforeSleep);
}

TEST_CASE("Waits for a client and waits with requests under way are expected apart") {
  Rig rig({10s, {1, 1}});
  for (int i = 0; i < 3; ++i) rig.turns_until_event_in(1ms);
  rig.prospect.requests.now = 0;
  CHECK(rig.turns_until_event_in(2ms) == Rig::kTurnsBeforeSleep);
}

TEST_CASE("Where nobody polls, arrivals tell nobody") {
  boost::asio::io_context io;
  Arrivals arrivals(io.get_executor());
  arrivals.note();
  CHECK(io.run() == 0);
}

}  // namespace hast::adapter
