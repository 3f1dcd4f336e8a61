// The front-end that is a ublk device of Linux: /dev/hast/NAME, whose requests the kernel hands to
// hastd through io_uring, their data straight into and out of the slots.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hast/adapter/device_frontend.hpp"
#include "hast/adapter/slot_supply.hpp"
#include "hast/adapter/ublk/kernel.hpp"

namespace hast::adapter::ublk {

struct UblkOptions {
  std::string name;                      // of /dev/hast/NAME
  const Departure* departure = nullptr;  // outlives the front-end; nullptr: always for good
  /// How often a device is asked for whose former server has not let go of it yet.
  std::chrono::milliseconds retry_interval{20};
  Log log;
};

class UblkFrontend final : public DeviceFrontend, private UblkKernel::Owner {
 public:
  UblkFrontend(boost::asio::any_io_executor executor, std::unique_ptr<UblkKernel> kernel,
               UblkOptions options);
  ~UblkFrontend() override;

  // port::Frontend
  void when_open(std::function<void()> done) override;
  std::string location() const override { return "/dev/hast/" + options_.name; }

 private:
  using Done = std::function<void()>;
  /// One that the sink has.
  struct InSink {
    UblkFrontend* frontend = nullptr;
    Request request;
  };
  /// What the kernel and we know of the device while there is a sink.
  enum class State : std::uint8_t {
    none,
    waiting,   // for its former server to let go of it
    serving,   // the disk may still be on its way
    stopping,  // it is being taken away
    gone       // or somebody else took it
  };

  Result<void> attach_device();
  Result<void> create();
  Result<void> take_over(const Device& device);
  Result<void> serve_device(bool again);
  void retry_later();
  void retry();
  Error misfit(const Device& device) const;
  Error failure(const Error& error, std::string_view what) const;

  int check(const Request& request) const;
  void submit_waiting();
  void submit(const Request& request, port::IoRequest& slot);
  static void completed(port::IoRequest& slot);
  void done(const Request& request, port::IoRequest& slot);

  void settle();
  void slot_freed();
  void remove(std::uint32_t index);

  // DeviceFrontend
  Result<void> attach() override;
  void let_go() override;
  bool has_let_go() const override;
  void end_service() override;
  void remove_devices() override;

  // UblkKernel::Owner
  void arrived(const Request& request) override;
  void started(int error) override;
  void stopped(int error) override;
  void lost() override;

  std::unique_ptr<UblkKernel> kernel_;
  const UblkOptions options_;
  const std::uint64_t identity_;
  boost::asio::steady_timer retry_timer_;

  // From serve() until the withdrawal is over.
  std::optional<SlotSupply> slots_;
  port::VolumeInfo volume_;
  State state_ = State::none;
  std::uint32_t index_ = 0;
  bool taken_over_ = false;
  std::deque<Request> waiting_;  // for a slot, in the order they came; at most kDepth
  std::array<InSink, kDepth> in_sink_;
  std::size_t in_sink_count_ = 0;
  bool progress_posted_ = false;
  bool retrying_ = false;  // the timer's handler has yet to run
  std::size_t retries_ = 0;

  bool settled_ = false;      // it is known whether there is a disk
  std::vector<Done> opened_;  // to be told
};

/// Over the devices of this system's kernel. Errors: those of ublk_kernel().
Result<std::unique_ptr<port::Frontend>> open_ublk(boost::asio::any_io_executor executor,
                                                  UblkOptions options);

}  // namespace hast::adapter::ublk
