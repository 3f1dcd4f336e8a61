#include "hast/adapter/clock.hpp"

#include "awaiting.hpp"
#include "support/catch.hpp"

namespace hast::adapter {
namespace {

using namespace std::chrono_literals;
using test::Pending;

}  // namespace

TEST_CASE("A timer waits at least as long as it was told, by its own clock") {
  boost::asio::io_context io;
  SteadyClock clock;
  const auto timer = clock.make_timer(io.get_executor());
  const port::TimePoint begin = clock.now();
  CHECK(test::run(io, timer->wait_for(30ms)));
  CHECK(clock.now() - begin >= 30ms);
}

TEST_CASE("A cancelled wait says so, and the timer can wait again") {
  boost::asio::io_context io;
  SteadyClock clock;
  const auto timer = clock.make_timer(io.get_executor());
  Pending<bool> waiting(io, timer->wait_for(1h));
  CHECK(!waiting.done());
  timer->cancel();
  CHECK_FALSE(waiting.get());
  CHECK(test::run(io, timer->wait_for(1ms)));
}

TEST_CASE("A cancel before the wait does not touch it") {
  boost::asio::io_context io;
  SteadyClock clock;
  const auto timer = clock.make_timer(io.get_executor());
  timer->cancel();
  CHECK(test::run(io, timer->wait_for(0ms)));
}

TEST_CASE("The longest wait there is does not end at once") {
  boost::asio::io_context io;
  SteadyClock clock;
  const auto timer = clock.make_timer(io.get_executor());
  Pending<bool> waiting(io, timer->wait_for(port::Duration::max()));
  io.run_for(20ms);
  CHECK(!waiting.done());
  timer->cancel();
  CHECK_FALSE(waiting.get());
}

}  // namespace hast::adapter
