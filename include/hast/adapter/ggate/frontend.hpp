// The front-end on FreeBSD: a device of GEOM gate, /dev/hast/NAME, that any file system can use.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hast/adapter/device_frontend.hpp"
#include "hast/adapter/ggate/intake.hpp"
#include "hast/adapter/ggate/pump.hpp"

namespace hast::adapter::ggate {

class OwedLooks;

struct GgateOptions {
  IntakeLimits limits;
  bool direct_reads = false;             // by the kernel, from the component, while that is current
  const Departure* departure = nullptr;  // outlives the front-end; nullptr: always for good
  /// How often a new device is looked for in /dev.
  std::chrono::milliseconds look_interval{5};
  /// How long the kernel may look at a device that was left behind before its reads fail.
  std::chrono::milliseconds look_patience{5000};
  Log log;
};

class GgateFrontend final : public DeviceFrontend, private Intake::Owner, private Pump::Owner {
 public:
  GgateFrontend(boost::asio::any_io_executor executor, std::unique_ptr<GateDevice> device,
                GgateOptions options);
  ~GgateFrontend() override;

  // port::Frontend
  void prepare(std::function<void()> done) override;
  void when_open(std::function<void()> done) override;
  /// The kernel reads from there, if it can. A device that cannot be kept from it is removed.
  void read_from(const std::optional<port::LocalCopy>& copy) override;
  std::string location() const override { return "/dev/" + device_->name(); }

  /// While serving: the sink's volume has another size now. Volumes do not change while they are
  /// served yet, so nobody calls it.
  Result<void> volume_resized();

 private:
  // DeviceFrontend
  Result<void> attach() override;
  void let_go() override;
  bool has_let_go() const override;
  void end_service() override;
  void remove_devices() override;

  Result<void> make_device(const port::VolumeInfo& volume);
  Result<void> take_over(const port::VolumeInfo& volume);
  Error misfit(const port::VolumeInfo& found, const port::VolumeInfo& volume) const;
  Error failure(int error, const char* what) const;
  void end_direct_reads();
  void resize_device(std::uint64_t size_bytes);
  void call_aside(std::function<int()> call, std::function<void(int error)> ended);
  void removed(int error);
  void settle_looks(std::function<void()> done);
  void look_for_node();
  void answer(Exchange& exchange);

  // Intake::Owner
  void taken(Exchange& exchange) override { pump_->begin(exchange); }
  void intake_failed(int error, std::uint64_t length_bytes) override;
  void intake_ended() override { check_withdrawn(); }
  // Pump::Owner
  void concluded(Exchange& exchange) override;
  void progress_due() override;

  std::unique_ptr<GateDevice> device_;
  const GgateOptions options_;
  boost::asio::steady_timer look_timer_;

  // From serve() until the withdrawal is over.
  std::optional<Pump> pump_;
  std::optional<Intake> intake_;
  bool reads_directly_ = false;  // the kernel does, past hastd
  bool misses_size_ = false;     // the device that was taken over is to be resized
  bool looking_ = false;         // the timer's handler has yet to run
  bool progress_posted_ = false;
  int reported_error_ = 0;
  std::vector<std::function<void()>> opened_;  // to be told once there is a node

  std::size_t aside_ = 0;            // calls that may wait, under way
  std::unique_ptr<OwedLooks> owed_;  // while preparing
};

}  // namespace hast::adapter::ggate
