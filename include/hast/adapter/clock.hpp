// port::Clock over the steady clock and Asio's timers.
#pragma once

#include "hast/port/clock.hpp"

namespace hast::adapter {

class SteadyClock final : public port::Clock {
 public:
  port::TimePoint now() const override;
  std::unique_ptr<port::Timer> make_timer(boost::asio::any_io_executor executor) override;
};

}  // namespace hast::adapter
