// Runs coroutines of the adapters on an io_context of the test, with a limit, so that a wait that
// never ends fails instead of hanging.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>

#include "support/catch.hpp"

namespace hast::adapter::test {

constexpr auto kLimit = std::chrono::seconds(20);

/// Runs `io` until `condition` holds.
template <class Condition>
void run_until(boost::asio::io_context& io, Condition condition) {
  const auto end = std::chrono::steady_clock::now() + kLimit;
  io.restart();
  while (!condition()) {
    if (io.stopped()) io.restart();
    io.run_one_for(std::chrono::milliseconds(50));
    if (std::chrono::steady_clock::now() > end) FAIL("waited too long");
  }
}

/// A coroutine that was started and may not have ended yet.
template <class T>
class Pending {
 public:
  Pending(boost::asio::io_context& io, boost::asio::awaitable<T> awaited)
      : io_(io), result_(std::make_shared<std::optional<T>>()) {
    boost::asio::co_spawn(io, keep(std::move(awaited), result_), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
    io_.restart();
    io_.poll();
  }
  bool done() const { return result_->has_value(); }
  T get() {
    run_until(io_, [this] { return done(); });
    return std::move(**result_);
  }

 private:
  static boost::asio::awaitable<void> keep(boost::asio::awaitable<T> awaited,
                                           std::shared_ptr<std::optional<T>> result) {
    result->emplace(co_await std::move(awaited));
  }

  boost::asio::io_context& io_;
  std::shared_ptr<std::optional<T>> result_;
};

template <class T>
T run(boost::asio::io_context& io, boost::asio::awaitable<T> awaited) {
  return Pending<T>(io, std::move(awaited)).get();
}

}  // namespace hast::adapter::test
