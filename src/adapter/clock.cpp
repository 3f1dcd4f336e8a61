#include "hast/adapter/clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hast::adapter {

namespace {

namespace asio = boost::asio;

class SteadyTimer final : public port::Timer {
 public:
  explicit SteadyTimer(const asio::any_io_executor& executor) : timer_(executor) {}

  asio::awaitable<bool> wait_for(port::Duration duration) override {
    timer_.expires_after(duration);
    const auto [error] = co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    co_return !error;
  }
  void cancel() override { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

}  // namespace

port::TimePoint SteadyClock::now() const { return std::chrono::steady_clock::now(); }

std::unique_ptr<port::Timer> SteadyClock::make_timer(asio::any_io_executor executor) {
  return std::make_unique<SteadyTimer>(std::move(executor));
}

}  // namespace hast::adapter
