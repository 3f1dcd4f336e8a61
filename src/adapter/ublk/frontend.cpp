#include "hast/adapter/ublk/frontend.hpp"

#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "hast/adapter/split.hpp"
#include "hast/base/units.hpp"

namespace hast::adapter::ublk {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kWorryingRetries = 100;

/// What a device of that name is known by: FNV-1a, 64 bits of which nobody else chose the same.
std::uint64_t identity_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const std::string_view part : {std::string_view("hast/"), name}) {
    for (const char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  return hash;
}

}  // namespace

UblkFrontend::UblkFrontend(asio::any_io_executor executor, std::unique_ptr<UblkKernel> kernel,
                           UblkOptions options)
    : DeviceFrontend(std::move(executor), options.departure, options.log),
      kernel_(std::move(kernel)),
      options_(std::move(options)),
      identity_(identity_of(options_.name)),
      retry_timer_(this->executor()) {
  for (InSink& one : in_sink_) one.frontend = this;
}

UblkFrontend::~UblkFrontend() = default;

// Into service ------------------------------------------------------------------------------------

Result<void> UblkFrontend::attach() {
  settled_ = false;
  volume_ = sink()->volume();
  slots_.emplace(*sink(), [this] { slot_freed(); });
  Result<void> attached = attach_device();
  if (!attached) {
    slots_.reset();
    state_ = State::none;
  }
  return attached;
}

Result<void> UblkFrontend::attach_device() {
  for (const Device& device : kernel_->find(identity_)) {
    if (device.has_disk) return take_over(device);
    remove(device.index);  // half-made
  }
  return create();
}

Result<void> UblkFrontend::create() {
  const Result<std::uint32_t> index = kernel_->add(identity_, volume_);
  if (!index) return failure(index.error(), "cannot be made");
  index_ = *index;
  Result<void> served = serve_device(false);
  if (!served) {
    remove(index_);
    return failure(served.error(), "cannot be made");
  }
  return {};
}

/// It is ours if it fits: the component is locked, so no other hastd serves this resource.
Result<void> UblkFrontend::take_over(const Device& device) {
  if (device.volume.sector_bytes != volume_.sector_bytes ||
      device.volume.size_bytes > volume_.size_bytes)
    return misfit(device);
  index_ = device.index;
  if (device.volume.size_bytes < volume_.size_bytes)
    log().warning(
        "{} keeps its {} bytes while it is in use, although the volume has {}. It grows with the "
        "next promotion that finds no device waiting.",
        location(), device.volume.size_bytes, volume_.size_bytes);
  retries_ = 0;
  Result<void> served = serve_device(true);
  if (served || served.error().os_error != EBUSY)
    return served ? Result<void>{} : failure(served.error(), "cannot be taken over");
  state_ = State::waiting;
  retry_later();
  return {};
}

Result<void> UblkFrontend::serve_device(bool again) {
  Result<void> served = kernel_->serve(index_, again, static_cast<UblkKernel::Owner&>(*this));
  if (served) state_ = State::serving;
  taken_over_ = again;
  return served;
}

void UblkFrontend::retry_later() {
  retrying_ = true;
  retry_timer_.expires_after(options_.retry_interval);
  retry_timer_.async_wait([this](const boost::system::error_code&) {
    retrying_ = false;
    if (withdrawing()) return check_withdrawn();
    retry();
  });
}

void UblkFrontend::retry() {
  const Result<void> served = serve_device(true);
  if (served) return;
  if (served.error().os_error != EBUSY) {
    log().error(
        "{} (/dev/ublkb{}) cannot be taken over: {} Set the role to init and to "
        "primary again.",
        location(), index_, served.error().message());
    state_ = State::gone;
    return settle();
  }
  if (++retries_ == kWorryingRetries)
    log().error("{} (/dev/ublkb{}) has another server. If that is another process, stop it.",
                location(), index_);
  retry_later();
}

Error UblkFrontend::misfit(const Device& device) const {
  return {Errc::unsupported, 0,
          fmt::format("{} waits as /dev/ublkb{} with {} bytes in sectors of {}, the volume has {} "
                      "in sectors of {}; once nobody uses it, set the role to secondary or init, "
                      "which removes it, and then this one again",
                      location(), device.index, device.volume.size_bytes,
                      device.volume.sector_bytes, volume_.size_bytes, volume_.sector_bytes)};
}

Error UblkFrontend::failure(const Error& error, std::string_view what) const {
  std::string detail = fmt::format("{} {}", location(), what);
  if (error.os_error == EPERM || error.os_error == EACCES)
    detail += ": hastd needs the capability CAP_SYS_ADMIN for it";
  return {error.code, error.os_error, std::move(detail)};
}

void UblkFrontend::when_open(std::function<void()> done) {
  if (settled_) return done();
  opened_.push_back(std::move(done));
}

void UblkFrontend::settle() {
  settled_ = true;
  for (const Done& done : std::exchange(opened_, {})) done();
}

void UblkFrontend::started(int error) {
  if (withdrawing()) return;
  if (error != 0) {
    log().error(
        "{} (/dev/ublkb{}) does not start: {}. Set the role to init and to primary "
        "again.",
        location(), index_, errno_text(error));
    return settle();
  }
  const Result<void> linked = kernel_->link(options_.name, index_);
  if (!linked) log().error("{} It is /dev/ublkb{} all the same.", linked.error().message(), index_);
  if (taken_over_)
    log().info("Took over {} (/dev/ublkb{}), which was waiting for a hastd.", location(), index_);
  else
    log().debug("{} is /dev/ublkb{}.", location(), index_);
  settle();
}

// At work -----------------------------------------------------------------------------------------

/// Nothing the kernel may ask is taken on trust (INV-9). It was told not to cross a block.
int UblkFrontend::check(const Request& request) const {
  if (!request.kind) return EOPNOTSUPP;
  if (request.kind == IoKind::flush) return 0;
  const std::uint64_t length = request.length_bytes;
  const bool fits = request.kind == IoKind::discard
                        ? length <= port::kMaxDiscardBytes
                        : piece_bytes(*request.kind, request.offset_bytes, length) == length;
  const bool valid =
      length > 0 && fits && range_within(request.offset_bytes, length, volume_.size_bytes) &&
      request.offset_bytes % volume_.sector_bytes == 0 && length % volume_.sector_bytes == 0;
  return valid ? 0 : EINVAL;
}

void UblkFrontend::arrived(const Request& request) {
  if (withdrawing()) {
    if (!device_stays()) kernel_->finish(request, EIO);
    return;
  }
  if (const int error = check(request)) return kernel_->finish(request, error);
  waiting_.push_back(request);
  submit_waiting();
}

void UblkFrontend::submit_waiting() {
  while (!waiting_.empty()) {
    port::IoRequest* slot = slots_->take();
    if (slot == nullptr) return;
    const Request request = waiting_.front();
    waiting_.pop_front();
    submit(request, *slot);
  }
  slots_->rest();
}

void UblkFrontend::submit(const Request& request, port::IoRequest& slot) {
  slot.kind = *request.kind;
  slot.fua = request.fua && slot.kind == IoKind::write;
  slot.offset_bytes = slot.kind == IoKind::flush ? 0 : request.offset_bytes;
  slot.length_bytes = slot.kind == IoKind::flush ? 0 : request.length_bytes;
  slot.error = 0;
  if (slot.kind == IoKind::write) {
    if (const int error = kernel_->load(request, ByteSpan(slot.buffer, slot.length_bytes))) {
      sink()->release(slot);
      return kernel_->finish(request, error);
    }
  }
  InSink& place = in_sink_.at(request.tag);
  place.request = request;
  slot.owner = &place;
  slot.completed = &UblkFrontend::completed;
  ++in_sink_count_;
  sink()->submit(slot);
}

void UblkFrontend::completed(port::IoRequest& slot) {
  const InSink& place = *static_cast<InSink*>(slot.owner);
  place.frontend->done(place.request, slot);
}

void UblkFrontend::done(const Request& request, port::IoRequest& slot) {
  int error = slot.error;
  if (error == 0 && slot.kind == IoKind::read)
    error = kernel_->store(request, ConstByteSpan(slot.buffer, slot.length_bytes));
  sink()->release(slot);
  --in_sink_count_;
  // What was not done well now may be by the next hastd.
  if (!(device_stays() && error != 0)) kernel_->finish(request, error);
  check_withdrawn();
}

void UblkFrontend::slot_freed() {
  if (std::exchange(progress_posted_, true)) return;
  asio::post(executor(), [this] {
    progress_posted_ = false;
    if (!withdrawing() && slots_) submit_waiting();
  });
}

void UblkFrontend::lost() {
  state_ = State::gone;
  settle();
  if (withdrawing()) return check_withdrawn();
  log().error(
      "{} (/dev/ublkb{}) was removed by somebody else: its clients get errors. To bring it back, "
      "set the role to init and to primary again.",
      location(), index_);
}

// Out of service ----------------------------------------------------------------------------------

void UblkFrontend::let_go() {
  settle();
  retry_timer_.cancel();
  slots_->stop();
  for (const Request& request : std::exchange(waiting_, {})) {
    if (!device_stays()) kernel_->finish(request, EIO);
  }
  if (state_ != State::serving || device_stays()) return;
  state_ = State::stopping;
  kernel_->unlink(options_.name, index_);
  kernel_->stop();
}

void UblkFrontend::stopped(int error) {
  state_ = State::gone;
  if (error != 0)
    log().error("{} (/dev/ublkb{}) cannot be stopped: {}.", location(), index_, errno_text(error));
  check_withdrawn();
}

bool UblkFrontend::has_let_go() const {
  return !retrying_ && in_sink_count_ == 0 && state_ != State::stopping;
}

void UblkFrontend::end_service() {
  kernel_->detach();
  if (device_stays())
    log().info("{} stays; its requests wait for the next hastd.", location());
  else
    remove_devices();
  slots_.reset();
  state_ = State::none;
}

void UblkFrontend::remove_devices() {
  for (const Device& device : kernel_->find(identity_)) remove(device.index);
}

void UblkFrontend::remove(std::uint32_t index) {
  kernel_->unlink(options_.name, index);
  const Result<void> removed = kernel_->remove(index);
  if (removed) return log().debug("{} was removed.", location());
  const int error = removed.error().os_error;
  if (error == ENODEV || error == EINVAL) return;  // being removed already
  log().error("{} (/dev/ublkb{}) cannot be removed: {} Its clients wait until it is.", location(),
              index, removed.error().message());
}

Result<std::unique_ptr<port::Frontend>> open_ublk(asio::any_io_executor executor,
                                                  UblkOptions options) {
  Result<std::unique_ptr<UblkKernel>> kernel = ublk_kernel(executor);
  if (!kernel) return std::move(kernel).error();
  return std::unique_ptr<port::Frontend>(std::make_unique<UblkFrontend>(
      std::move(executor), std::move(kernel).value(), std::move(options)));
}

}  // namespace hast::adapter::ublk
