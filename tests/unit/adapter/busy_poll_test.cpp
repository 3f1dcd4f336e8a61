#include "hast/adapter/busy_poll.hpp"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
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
  const Prospect prospect = any_prospect();
  boost::asio::io_context io;
  int ran = 0;
  for (int i = 0; i < 100; ++i)
    boost::asio::post(io, [&] { boost::asio::post(io, [&ran] { ++ran; }); });
  boost::asio::steady_timer timer(io, 2ms);
  timer.async_wait([&ran](boost::system::error_code) { ++ran; });
  run_polling(io, [&] { return prospect; });
  CHECK(ran == 101);
}

TEST_CASE("The loop ends when it is stopped, from inside and from another thread") {
  const Prospect prospect = any_prospect();
  boost::asio::io_context io;
  const auto work = boost::asio::make_work_guard(io);
  const bool inside = GENERATE(true, false);
  if (inside) boost::asio::post(io, [&io] { io.stop(); });
  std::thread other([&] {
    if (!inside) io.stop();
  });
  run_polling(io, [&] { return prospect; });
  other.join();
  CHECK(io.stopped());
}

TEST_CASE("What another thread hands over runs, however the loop waits for it") {
  const Prospect prospect = any_prospect();
  boost::asio::io_context io;
  constexpr int kTimes = 2000;
  std::atomic<int> ran = 0;
  std::thread other([&io, &ran, work = boost::asio::make_work_guard(io)] {
    for (int i = 0; i < kTimes; ++i) {
      boost::asio::post(io, [&ran] { ++ran; });
      while (i % 3 == 0 && ran <= i) std::this_thread::yield();  // let it wait, now and then
    }
  });
  run_polling(io, [&] { return prospect; });
  other.join();
  CHECK(ran == kTimes);
}

TEST_CASE("The prospect is asked anew before each wait, and seldom at depth") {
  boost::asio::io_context io;
  int left = 64;
  std::function<void()> again = [&] {
    if (--left > 0) boost::asio::post(io, again);
  };
  boost::asio::post(io, again);
  int asked = 0;
  run_polling(io, [&asked] {
    ++asked;
    return Prospect{60us, {100, 100}};
  });
  CHECK(asked >= 4);
  CHECK(asked <= 5);
}

}  // namespace hast::adapter
