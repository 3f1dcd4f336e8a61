#include "hast/adapter/nbd_device/kernel.hpp"

#include <linux/nbd-netlink.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "../device_link_linux.hpp"
#include "hast/adapter/nbd_device/genl.hpp"
#include "hast/base/log.hpp"

namespace hast::adapter::nbd_device {

namespace {

namespace fs = std::filesystem;

constexpr const char* kBlockDevices = "/sys/block";
constexpr std::uint64_t kSysfsSectorBytes = 512;
constexpr std::uint32_t kKernelRepeatsAfterMs = 30'000;

std::string name_of(std::uint32_t index) { return fmt::format("nbd{}", index); }
fs::path folder_of(std::uint32_t index) { return fs::path(kBlockDevices) / name_of(index); }

/// The first line; empty if there is none.
std::string line_of(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

template <class T>
std::optional<T> number_of(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::size_t connections_of(const fs::path& device) {
  std::error_code error;
  const auto queues = std::distance(fs::directory_iterator(device / "mq", error), {});
  return error || queues < 1 ? 1 : static_cast<std::size_t>(queues);
}

Device describe(std::uint32_t index) {
  const fs::path folder = folder_of(index);
  Device device;
  device.index = index;
  const auto sectors = number_of<std::uint64_t>(line_of(folder / "size")).value_or(0);
  device.volume.size_bytes = sectors * kSysfsSectorBytes;
  device.volume.sector_bytes =
      number_of<std::uint32_t>(line_of(folder / "queue/logical_block_size")).value_or(0);
  device.connections = connections_of(folder);
  return device;
}

void put_sockets(GenlAttributes& attributes, std::span<const int> sockets) {
  const std::size_t all = attributes.open(NBD_ATTR_SOCKETS);
  for (const int socket : sockets) {
    const std::size_t item = attributes.open(NBD_SOCK_ITEM);
    attributes.u32(NBD_SOCK_FD, static_cast<std::uint32_t>(socket));
    attributes.close(item);
  }
  attributes.close(all);
}

std::optional<std::uint32_t> index_of(const fs::path& device) {
  const std::string name = device.filename().string();
  if (!name.starts_with("nbd")) return std::nullopt;
  return number_of<std::uint32_t>(std::string_view(name).substr(3));
}

/// Somebody serves it, or has it open still.
bool is_taken(std::uint32_t index) {
  std::error_code error;
  return fs::exists(folder_of(index) / "pid", error);
}

std::vector<std::uint32_t> free_devices() {
  std::vector<std::uint32_t> free;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(kBlockDevices, error)) {
    const std::optional<std::uint32_t> index = index_of(entry.path());
    if (index && !is_taken(*index)) free.push_back(*index);
  }
  std::sort(free.begin(), free.end());
  return free;
}

/// Only for a device without requests: the kernel waits for them.
bool set_repeat_after(std::uint32_t index, std::uint32_t milliseconds) {
  const fs::path path = folder_of(index) / "queue/io_timeout";
  const std::string wanted = std::to_string(milliseconds);
  if (line_of(path) == wanted) return true;
  std::ofstream file(path);
  file << wanted << std::flush;
  return file.good();
}

class NetlinkNbd final : public NbdKernel {
 public:
  NetlinkNbd(GenlSocket socket, std::uint16_t family)
      : socket_(std::move(socket)), family_(family) {}

  std::vector<Device> find(std::string_view backend) override {
    std::vector<Device> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(kBlockDevices, error)) {
      const std::optional<std::uint32_t> index = index_of(entry.path());
      if (index && line_of(entry.path() / "backend") == backend) found.push_back(describe(*index));
    }
    return found;
  }

  Result<Connected> connect(const DeviceSpec& spec, std::span<const int> sockets) override {
    if (spec.index) return connect_at(*spec.index, spec, sockets);
    for (const std::uint32_t index : free_devices()) {
      Result<Connected> connected = connect_at(index, spec, sockets);
      if (connected || connected.error().os_error != EBUSY) return connected;
    }
    Result<std::uint32_t> index = connect_once(std::nullopt, spec, sockets);  // one more is made
    if (!index) return std::move(index).error();
    return Connected{*index, false};
  }

  Result<void> reconnect(std::uint32_t index, std::string_view backend,
                         std::span<const int> sockets) override {
    GenlAttributes attributes;
    attributes.u32(NBD_ATTR_INDEX, index);
    attributes.text(NBD_ATTR_BACKEND_IDENTIFIER, backend);
    if (!sockets.empty()) put_sockets(attributes, sockets);
    return outcome(ask(NBD_CMD_RECONFIGURE, attributes));
  }

  Result<void> disconnect(std::uint32_t index) override {
    GenlAttributes attributes;
    attributes.u32(NBD_ATTR_INDEX, index);
    Result<void> removed = outcome(ask(NBD_CMD_DISCONNECT, attributes));
    if (removed) set_repeat_after(index, kKernelRepeatsAfterMs);  // for its next user
    return removed;
  }

  Result<void> link(std::string_view name, std::uint32_t index) override {
    return link_device(name, name_of(index));
  }
  void unlink(std::string_view name, std::uint32_t index) override {
    unlink_device(name, name_of(index));
  }

 private:
  Result<Connected> connect_at(std::uint32_t index, const DeviceSpec& spec,
                               std::span<const int> sockets) {
    // The kernel would say so too, but only after its next line had changed what is not ours.
    if (is_taken(index)) return Error{Errc::io_failed, EBUSY, "the device has a server"};
    const bool set = spec.repeat_after_ms > 0 && set_repeat_after(index, spec.repeat_after_ms);
    Result<std::uint32_t> made = connect_once(index, spec, sockets);
    if (!made) return std::move(made).error();
    return Connected{*made, set};
  }

  Result<std::uint32_t> connect_once(std::optional<std::uint32_t> at, const DeviceSpec& spec,
                                     std::span<const int> sockets) {
    GenlAttributes attributes;
    if (at) attributes.u32(NBD_ATTR_INDEX, *at);
    attributes.u64(NBD_ATTR_SIZE_BYTES, spec.volume.size_bytes);
    attributes.u64(NBD_ATTR_BLOCK_SIZE_BYTES, spec.volume.sector_bytes);
    attributes.u64(NBD_ATTR_SERVER_FLAGS, spec.flags);
    attributes.u64(NBD_ATTR_DEAD_CONN_TIMEOUT, spec.dead_timeout_s);
    attributes.text(NBD_ATTR_BACKEND_IDENTIFIER, spec.backend);
    put_sockets(attributes, sockets);
    Result<std::vector<std::byte>> answer = ask(NBD_CMD_CONNECT, attributes);
    if (!answer) return std::move(answer).error();
    const std::optional<ConstByteSpan> index = find_attribute(*answer, NBD_ATTR_INDEX);
    if (!index || index->size() < sizeof(std::uint32_t))
      return Error{Errc::io_failed, EPROTO, "the kernel made a device without a number"};
    return load<std::uint32_t, std::endian::native>(index->data());
  }

  Result<std::vector<std::byte>> ask(std::uint8_t command, const GenlAttributes& attributes) {
    return socket_.ask(family_, command, NBD_GENL_VERSION, attributes.bytes());
  }

  static Result<void> outcome(Result<std::vector<std::byte>> answer) {
    if (!answer) return std::move(answer).error();
    return {};
  }

  GenlSocket socket_;
  std::uint16_t family_;
};

}  // namespace

Result<std::unique_ptr<NbdKernel>> nbd_kernel() {
  Result<GenlSocket> socket = GenlSocket::open();
  if (!socket) return std::move(socket).error();
  Result<std::uint16_t> family = socket->family(NBD_GENL_FAMILY_NAME);
  if (!family && family.error().os_error == ENOENT)
    return Error{Errc::unsupported, 0,
                 "this kernel has no NBD devices; load the driver (modprobe nbd), or set frontend: "
                 "{type: nbd}, an export that nbdfuse can mount"};
  if (!family) return std::move(family).error();
  return std::unique_ptr<NbdKernel>(
      std::make_unique<NetlinkNbd>(std::move(socket).value(), *family));
}

}  // namespace hast::adapter::nbd_device
