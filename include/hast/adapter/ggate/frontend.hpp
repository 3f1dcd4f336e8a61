// The front-end on FreeBSD: a device of GEOM gate, /dev/hast/NAME, that any file system can use.
// The device belongs to the kernel and outlives its server: what a hastd that was killed, or went
// to come back as a newer version (Departure), left waiting is taken over by serve() and removed by
// the roles that must not serve it. Everything on the executor given at birth; the resource owns
// it and calls stop(), and waits for its `done`, before destroying it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hast/adapter/departure.hpp"
#include "hast/adapter/ggate/intake.hpp"
#include "hast/adapter/ggate/pump.hpp"
#include "hast/base/log.hpp"
#include "hast/port/frontend.hpp"

namespace hast::adapter::ggate {

struct GgateOptions {
  IntakeLimits limits;
  bool direct_reads = true;              // by the kernel, from the component, while that is current
  const Departure* departure = nullptr;  // outlives the front-end; nullptr: always for good
  /// How often threads that sleep in the kernel are woken until they have noticed the end.
  std::chrono::milliseconds nudge_interval{20};
  Log log;
};

class GgateFrontend final : public port::Frontend, private Intake::Owner, private Pump::Owner {
 public:
  GgateFrontend(boost::asio::any_io_executor executor, std::unique_ptr<GateDevice> device,
                GgateOptions options);
  ~GgateFrontend() override;

  // port::Frontend
  Result<void> start() override;
  /// Errors: unsupported (a device of that name exists and does not fit the volume), io_failed.
  Result<void> serve(port::RequestSink& sink) override;
  /// For good: the device goes, and with it what its clients had not been answered. To come back:
  /// what is on its way is answered, the rest and whatever fails now waits for the next hastd.
  /// The kernel reads from there, if it can. A device that cannot be kept from it is removed.
  void read_from(const std::optional<port::LocalCopy>& copy) override;
  void withdraw(std::string reason, std::function<void()> done) override;
  void stop(std::function<void()> done) override;
  std::string location() const override { return "/dev/" + device_->name(); }

  /// While serving: the sink's volume has another size now. Volumes do not change while they are
  /// served yet, so nobody calls it.
  Result<void> volume_resized();

 private:
  using Done = std::function<void()>;

  bool comes_back() const { return options_.departure && options_.departure->comes_back(); }
  Result<void> make_device(const port::VolumeInfo& volume);
  Result<void> take_over(const port::VolumeInfo& volume);
  Error misfit(const port::VolumeInfo& found, const port::VolumeInfo& volume) const;
  Error failure(int error, const char* what) const;
  void end_direct_reads();
  void begin_withdrawal();
  void remove_device();
  void nudge();
  void check_withdrawn();
  void finish_withdrawal();
  void answer(Exchange& exchange);

  // Intake::Owner
  void taken(Exchange& exchange) override { pump_->begin(exchange); }
  void intake_failed(int error, std::uint64_t length_bytes) override;
  void intake_ended() override;
  // Pump::Owner
  void concluded(Exchange& exchange) override;
  void progress_due() override;

  boost::asio::any_io_executor executor_;
  std::unique_ptr<GateDevice> device_;
  const GgateOptions options_;
  boost::asio::steady_timer nudge_timer_;

  // From serve() until the withdrawal is over.
  port::RequestSink* sink_ = nullptr;
  std::optional<Pump> pump_;
  std::optional<Intake> intake_;
  bool withdrawing_ = false;
  bool device_stays_ = false;
  bool reads_directly_ = false;  // the kernel does, past hastd
  bool nudging_ = false;         // the timer's handler has yet to run
  bool finish_posted_ = false;
  bool progress_posted_ = false;
  int reported_error_ = 0;

  /// Started, and no role was entered yet: what a former hastd left may be about to be served.
  bool fresh_ = false;
  std::vector<Done> withdrawn_;  // to be told
};

}  // namespace hast::adapter::ggate
