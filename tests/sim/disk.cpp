#include "disk.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>

namespace hast::sim {

namespace {

bool changes(IoKind kind) { return kind != IoKind::read && kind != IoKind::flush; }

bool concerns(const DiskFault& fault, IoKind kind, std::uint64_t offset_bytes,
              std::uint64_t length_bytes) {
  if (fault.times == 0 || (fault.kind && *fault.kind != kind)) return false;
  return kind == IoKind::flush ||
         (offset_bytes < fault.end && offset_bytes + length_bytes > fault.begin);
}

}  // namespace

bool Drive::is_readable(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
  const auto prevents = [&](const DiskFault& fault) {
    return concerns(fault, IoKind::read, offset_bytes, length_bytes);
  };
  return !held && std::none_of(faults.begin(), faults.end(), prevents) &&
         std::none_of(inabilities.begin(), inabilities.end(), prevents);
}

SimDisk::SimDisk(SimDiskOpener& opener, Drive& drive, SeededRandom random, std::string name)
    : opener_(opener),
      drive_(drive),
      world_(opener.world_),
      random_(random),
      name_(std::move(name)) {
  opener_.disks_.push_back(*this);
  drive_.opened = true;
}

SimDisk::~SimDisk() {
  HAST_ASSERT(pending_.empty());
  opener_.disks_.erase(*this);
  if (!cut_) drive_.opened = false;
}

port::DiskGeometry SimDisk::geometry() const {
  return {drive_.media.size_bytes(), drive_.media.sector_bytes()};
}

void SimDisk::submit(port::DiskOp& op) {
  HAST_ASSERT(op.completed != nullptr);
  HAST_ASSERT(op.kind == IoKind::flush || op.length_bytes > 0);
  HAST_ASSERT(range_within(op.offset_bytes, op.length_bytes, drive_.media.size_bytes()));
  HAST_ASSERT(op.offset_bytes % drive_.media.sector_bytes() == 0 &&
              op.length_bytes % drive_.media.sector_bytes() == 0);
  Pending pending;
  pending.op = &op;
  pending.flush_point = drive_.media.flush_point();
  if (cut_) return end(pending, EIO);
  ++drive_.operations;
  world_.trace.note(to_string(op.kind), name_, op.offset_bytes, op.length_bytes);
  pending_.push_back(pending);
  if (drive_.submitted) drive_.submitted(op);
}

void SimDisk::kick() {
  if (drive_.options.at_once) return complete_kicked();
  for (Pending& pending : pending_) {
    if (pending.kicked) continue;
    pending.kicked = pending.timed = true;
    port::DiskOp* op = pending.op;
    pending.key =
        world_.clock.after(random_.between(drive_.options.min_latency, drive_.options.max_latency),
                           [this, op] { complete(*op); });
  }
}

/// What was submitted before the kick; what completions submit waits for the next one. A completion
/// may end the process, and with it all the others; the last may destroy this object.
void SimDisk::complete_kicked() {
  std::size_t left = 0;
  for (Pending& pending : pending_) {
    if (!std::exchange(pending.kicked, true)) ++left;
  }
  for (; left > 0; --left) {
    const auto found = std::find_if(pending_.begin(), pending_.end(), [](const Pending& pending) {
      return pending.kicked && !pending.timed && !pending.due;
    });
    if (found == pending_.end()) return;
    complete(*found->op);
  }
}

void SimDisk::complete(port::DiskOp& op) {
  const auto found = std::find_if(pending_.begin(), pending_.end(),
                                  [&op](const Pending& pending) { return pending.op == &op; });
  HAST_ASSERT(found != pending_.end());
  if (drive_.held) {
    found->due = true;
    return;
  }
  const Pending done = *found;
  pending_.erase(found);
  op.error = execute(done);
  if (drive_.completed) drive_.completed(op);
  op.completed(op);
}

void SimDisk::release_held() {
  // One at a time: what a completion does may end others, or the process.
  for (;;) {
    const auto found = std::find_if(pending_.begin(), pending_.end(),
                                    [](const Pending& pending) { return pending.due; });
    if (found == pending_.end() || drive_.held) return;
    complete(*found->op);
  }
}

const DiskFault* SimDisk::fault_for(std::vector<DiskFault>& faults, const port::DiskOp& op) {
  for (DiskFault& fault : faults) {
    if (!concerns(fault, op.kind, op.offset_bytes, op.length_bytes)) continue;
    if (fault.skip > 0) {
      --fault.skip;
      continue;
    }
    if (fault.times != DiskFault::kForever) --fault.times;
    return &fault;
  }
  return nullptr;
}

int SimDisk::execute(const Pending& pending) {
  port::DiskOp& op = *pending.op;
  if (const DiskFault* inability = fault_for(drive_.inabilities, op)) return inability->error;
  if (port::is_promise(op) && flush_error_ != 0) return flush_error_;
  if (const DiskFault* fault = fault_for(drive_.faults, op)) {
    if (port::is_promise(op)) fail_flushes(pending, fault->error);
    const bool torn = drive_.options.torn_failures && changes(op.kind) && fault->error != ENOSPC;
    if (torn && random_.chance(50)) change_some_sectors(op);
    return fault->error;
  }
  switch (op.kind) {
    case IoKind::read:
      std::memcpy(op.data, drive_.media.newest(op.offset_bytes, op.length_bytes).data(),
                  op.length_bytes);
      break;
    case IoKind::write:
      if (op.durable)
        drive_.media.write_durably(op.offset_bytes, {op.data, op.length_bytes});
      else
        drive_.media.write(op.offset_bytes, {op.data, op.length_bytes});
      break;
    case IoKind::discard:
    case IoKind::write_zeroes:
      drive_.media.zero(op.offset_bytes, op.length_bytes);
      break;
    case IoKind::flush:
      drive_.media.flush(pending.flush_point);
      break;
  }
  return 0;
}

void SimDisk::fail_flushes(const Pending& pending, int error) {
  flush_error_ = port::flush_result(error);
  if (flush_error_ == 0 || !drive_.drops_unflushed) return;
  drive_.media.flush_failed(pending.flush_point, [this] { return random_.chance(70); });
}

/// The process dies: the drive may have done this operation, or some of its sectors, or nothing.
void SimDisk::leave_traces(const Pending& pending) {
  const port::DiskOp& op = *pending.op;
  const std::uint64_t outcome = random_.below(3);
  if (outcome == 0 || op.kind == IoKind::read) return;
  if (outcome == 1 || !changes(op.kind)) {
    if (op.durable && random_.chance(50))  // written, not yet durable
      drive_.media.write(op.offset_bytes, {op.data, op.length_bytes});
    else
      (void)execute(pending);
    return;
  }
  change_some_sectors(op);
}

void SimDisk::change_some_sectors(const port::DiskOp& op) {
  const std::uint32_t sector = drive_.media.sector_bytes();
  const std::vector<std::byte> zeros(sector);
  for (std::uint64_t at = 0; at < op.length_bytes; at += sector) {
    if (random_.chance(50)) continue;
    drive_.media.write(op.offset_bytes + at, op.kind == IoKind::write
                                                 ? ConstByteSpan(op.data + at, sector)
                                                 : ConstByteSpan(zeros));
  }
}

void SimDisk::end(const Pending& pending, int error) {
  port::DiskOp* op = pending.op;
  op->error = error;
  boost::asio::post(world_.executor, [op] { op->completed(*op); });
}

void SimDisk::cut() {
  cut_ = true;
  drive_.opened = false;
  const std::vector<Pending> lost = std::move(pending_);
  pending_.clear();
  for (const Pending& pending : lost) {
    if (pending.timed) world_.clock.cancel(pending.key);
    leave_traces(pending);
    end(pending, EIO);
  }
}

// Opener ------------------------------------------------------------------------------------------

SimDiskOpener::SimDiskOpener(DiskWorld world, SeededRandom random, std::string host)
    : world_(world), random_(random), host_(std::move(host)) {}

SimDiskOpener::~SimDiskOpener() { HAST_ASSERT(disks_.empty()); }

void SimDiskOpener::open(const std::string& path, Opened opened) {
  if (!holds_openings_) return opened(open_now(path));
  held_on_.push_back([this, path, opened = std::move(opened)] { opened(open_now(path)); });
}

void SimDiskOpener::when_closed(std::function<void()> closed) {
  if (!holds_closings_) return closed();
  held_on_.push_back(std::move(closed));
}

void SimDiskOpener::let_on() {
  holds_openings_ = holds_closings_ = false;
  for (const std::function<void()>& held : std::exchange(held_on_, {})) held();
}

Result<std::unique_ptr<port::Disk>> SimDiskOpener::open_now(const std::string& path) {
  if (cut_) return Error{Errc::io_failed, EIO, path};
  for (const auto& [name, drive] : drives_) {
    if (name != path) continue;
    if (drive->opened) return Error{Errc::component_busy, EBUSY, path};
    return std::unique_ptr<port::Disk>(
        std::make_unique<SimDisk>(*this, *drive, random_.fork(), host_ + path));
  }
  return Error{Errc::component_not_found, ENOENT, path};
}

void SimDiskOpener::cut() {
  cut_ = true;
  let_on();
  for (SimDisk& disk : disks_) disk.cut();
}

void SimDiskOpener::release_held() {
  for (SimDisk& disk : disks_) disk.release_held();
}

}  // namespace hast::sim
