// NbdKernel: the kernel's NBD devices as the server of one of them sees them. The kernel's own is
// nbd_kernel(); tests have one that behaves like it. A device is found by its backend identifier,
// which the kernel keeps as long as the device exists, also when its server was killed. All calls
// come from the executor of the resource; none of them waits for I/O. Owned by the front-end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hast/base/result.hpp"
#include "hast/port/frontend.hpp"

namespace hast::adapter::nbd_device {

struct DeviceSpec {
  std::string backend;                 // its identifier: "hast/NAME"
  std::optional<std::uint32_t> index;  // of /dev/nbdINDEX; nullopt: the kernel chooses
  port::VolumeInfo volume;
  std::uint16_t flags = 0;  // NBD_FLAG_...
  std::uint32_t dead_timeout_s = 0;
  /// How soon what was sent on a lost connection is sent again on a new one; 0: as the kernel
  /// likes, which is after 30 seconds.
  std::uint32_t repeat_after_ms = 0;
};

struct Connected {
  std::uint32_t index = 0;
  bool repeats_soon = false;  // `repeat_after_ms` is in force
};

/// A device that exists.
struct Device {
  std::uint32_t index = 0;
  port::VolumeInfo volume;
  std::size_t connections = 1;  // fixed when it was made
};

class NbdKernel {
 public:
  virtual ~NbdKernel() = default;

  /// Every device with that identifier, also one that is being removed while somebody has it open.
  virtual std::vector<Device> find(std::string_view backend) = 0;
  /// Makes a device of sockets, which speak the transmission phase with simple replies. The caller
  /// keeps its descriptors of them, and closes them.
  virtual Result<Connected> connect(const DeviceSpec& spec, std::span<const int> sockets) = 0;
  /// Gives a device new sockets in the place of lost ones; those that find no place are closed.
  /// Errors: io_failed with EINVAL or ENODEV when there is no such device (any more).
  virtual Result<void> reconnect(std::uint32_t index, std::string_view backend,
                                 std::span<const int> sockets) = 0;
  /// Removes the device, open or not: everything queued or sent fails.
  virtual Result<void> disconnect(std::uint32_t index) = 0;

  /// Makes /dev/hast/NAME stand for the device; whatever had the name before has it no more.
  virtual Result<void> link(std::string_view name, std::uint32_t index) = 0;
  /// Only if it stands for that device.
  virtual void unlink(std::string_view name, std::uint32_t index) = 0;
};

/// The kernel's. Errors: unsupported (no NBD driver in this kernel, or no permission for it).
Result<std::unique_ptr<NbdKernel>> nbd_kernel();

}  // namespace hast::adapter::nbd_device
