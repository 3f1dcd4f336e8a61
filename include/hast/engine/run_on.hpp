// Runs a coroutine on another executor and comes back with its result.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>

#include "hast/port/net.hpp"

namespace hast::engine {

template <class T>
port::Awaitable<void> store_result(port::Awaitable<T> work, std::optional<T>* result) {
  result->emplace(co_await std::move(work));
}

template <class T>
port::Awaitable<T> run_on(port::Executor executor, port::Awaitable<T> work) {
  std::optional<T> result;  // co_spawn itself wants values that can be made from nothing
  co_await boost::asio::co_spawn(executor, store_result(std::move(work), &result),
                                 boost::asio::use_awaitable);
  co_return std::move(*result);
}

}  // namespace hast::engine
