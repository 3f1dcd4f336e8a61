#include "hast/adapter/nbd_device/frontend.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

namespace hast::adapter::nbd_device {

namespace asio = boost::asio;

namespace {

/// Of a device with one connection. With more of them the kernel would take a request that is slow
/// for one that is lost, and a connection with a slow request for a dead one.
constexpr std::uint32_t kRepeatAfterMs = 5'000;
constexpr int kTheirSendBufferBytes = 1024 * 1024;
constexpr std::size_t kWorryingAttempts = 50;
constexpr std::chrono::seconds kQuietTime{10};

/// The two ends of a connection. They close what was not released.
class SocketPair {
 public:
  static Result<SocketPair> open() {
    SocketPair pair;
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.fds_) != 0)
      return Error{Errc::io_failed, errno, "no sockets for an NBD device"};
    // Ours gets its own from the connection.
    ::setsockopt(pair.theirs(), SOL_SOCKET, SO_SNDBUF, &kTheirSendBufferBytes,
                 sizeof kTheirSendBufferBytes);
    return pair;
  }
  SocketPair(SocketPair&& other) noexcept
      : fds_{std::exchange(other.fds_[0], -1), std::exchange(other.fds_[1], -1)} {}
  SocketPair& operator=(SocketPair&&) = delete;
  ~SocketPair() {
    for (const int fd : fds_) {
      if (fd >= 0) ::close(fd);
    }
  }
  int release_ours() { return std::exchange(fds_[0], -1); }
  int theirs() const { return fds_[1]; }

 private:
  SocketPair() = default;
  int fds_[2] = {-1, -1};
};

}  // namespace

struct NbdDevice::Offer {
  Connections connections;
  std::vector<SocketPair> pairs;
  std::vector<int> theirs() const {
    std::vector<int> fds;
    for (const SocketPair& pair : pairs) fds.push_back(pair.theirs());
    return fds;
  }
};

NbdDevice::NbdDevice(asio::any_io_executor executor, std::unique_ptr<NbdKernel> kernel,
                     NbdDeviceOptions options)
    : DeviceFrontend(std::move(executor), options.departure, options.log),
      kernel_(std::move(kernel)),
      options_(std::move(options)),
      limits_(options_.connection),
      reattach_timer_(this->executor()) {
  limits_.client_repeats = true;
}

NbdDevice::~NbdDevice() { HAST_ASSERT(connections_.empty()); }

// Into service ------------------------------------------------------------------------------------

Result<void> NbdDevice::attach() {
  HAST_ASSERT(connections_.empty());
  gone_ = false;
  fruitless_ = 0;
  ++serial_;
  for (const Device& device : kernel_->find(backend())) {
    Result<bool> taken = take_over(device);
    if (!taken) return std::move(taken).error();
    if (*taken) return {};
  }
  return create();
}

Result<void> NbdDevice::create() {
  Result<Offer> offer = make_offer(options_.connections);
  if (!offer) return std::move(offer).error();
  DeviceSpec spec;
  spec.backend = backend();
  spec.index = options_.index;
  spec.volume = sink()->volume();
  spec.flags = nbd::transmission_flags(nbd::ReplyStyle::simple);
  spec.dead_timeout_s = options_.dead_timeout_s;
  if (options_.connections == 1) spec.repeat_after_ms = kRepeatAfterMs;
  const Result<Connected> made = kernel_->connect(spec, offer->theirs());
  if (!made && made.error().os_error == EBUSY && options_.index)
    return failure(made.error(), fmt::format("/dev/nbd{} is somebody else's; name another device, "
                                             "or none for any that is free",
                                             *options_.index));
  if (!made) return failure(made.error(), "cannot be made");
  if (spec.repeat_after_ms > 0 && !made->repeats_soon)
    log().info(
        "/sys/block/nbd{}/queue/io_timeout could not be set: what is under way on {} when hastd is "
        "killed goes on only after 30 s.",
        made->index, location());
  return finish_attaching(made->index, std::move(offer).value());
}

/// It is ours if it fits: the component is locked, so no other hastd serves this resource. False if
/// it is being removed.
Result<bool> NbdDevice::take_over(const Device& device) {
  const port::VolumeInfo volume = sink()->volume();
  Result<Offer> offer = make_offer(device.connections);
  if (!offer) return std::move(offer).error();
  const bool fits = device.volume.sector_bytes == volume.sector_bytes &&
                    device.volume.size_bytes <= volume.size_bytes;
  // Without sockets nothing is changed: is it there?
  const Result<void> there = kernel_->reconnect(device.index, backend(), {});
  if (!there && (there.error().os_error == EINVAL || there.error().os_error == ENODEV))
    return false;
  if (there && !fits) return misfit(device);
  Result<void> taken = there ? kernel_->reconnect(device.index, backend(), offer->theirs()) : there;
  if (!taken) return failure(taken.error(), "cannot be taken over");
  if (Result<void> finished = finish_attaching(device.index, std::move(offer).value()); !finished)
    return std::move(finished).error();
  log().info("Took over {} (/dev/nbd{}), which was waiting for a hastd.", location(), device.index);
  if (device.volume.size_bytes < volume.size_bytes)
    log().warning(
        "{} keeps its {} bytes while it is in use, although the volume has {}. It grows with the "
        "next promotion that finds no device waiting.",
        location(), device.volume.size_bytes, volume.size_bytes);
  return true;
}

Result<void> NbdDevice::finish_attaching(std::uint32_t index, Offer offer) {
  index_ = index;
  wanted_ = offer.connections.size();
  if (Result<void> linked = kernel_->link(options_.name, index); !linked) {
    offer = Offer{};  // the kernel must not wait for us when it says goodbye
    remove(index);
    return linked;
  }
  log().debug("{} is /dev/nbd{}.", location(), index);
  accept(std::move(offer));
  return {};
}

Error NbdDevice::misfit(const Device& device) const {
  const port::VolumeInfo volume = sink()->volume();
  return {
      Errc::unsupported, 0,
      fmt::format("{} waits as /dev/nbd{} with {} bytes in sectors of {}, the volume has {} in "
                  "sectors of {}; once nobody uses it, remove it (nbd-client -d /dev/nbd{}) "
                  "and set the role again",
                  location(), device.index, device.volume.size_bytes, device.volume.sector_bytes,
                  volume.size_bytes, volume.sector_bytes, device.index)};
}

Error NbdDevice::failure(const Error& error, std::string_view what) const {
  std::string detail = fmt::format("{} {}", location(), what);
  if (error.os_error == EPERM) detail += ": hastd needs the capability CAP_SYS_ADMIN for it";
  return {error.code, error.os_error, std::move(detail)};
}

Result<NbdDevice::Offer> NbdDevice::make_offer(std::size_t count) {
  Offer offer;
  for (std::size_t i = 0; i < count; ++i) {
    Result<SocketPair> pair = SocketPair::open();
    if (!pair) return std::move(pair).error();
    nbd::Connection::Socket socket(executor());
    boost::system::error_code error;
    socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), pair->release_ours(), error);
    if (error) return Error{Errc::io_failed, error.value(), "a socket of an NBD device"};
    offer.connections.push_back(std::make_unique<nbd::Connection>(
        std::move(socket), location(), static_cast<nbd::Connection::Owner&>(*this)));
    offer.pairs.push_back(std::move(pair).value());
  }
  return offer;
}

/// The kernel has its ends now: ours of them are closed with `offer`.
void NbdDevice::accept(Offer offer) {
  for (std::unique_ptr<nbd::Connection>& connection : offer.connections) {
    connection->start_transmission(service());
    connections_.push_back(std::move(connection));
  }
}

// At work -----------------------------------------------------------------------------------------

nbd::Connection::Service NbdDevice::service() const {
  nbd::Connection::Service service;
  service.sink = sink();
  service.serial = serial_;
  return service;
}

void NbdDevice::report(LogLevel level, const nbd::Connection& connection, std::string_view text) {
  if (level == LogLevel::warning || level == LogLevel::error)
    return log().warning("A connection of {} {}.", connection.name(), text);
  log().debug("A connection of {} {}.", connection.name(), text);
}

void NbdDevice::ended(nbd::Connection& connection) {
  // The kernel sees a connection that broke and reads again, with the same result.
  if (connection.is_broken()) limits_.transmission.careful = true;
  connections_.remove_if([&](const auto& owned) { return owned.get() == &connection; });
  if (withdrawing()) return check_withdrawn();
  log().debug("{} has lost a connection.", location());
  reattach_later();
}

/// Also right after a takeover: the kernel may not have noticed the end of the former hastd yet.
void NbdDevice::reattach_later() {
  if (gone_ || std::exchange(reattaching_, true)) return;
  reattach_timer_.expires_after(options_.reattach_interval);
  reattach_timer_.async_wait([this](const boost::system::error_code&) {
    reattaching_ = false;
    if (withdrawing() || sink() == nullptr) return check_withdrawn();
    reattach();
  });
}

void NbdDevice::reattach() {
  const auto now = std::chrono::steady_clock::now();
  if (now - last_attempt_ > kQuietTime) fruitless_ = 0;
  last_attempt_ = now;
  if (++fruitless_ == kWorryingAttempts)
    log().error(
        "{} (/dev/nbd{}) takes no connections. If another process serves it, stop that one; else "
        "set the role to init and to primary again.",
        location(), *index_);
  Result<Offer> offer = make_offer(wanted_ - std::min(wanted_, connections_.size()));
  Result<void> taken =
      offer ? kernel_->reconnect(*index_, backend(), offer->theirs()) : Result<void>(offer.error());
  if (taken) return accept(std::move(offer).value());
  gone_ = taken.error().os_error == EINVAL || taken.error().os_error == ENODEV;
  if (gone_)
    return log().error(
        "{} (/dev/nbd{}) was removed by somebody else: its clients get errors. To bring it back, "
        "set the role to init and to primary again.",
        location(), *index_);
  log().warning("{} cannot be given a new connection: {} Trying again.", location(),
                taken.error().message());
  reattach_later();
}

// Out of service ----------------------------------------------------------------------------------

void NbdDevice::let_go() {
  ++serial_;
  for (const auto& connection : connections_)
    device_stays() ? connection->depart() : connection->withdraw();
  reattach_timer_.cancel();
}

/// The connections are closed: the kernel does not wait for them when the device is removed.
void NbdDevice::end_service() {
  if (device_stays())
    log().info("{} stays; its requests wait for the next hastd.", location());
  else
    remove_devices();
  index_.reset();
}

void NbdDevice::remove_devices() {
  for (const Device& device : kernel_->find(backend())) remove(device.index);
}

void NbdDevice::remove(std::uint32_t index) {
  kernel_->unlink(options_.name, index);
  const Result<void> removed = kernel_->disconnect(index);
  if (removed) return log().debug("{} was removed.", location());
  const int error = removed.error().os_error;
  if (error == EINVAL || error == ENODEV) return;  // being removed already
  log().error(
      "{} (/dev/nbd{}) cannot be removed: {} Its clients wait until it is; to remove it: "
      "nbd-client -d /dev/nbd{}",
      location(), index, removed.error().message(), index);
}

Result<std::unique_ptr<port::Frontend>> open_nbd_device(asio::any_io_executor executor,
                                                        NbdDeviceOptions options) {
  Result<std::unique_ptr<NbdKernel>> kernel = nbd_kernel();
  if (!kernel) return std::move(kernel).error();
  return std::unique_ptr<port::Frontend>(std::make_unique<NbdDevice>(
      std::move(executor), std::move(kernel).value(), std::move(options)));
}

}  // namespace hast::adapter::nbd_device
