// What the front-ends have in common whose device is the kernel's (GEOM gate, NBD device, ublk).
// Such a device outlives its server: what a hastd that was killed, or went to come back
// (Departure), left waiting is taken over by serve() and removed by the roles that must not serve
// it. Everything on the executor given at birth; the resource owns it and calls stop(), and waits
// for its `done`, before destroying it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <string>
#include <vector>

#include "hast/adapter/departure.hpp"
#include "hast/base/log.hpp"
#include "hast/port/frontend.hpp"

namespace hast::adapter {

class DeviceFrontend : public port::Frontend {
 public:
  Result<void> start() final;
  /// Errors: unsupported (a device that waits does not fit the volume), io_failed.
  Result<void> serve(port::RequestSink& sink) final;
  /// For good: what the sink has ends, the rest fails, and the device goes. To come back: what was
  /// not answered, or not with success, waits for the next hastd.
  void withdraw(std::string reason, std::function<void()> done) final;
  void stop(std::function<void()> done) final;

 protected:
  /// `departure` outlives this; nullptr: always for good.
  DeviceFrontend(boost::asio::any_io_executor executor, const Departure* departure, Log log);
  ~DeviceFrontend() override;

  const boost::asio::any_io_executor& executor() const { return executor_; }
  const Log& log() const { return log_; }
  /// nullptr but from serve() until the withdrawal is over.
  port::RequestSink* sink() const { return sink_; }
  bool withdrawing() const { return withdrawing_; }
  /// While withdrawing: the device waits for the next hastd.
  bool device_stays() const { return device_stays_; }
  /// Whenever has_let_go() may have become true.
  void check_withdrawn();

 private:
  /// Makes the device, or takes over the one that waits. Those of serve().
  virtual Result<void> attach() = 0;
  /// Nothing more is submitted from now on. Called once a service.
  virtual void let_go() = 0;
  /// The sink has its slots back, no device is being removed, and no handler has yet to run.
  virtual bool has_let_go() const = 0;
  /// The service is over; the device, unless it stays, is removed here at the latest.
  virtual void end_service() = 0;
  /// All that have the name, whoever left them. May end later, see has_let_go().
  virtual void remove_devices() = 0;

  bool comes_back() const { return departure_ != nullptr && departure_->comes_back(); }
  void finish_withdrawal();

  boost::asio::any_io_executor executor_;
  const Departure* departure_;
  const Log log_;
  port::RequestSink* sink_ = nullptr;
  bool withdrawing_ = false;
  bool device_stays_ = false;
  bool finish_posted_ = false;
  /// Started, and no role was entered yet: what a former hastd left may be about to be served.
  bool fresh_ = false;
  std::vector<std::function<void()>> withdrawn_;  // to be told
};

}  // namespace hast::adapter
