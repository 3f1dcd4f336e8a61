// Time and waiting for it. Steady time only: wall time never decides anything.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>

namespace hast::port {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Timer {
 public:
  virtual ~Timer() = default;
  /// True when the time has passed, false when cancel() ended the wait. One wait at a time.
  virtual boost::asio::awaitable<bool> wait_for(Duration duration) = 0;
  virtual void cancel() = 0;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual std::unique_ptr<Timer> make_timer(boost::asio::any_io_executor executor) = 0;
};

}  // namespace hast::port
