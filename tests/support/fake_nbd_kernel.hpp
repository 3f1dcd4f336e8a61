// The kernel's NBD devices as a kernel was seen to have them: a device keeps its end of each socket
// until the socket is lost, takes new sockets only in the place of lost ones, outlives its server,
// and is found by its identifier. The test plays the part of the block layer: it sends requests on
// a device's sockets and reads the replies. No threads, no clock.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hast/adapter/nbd_device/kernel.hpp"

namespace hast::test {

using adapter::nbd_device::Connected;
using adapter::nbd_device::DeviceSpec;

/// The kernel itself: shared by the hastds that come and go.
struct NbdDevices {
  struct Device {
    DeviceSpec spec;
    std::vector<int> sockets;     // -1: lost
    bool being_removed = false;   // disconnected, and still open somewhere
    bool hung_up_before = false;  // by its server, when it was removed
    std::vector<int> lost{};      // kept, for what is still in them
  };
  std::map<std::uint32_t, Device> devices;
  std::map<std::string, std::uint32_t> links;
  bool held_open = false;  // somebody keeps devices open that are removed
  int link_error = 0;
  int reconnects = 0;  // with sockets
  std::vector<std::uint32_t> removed;

  ~NbdDevices() {
    for (auto& [index, device] : devices) close_all(device);
  }

  Device& only() { return devices.begin()->second; }

  static bool is_hung_up(int socket) {
    char byte = 0;
    return socket < 0 || ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
  }
  /// The kernel notices sockets whose other end is closed.
  static void notice_losses(Device& device) {
    for (int& socket : device.sockets) {
      if (socket >= 0 && is_hung_up(socket)) ::close(std::exchange(socket, -1));
    }
  }
  /// The kernel takes a request for lost: nothing more is sent or received there.
  static void give_up(Device& device, std::size_t socket) {
    ::shutdown(device.sockets[socket], SHUT_RDWR);
    device.lost.push_back(std::exchange(device.sockets[socket], -1));
  }
  static void close_all(Device& device) {
    for (int& socket : device.sockets) {
      if (socket >= 0) ::close(std::exchange(socket, -1));
    }
    for (const int socket : std::exchange(device.lost, {})) ::close(socket);
  }
};

class FakeNbdKernel final : public adapter::nbd_device::NbdKernel {
 public:
  explicit FakeNbdKernel(NbdDevices& all) : all_(all) {}

  std::vector<adapter::nbd_device::Device> find(std::string_view backend) override {
    std::vector<adapter::nbd_device::Device> found;
    for (auto& [index, device] : all_.devices) {
      if (device.spec.backend == backend)
        found.push_back({index, device.spec.volume, device.sockets.size()});
    }
    return found;
  }

  Result<Connected> connect(const DeviceSpec& spec, std::span<const int> sockets) override {
    std::uint32_t index = spec.index.value_or(0);
    while (!spec.index && all_.devices.count(index) > 0) ++index;
    if (all_.devices.count(index) > 0) return Error{Errc::io_failed, EBUSY, "the kernel refused"};
    NbdDevices::Device device;
    device.spec = spec;
    for (const int socket : sockets) device.sockets.push_back(keep(socket));
    all_.devices[index] = std::move(device);
    return Connected{index, spec.repeat_after_ms > 0};
  }

  Result<void> reconnect(std::uint32_t index, std::string_view backend,
                         std::span<const int> sockets) override {
    const auto found = all_.devices.find(index);
    if (found == all_.devices.end() || found->second.being_removed ||
        found->second.spec.backend != backend)
      return Error{Errc::io_failed, EINVAL, "the kernel refused"};
    NbdDevices::Device& device = found->second;
    NbdDevices::notice_losses(device);
    if (!sockets.empty()) ++all_.reconnects;
    for (const int socket : sockets) {
      const auto lost = std::find(device.sockets.begin(), device.sockets.end(), -1);
      if (lost == device.sockets.end()) break;
      *lost = keep(socket);
    }
    return {};
  }

  Result<void> disconnect(std::uint32_t index) override {
    const auto found = all_.devices.find(index);
    if (found == all_.devices.end() || found->second.being_removed)
      return Error{Errc::io_failed, EINVAL, "the kernel refused"};
    NbdDevices::Device& device = found->second;
    device.hung_up_before = std::all_of(device.sockets.begin(), device.sockets.end(),
                                        [](int socket) { return NbdDevices::is_hung_up(socket); });
    all_.removed.push_back(index);
    // A kernel says goodbye on every socket, and would wait for a server that does not read.
    HAST_ASSERT(device.hung_up_before);
    NbdDevices::close_all(device);
    device.being_removed = true;
    if (!all_.held_open) all_.devices.erase(found);
    return {};
  }

  Result<void> link(std::string_view name, std::uint32_t index) override {
    if (all_.link_error != 0) return Error{Errc::io_failed, all_.link_error, "the link"};
    all_.links[std::string(name)] = index;
    return {};
  }
  void unlink(std::string_view name, std::uint32_t index) override {
    const auto found = all_.links.find(std::string(name));
    if (found != all_.links.end() && found->second == index) all_.links.erase(found);
  }

 private:
  static int keep(int socket) {
    const int kept = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
    ::fcntl(kept, F_SETFL, O_NONBLOCK);
    return kept;
  }

  NbdDevices& all_;
};

}  // namespace hast::test
