#include "hast/adapter/ggate/frontend.hpp"

#include <boost/asio/post.hpp>
#include <cerrno>
#include <memory>
#include <utility>

#include "../aside.hpp"
#include "owed_looks.hpp"

namespace hast::adapter::ggate {

namespace asio = boost::asio;

GgateFrontend::GgateFrontend(asio::any_io_executor executor, std::unique_ptr<GateDevice> device,
                             GgateOptions options)
    : DeviceFrontend(std::move(executor), options.departure, options.log),
      device_(std::move(device)),
      options_(std::move(options)),
      look_timer_(this->executor()) {}

GgateFrontend::~GgateFrontend() { HAST_ASSERT(!pump_ && aside_ == 0 && !looking_ && !owed_); }

// Into service ------------------------------------------------------------------------------------

void GgateFrontend::prepare(std::function<void()> done) {
  call_aside([this] { return device_->remove_unseen(); },
             [this, done = std::move(done)](int error) {
               if (error != 0 && error != ENXIO) removed(error);
               if (!device_->has_node()) return done();
               settle_looks(done);
             });
}

/// One that clients may have open is served again, but only once there is a component.
void GgateFrontend::settle_looks(std::function<void()> done) {
  owed_ = std::make_unique<OwedLooks>(executor(), *device_, options_.limits, options_.look_patience,
                                      log());
  owed_->settle([this, done = std::move(done)] {
    owed_.reset();
    done();
    check_withdrawn();
  });
}

Result<void> GgateFrontend::attach() {
  HAST_ASSERT(!pump_ && aside_ == 0);
  if (Result<void> made = make_device(sink()->volume()); !made) return made;
  reported_error_ = 0;
  reads_directly_ = false;
  pump_.emplace(*sink(), static_cast<Pump::Owner&>(*this));
  intake_.emplace(executor(), *device_, options_.limits, static_cast<Intake::Owner&>(*this));
  Result<void> started = intake_->start();
  if (!started) {
    pump_.reset();
    intake_.reset();
    removed(device_->destroy());  // there are no threads to do it aside
    return started;
  }
  if (misses_size_) resize_device(sink()->volume().size_bytes);
  return {};
}

Result<void> GgateFrontend::make_device(const port::VolumeInfo& volume) {
  misses_size_ = false;
  const int error = device_->create(volume);
  if (error == EEXIST) return take_over(volume);
  if (error != 0) return failure(error, "cannot be created");
  return {};
}

/// It is ours if it fits: the component is locked, so no other hastd serves this resource. Its
/// requests come again, also those that were half done: writing them twice is no harm.
Result<void> GgateFrontend::take_over(const port::VolumeInfo& volume) {
  const Result<port::VolumeInfo> found = device_->existing();
  if (!found && found.error().os_error != ENOENT) return found.error();
  if (found &&
      (found->sector_bytes != volume.sector_bytes || found->size_bytes > volume.size_bytes))
    return misfit(*found, volume);
  if (const int error = device_->adopt()) return failure(error, "cannot be taken over");
  // INV-6: whoever left it may have let the kernel read by itself.
  if (const int error = device_->read_through())
    return failure(error, "goes on reading from a component by itself");
  // Without a node nobody knows its size: it was left before anyone could have opened it.
  misses_size_ = !found || found->size_bytes != volume.size_bytes;
  log().info("Took over {}, which was waiting for a hastd.", location());
  return {};
}

Error GgateFrontend::misfit(const port::VolumeInfo& found, const port::VolumeInfo& volume) const {
  return {Errc::unsupported, 0,
          fmt::format("{} exists with {} bytes in sectors of {}, the volume has {} in sectors of "
                      "{}; once nobody uses it, remove it (geom gate list tells its unit, "
                      "ggatel destroy -f -u UNIT) and set the role again",
                      location(), found.size_bytes, found.sector_bytes, volume.size_bytes,
                      volume.sector_bytes)};
}

Error GgateFrontend::failure(int error, const char* what) const {
  return {Errc::io_failed, error, location() + " " + what};
}

// At work -----------------------------------------------------------------------------------------

void GgateFrontend::concluded(Exchange& exchange) {
  answer(exchange);
  intake_->recycle(exchange);
  check_withdrawn();
}

void GgateFrontend::answer(Exchange& exchange) {
  if (withdrawing()) {
    if (!device_stays()) return;  // the kernel has failed it
    // Not done, or not done well: the next hastd gets it again.
    if (exchange.abandoned || exchange.error != 0) return;
  }
  // EAGAIN would hand the request out again at once, and for ever.
  const int error = exchange.error == EAGAIN ? EIO : exchange.error;
  const int failed = device_->finish(exchange.request.sequence, error, exchange.data());
  if (failed != 0 && failed != ENOENT && failed != ENXIO) intake_failed(failed, 0);
}

void GgateFrontend::progress_due() {
  if (std::exchange(progress_posted_, true)) return;
  asio::post(executor(), [this] {
    progress_posted_ = false;
    if (pump_) pump_->progress();
  });
}

void GgateFrontend::intake_failed(int error, std::uint64_t length_bytes) {
  if (withdrawing() || std::exchange(reported_error_, error) == error) return;
  if (error == ENXIO)
    return log().error(
        "{} was removed by somebody else: its clients get errors. To bring it back, set the role "
        "to init and to primary again.",
        location());
  if (error == ENOMEM)
    return log().error(
        "{}: a request of {} bytes waits for memory and holds up those after it; hast takes at "
        "most {} at once. Trying again.",
        location(), length_bytes, kMaxRequestBytes);
  log().error("{}: the kernel refuses to hand over requests: {}. Trying again.", location(),
              errno_text(error));
}

void GgateFrontend::read_from(const std::optional<port::LocalCopy>& copy) {
  if (!pump_ || withdrawing() || !options_.direct_reads) return;
  if (!copy) return end_direct_reads();
  const int error = device_->read_from(*copy, sink()->volume());
  reads_directly_ = error == 0;
  if (error == 0)
    log().info("Reads of {} go straight to {}.", location(), copy->path);
  else if (error != ENXIO)
    log().info("Reads of {} come through hastd: the kernel cannot read {} by itself ({}).",
               location(), copy->path, errno_text(error));
}

/// INV-6: nothing that only the peer has is answered before this has returned.
void GgateFrontend::end_direct_reads() {
  if (!std::exchange(reads_directly_, false)) return;
  const int error = device_->read_through();
  if (error == 0) return log().info("Reads of {} come through hastd from now on.", location());
  if (error == ENXIO) return;
  log().error(
      "{} goes on reading from a component that is not current any more: {}. It is removed, its "
      "clients get errors. To bring it back, set `direct_reads: false` in its front-end, and the "
      "role to init and to primary again.",
      location(), errno_text(error));
  reported_error_ = ENXIO;  // what the intake will find
  removed(device_->destroy());
}

Result<void> GgateFrontend::volume_resized() {
  if (!pump_ || withdrawing()) return Error{Errc::wrong_role, 0, location() + " is not served"};
  const port::VolumeInfo volume = sink()->volume();
  pump_->set_volume(volume);
  resize_device(volume.size_bytes);
  return {};
}

/// The kernel looks anew at a device that has another size, and waits for our answers.
void GgateFrontend::resize_device(std::uint64_t size_bytes) {
  call_aside([this, size_bytes] { return device_->resize(size_bytes); },
             [this](int error) {
               if (error == 0 || withdrawing()) return;
               log().error("{} cannot be resized to the volume: {}.", location(),
                           errno_text(error));
             });
}

void GgateFrontend::call_aside(std::function<int()> call, std::function<void(int)> ended) {
  ++aside_;
  const auto error = std::make_shared<int>(0);
  aside(
      executor(), [error, call = std::move(call)] { *error = call(); },
      [this, error, ended = std::move(ended)] {
        --aside_;
        ended(*error);
        check_withdrawn();
      });
}

// Being found -------------------------------------------------------------------------------------

void GgateFrontend::when_open(std::function<void()> done) {
  opened_.push_back(std::move(done));
  if (!looking_) look_for_node();
}

/// It appears once those who look at new devices were answered.
void GgateFrontend::look_for_node() {
  if (!pump_ || withdrawing() || device_->has_node()) {
    for (const std::function<void()>& opened : std::exchange(opened_, {})) opened();
    return check_withdrawn();
  }
  looking_ = true;
  look_timer_.expires_after(options_.look_interval);
  look_timer_.async_wait([this](const boost::system::error_code&) {
    looking_ = false;
    look_for_node();
  });
}

// Out of service ----------------------------------------------------------------------------------

void GgateFrontend::let_go() {
  end_direct_reads();  // nobody vouches for the component until a hastd is there again
  intake_->end();
  if (!device_stays()) remove_devices();
  pump_->stop();
  look_timer_.cancel();
}

/// The kernel comes back from it when it has looked at all new devices: another one of ours may be
/// among them, and has to be served meanwhile.
void GgateFrontend::remove_devices() {
  call_aside([this] { return device_->destroy(); }, [this](int error) { removed(error); });
}

void GgateFrontend::removed(int error) {
  if (error == 0) return log().debug("{} was removed.", location());
  if (error == ENXIO) return;
  log().error(
      "{} cannot be removed: {}. Its clients wait until it is: geom gate list tells its unit, "
      "ggatel destroy -f -u UNIT removes it.",
      location(), errno_text(error));
}

bool GgateFrontend::has_let_go() const {
  return aside_ == 0 && !looking_ && !owed_ &&
         (!pump_ || (intake_->has_ended() && pump_->is_idle()));
}

void GgateFrontend::end_service() {
  if (device_stays()) {
    if (const int error = device_->adopt())
      log().error("{} cannot be left for the next hastd: {}.", location(), errno_text(error));
    else
      log().info("{} stays; its requests wait for the next hastd.", location());
  }
  pump_.reset();
  intake_.reset();
}

}  // namespace hast::adapter::ggate
