// The front-end that is a block device of Linux: /dev/hast/NAME, an NBD device of the kernel that
// hastd attaches and serves itself over socket pairs, without a listening socket.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hast/adapter/device_frontend.hpp"
#include "hast/adapter/nbd/connection.hpp"
#include "hast/adapter/nbd_device/kernel.hpp"

namespace hast::adapter::nbd_device {

struct NbdDeviceOptions {
  std::string name;                    // of /dev/hast/NAME
  std::optional<std::uint32_t> index;  // of /dev/nbdINDEX; nullopt: the kernel chooses
  std::size_t connections = 1;
  std::uint32_t dead_timeout_s = 300;    // I/O waits so long for a hastd, then it fails
  const Departure* departure = nullptr;  // outlives the front-end; nullptr: always for good
  /// How often the kernel is offered a new connection in the place of a lost one.
  std::chrono::milliseconds reattach_interval{100};
  nbd::ConnectionLimits connection;
  Log log;
};

class NbdDevice final : public DeviceFrontend, private nbd::Connection::Owner {
 public:
  NbdDevice(boost::asio::any_io_executor executor, std::unique_ptr<NbdKernel> kernel,
            NbdDeviceOptions options);
  ~NbdDevice() override;

  // port::Frontend
  std::string location() const override { return "/dev/hast/" + options_.name; }

  std::size_t connections() const { return connections_.size(); }

 private:
  using Connections = std::list<std::unique_ptr<nbd::Connection>>;
  /// Connections that are not started, and the kernel's ends of their sockets.
  struct Offer;

  std::string backend() const { return "hast/" + options_.name; }
  Result<Offer> make_offer(std::size_t count);
  void accept(Offer offer);

  Result<bool> take_over(const Device& device);
  Result<void> create();
  Result<void> finish_attaching(std::uint32_t index, Offer offer);
  Error misfit(const Device& device) const;
  Error failure(const Error& error, std::string_view what) const;

  void reattach_later();
  void reattach();
  void remove(std::uint32_t index);

  // DeviceFrontend
  Result<void> attach() override;
  void let_go() override;
  bool has_let_go() const override { return !reattaching_ && connections_.empty(); }
  void end_service() override;
  void remove_devices() override;

  // nbd::Connection::Owner
  nbd::Connection::Service service() const override;
  const nbd::ConnectionLimits& connection_limits() const override { return limits_; }
  void report(LogLevel level, const nbd::Connection& connection, std::string_view text) override;
  void ended(nbd::Connection& connection) override;

  std::unique_ptr<NbdKernel> kernel_;
  const NbdDeviceOptions options_;
  nbd::ConnectionLimits limits_;
  boost::asio::steady_timer reattach_timer_;

  // From serve() until the withdrawal is over.
  std::uint64_t serial_ = 0;
  std::optional<std::uint32_t> index_;
  std::size_t wanted_ = 0;  // connections the device has room for
  Connections connections_;
  bool reattaching_ = false;   // the timer's handler has yet to run
  bool gone_ = false;          // somebody else removed the device
  std::size_t fruitless_ = 0;  // attempts to reattach, one after the other
  std::chrono::steady_clock::time_point last_attempt_{};
};

/// Over the devices of this system's kernel. Errors: those of nbd_kernel().
Result<std::unique_ptr<port::Frontend>> open_nbd_device(boost::asio::any_io_executor executor,
                                                        NbdDeviceOptions options);

}  // namespace hast::adapter::nbd_device
