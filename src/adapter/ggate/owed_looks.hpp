// What a hastd that died owes the kernel: answers to reads of a device that clients had open. The
// kernel looks at a device again when its last writer has closed it, and as long as it waits for
// that nobody opens or closes any disk for writing: the dead hastd cannot end, and the next one
// does not get its component, without which it cannot answer either. So such reads fail; the kernel
// takes what it looked at for a disk without labels. Owned by the front-end, on its executor.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <optional>

#include "hast/adapter/ggate/intake.hpp"
#include "hast/base/log.hpp"

namespace hast::adapter::ggate {

class OwedLooks final : private Intake::Owner {
 public:
  /// `device` outlives this. `patience`: how long the kernel may look without us, for it may be
  /// another hastd that has to answer.
  OwedLooks(boost::asio::any_io_executor executor, GateDevice& device, const IntakeLimits& limits,
            std::chrono::milliseconds patience, Log log);
  ~OwedLooks();

  /// Once. `done` is posted when the kernel waits for no look any more; this may then go. All
  /// requests but reads stay with the kernel, for whoever takes the device over.
  void settle(std::function<void()> done);

 private:
  void look_ended();
  void fail_reads();
  void check_settled();

  // Intake::Owner
  void taken(Exchange& exchange) override;
  void intake_failed(int, std::uint64_t) override {}  // it tries again; it is not needed
  void intake_ended() override { check_settled(); }

  const boost::asio::any_io_executor executor_;
  GateDevice& device_;
  const IntakeLimits limits_;
  const std::chrono::milliseconds patience_;
  const Log log_;
  boost::asio::steady_timer timer_;
  std::optional<Intake> intake_;
  bool timer_runs_ = false;
  bool looked_ = false;
  std::function<void()> done_;
};

}  // namespace hast::adapter::ggate
