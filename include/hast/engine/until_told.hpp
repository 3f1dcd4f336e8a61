// For coroutines: starts something that calls back when it is over, and waits for that.
#pragma once

#include <functional>

#include "hast/port/net.hpp"
#include "hast/port/wakeup.hpp"

namespace hast::engine {

/// `begin` gets what is to be called once, perhaps before it returns, on the same executor.
inline port::Awaitable<void> until_told(std::function<void(std::function<void()>)> begin) {
  bool told = false;
  port::Wakeup ended;
  begin([&] {
    told = true;
    ended.notify();
  });
  while (!told) co_await ended.wait();
}

}  // namespace hast::engine
