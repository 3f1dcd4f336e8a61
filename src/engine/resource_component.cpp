// The local component of a resource outside the data path: opening it, taking it back after it was
// given up, and giving up what only it holds after a split-brain.
#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "hast/base/units.hpp"
#include "hast/core/buffer.hpp"
#include "hast/engine/component_loader.hpp"
#include "hast/engine/disk_wait.hpp"
#include "hast/engine/repeat_filter.hpp"
#include "hast/engine/resource.hpp"
#include "hast/engine/until_told.hpp"
#include "hast/port/wakeup.hpp"
#include "hast/wire/compression.hpp"

namespace hast::engine {

namespace {

using namespace std::chrono_literals;

constexpr port::Duration kPause = 10ms;
/// How long an operator waits for requests that hang in a disk, or for a disk to store what it
/// lacks.
constexpr port::Duration kAttachTime = 20s;
/// The kernel may close what a killed process had open a moment after its end.
constexpr port::Duration kReleaseTime = 2s;
/// Until it is said that a component does not open.
constexpr port::Duration kOpenTime = 5s;
constexpr std::uint64_t kCopyBytes = kMiB;
/// How long a primary may take to hear of the error, and between two attempts to open it again.
constexpr port::Duration kParting = 1s;
constexpr port::Duration kReopenPause = 5s;

}  // namespace

Awaitable<void> Resource::wait_until(std::function<bool()> reached, port::Duration limit) {
  const std::unique_ptr<port::Timer> timer = ports_.clock.make_timer(executor_);
  const port::TimePoint end = ports_.clock.now() + limit;
  while (!reached() && ports_.clock.now() < end) co_await timer->wait_for(kPause);
}

Awaitable<Result<std::unique_ptr<LocalDisk>>> Resource::open_disk() {
  std::optional<Result<std::unique_ptr<port::Disk>>> disk;
  port::Wakeup ended;
  const std::unique_ptr<port::Timer> patience = ports_.clock.make_timer(executor_);
  ports_.disks.open(settings_.local, [&](Result<std::unique_ptr<port::Disk>> opened) {
    disk.emplace(std::move(opened));
    patience->cancel();
    ended.notify();
  });
  if (!disk) (void)co_await patience->wait_for(kOpenTime);
  if (!disk)
    log_.warning(
        "{} is still not open. The system may be waiting for a disk that does not answer, or for a "
        "device that a hastd left when it died.",
        settings_.local);
  while (!disk) co_await ended.wait();
  if (!*disk) co_return std::move(*disk).error();
  co_return std::make_unique<LocalDisk>(std::move(*disk).value(), turn_end_,
                                        [this](int error) { flush_failed(error); });
}

/// When it returns, others may open the component.
Awaitable<void> Resource::close_disk() {
  disk_.reset();
  co_await disks_closed();
}

Awaitable<void> Resource::disks_closed() {
  co_await until_told(
      [this](std::function<void()> closed) { ports_.disks.when_closed(std::move(closed)); });
}

Awaitable<Result<core::Component>> Resource::open_component() {
  const std::unique_ptr<port::Timer> timer = ports_.clock.make_timer(executor_);
  const port::TimePoint end = ports_.clock.now() + kReleaseTime;
  Result<std::unique_ptr<LocalDisk>> disk = co_await open_disk();
  while (!disk && disk.error().code == Errc::component_busy && ports_.clock.now() < end) {
    co_await timer->wait_for(kPause);
    disk = co_await open_disk();
  }
  if (!disk) co_return std::move(disk).error();
  disk_ = std::move(disk).value();
  Result<core::Component> component =
      co_await load_component(disk_.get(), settings_.name, settings_.local, log_);
  if (component) component->doubtful = std::exchange(doubtful_, false);
  co_return component;
}

/// After a flush that failed what was written before may be as lost as after a loss of power: the
/// primary is told of another start (INV-12).
Ports Resource::ports_of_session() const {
  constexpr unsigned kAboveEveryBoot = 48;  // bits
  Ports ports = ports_;
  if (ports.boot != 0) ports.boot += flushes_failed_ << kAboveEveryBoot;
  return ports;
}

/// After a flush that failed the disk fails each one until it is opened again, and what it lost
/// nobody knows: the secondary begins anew, as after a crash. Its role stays.
Awaitable<void> Resource::renew_secondary() {
  co_await wait_until([this] { return !session_ || !session_->connected(); }, kParting);
  co_await role_turn_.take();
  core::RecentWrites recent;
  renewal_trouble_ = "it is being opened again";
  if (secondary_) {
    recent = secondary_->recent_writes();
    co_await leave_secondary();
    co_await close_disk();
  }
  RepeatFilter complaints;
  while (role_ == Role::secondary && !secondary_) {
    Result<void> entered = co_await enter_secondary(recent);
    if (entered) {
      log_.info("The local component was opened again after its failure.");
      break;
    }
    co_await close_disk();
    renewal_trouble_ = entered.error().message();
    if (complaints.passes(renewal_trouble_, ports_.clock.now()))
      log_.error(
          "The local component failed and cannot be opened again: {} Tried every {} seconds.",
          renewal_trouble_, kReopenPause / 1s);
    role_turn_.done();
    co_await wait_until([this] { return role_ != Role::secondary || secondary_; }, kReopenPause);
    co_await role_turn_.take();
  }
  renewing_ = false;
  role_turn_.done();
}

// Attach ------------------------------------------------------------------------------------------

Awaitable<Result<Attached>> Resource::attach() {
  co_await role_turn_.take();
  Result<Attached> attached = co_await take_component_back();
  arriving_disk_.reset();
  if (!attached) log_.error("Not attached: {}", attached.error().message());
  role_turn_.done();
  co_return attached;
}

Awaitable<Result<Attached>> Resource::take_component_back() {
  if (!primary_)
    co_return Error{Errc::wrong_role, 0,
                    fmt::format("{} is {} here; only a primary gives its component up",
                                settings_.name, to_string(role_))};
  if (!primary_->local_lost()) co_return Attached{};
  const Error busy{Errc::component_busy, 0, "requests to the failed disk have not ended yet"};
  co_await wait_until([this] { return primary_->component_idle(); }, kAttachTime);
  if (!primary_->component_idle()) co_return busy;

  disk_->close();  // it may be the very same device, which only one may have open
  co_await disks_closed();
  Result<std::unique_ptr<LocalDisk>> opened = co_await open_disk();
  if (!opened) co_return std::move(opened).error();
  arriving_disk_ = std::move(opened).value();
  Result<core::Component> component =
      co_await load_component(arriving_disk_.get(), settings_.name, settings_.local, log_);
  if (!component) co_return std::move(component).error();

  // Meanwhile the core may have tried to write to what is closed.
  co_await wait_until([this] { return primary_->component_idle(); }, kAttachTime);
  if (!primary_->component_idle()) co_return busy;
  disk_->replace_with(*arriving_disk_);
  component->disk = disk_.get();
  Result<void> accepted = primary_->attach(*component);
  if (!accepted) {
    disk_->close();
    co_return Error{accepted.error().code, 0, settings_.local};
  }
  co_await wait_until([this] { return !primary_->attaching(); }, kAttachTime);
  if (primary_->local_lost())
    co_return Error{Errc::io_failed, 0, settings_.local + ": what it lacks cannot be stored on it"};
  co_return Attached{true, primary_->status().stale_bytes};
}

// Split-brain -------------------------------------------------------------------------------------

Awaitable<Result<Discarded>> Resource::discard_own_changes(DiscardOrder order) {
  co_await role_turn_.take();
  Result<Discarded> discarded = co_await give_up_own_changes(std::move(order));
  role_turn_.done();
  co_return discarded;
}

Awaitable<Result<Discarded>> Resource::give_up_own_changes(DiscardOrder order) {
  if (!secondary_)
    co_return Error{Errc::wrong_role, 0,
                    fmt::format("{} is {} here; the node whose changes are given up is secondary",
                                settings_.name, to_string(role_))};
  const auto is_split = [this] { return session_->split_brain() && !session_->connected(); };
  if (!is_split()) co_return Errc::no_split_brain;
  const Bitmap extents = secondary_->own_changes();
  const ondisk::Layout& layout = secondary_->layout();
  const Discarded discarded{extents.count(),
                            std::min(extents.count() * layout.extent_bytes, layout.data_bytes)};
  if (order.doing == DiscardOrder::Doing::plan) co_return discarded;
  if (!order.backup.empty()) {
    Result<void> saved = co_await save_extents(extents, order.backup);
    if (!saved) co_return std::move(saved).error();
    log_.info("What only this node wrote is saved in {}.", order.backup);
  }
  if (!is_split()) co_return Errc::no_split_brain;
  secondary_->give_up_own_changes();
  log_.warning(
      "What only this node wrote since the nodes were equal is given up: {} in {} extents.",
      humanize_bytes(discarded.bytes), discarded.extents);
  co_return discarded;
}

/// At the same offsets in a sparse file of the volume's size.
Awaitable<Result<void>> Resource::save_extents(Bitmap extents, std::string path) {
  const ondisk::Layout layout = secondary_->layout();
  Result<std::unique_ptr<port::Disk>> created = ports_.disks.create_sparse(path, layout.data_bytes);
  if (!created) co_return std::move(created).error();
  arriving_disk_ = std::make_unique<LocalDisk>(std::move(created).value(), turn_end_, [](int) {});
  core::AlignedBuffer buffer(kCopyBytes);
  DiskWait wait;
  int error = 0;
  for (std::uint64_t e = extents.find_next(0); e != Bitmap::npos && error == 0;
       e = extents.find_next(e + 1)) {
    const std::uint64_t end =
        std::min<std::uint64_t>((e + 1) * layout.extent_bytes, layout.data_bytes);
    for (std::uint64_t at = e * layout.extent_bytes; at < end && error == 0; at += kCopyBytes) {
      const ByteSpan piece = buffer.span().first(std::min(kCopyBytes, end - at));
      error = co_await wait.read(disk_.get(), layout.data_offset + at, piece);
      if (error == 0 && !wire::is_all_zero(piece))
        error = co_await wait.write(arriving_disk_.get(), at, piece);
    }
  }
  if (error == 0) error = port::flush_result(co_await wait.flush(arriving_disk_.get()));
  arriving_disk_.reset();
  if (error == 0) co_return Result<void>{};
  ports_.disks.remove(path);
  co_return Error{Errc::io_failed, error, "saving what is given up to " + path};
}

}  // namespace hast::engine
