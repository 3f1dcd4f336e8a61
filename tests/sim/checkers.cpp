#include "checkers.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

namespace hast::sim {

namespace {

ConstByteSpan bytes_of(Machine& machine, Layer layer, std::uint64_t offset, std::uint64_t length) {
  const DiskMedia& media = machine.drive().media;
  return layer == Layer::durable ? media.durable(offset, length) : media.newest(offset, length);
}

}  // namespace

Bitmap map_of(Machine& machine, Layer layer) {
  Bitmap bits(machine.layout().extents);
  bits.import_bytes(bytes_of(machine, layer, ondisk::kMapOffset, machine.layout().map_bytes));
  return bits;
}

bool belong_together(Machine& one, Machine& other) {
  const Result<ondisk::Metadata> mine = one.metadata();
  const Result<ondisk::Metadata> theirs = other.metadata();
  return mine && theirs && mine->resuid == theirs->resuid && mine->resuid != 0;
}

bool is_untracked(Machine& machine) {
  const Result<ondisk::Metadata> facts = machine.metadata();
  return facts && facts->generations.synced == Generations::kUntracked;
}

namespace {

/// Its facts say that the maps alone do not tell what differs: everything will be copied.
bool maps_do_not_tell(Machine& machine) {
  return machine.metadata()->inconsistent || is_untracked(machine);
}

}  // namespace

std::optional<std::string> unmarked_difference(World& world, Layer layer) {
  if (!belong_together(world.a(), world.b())) return std::nullopt;
  if (maps_do_not_tell(world.a()) || maps_do_not_tell(world.b())) return std::nullopt;
  const ondisk::Layout& one = world.a().layout();
  const ondisk::Layout& other = world.b().layout();
  const Bitmap marked_a = map_of(world.a(), layer);
  const Bitmap marked_b = map_of(world.b(), layer);
  for (std::uint64_t e = 0; e < one.extents; ++e) {
    if (marked_a.test(e) || marked_b.test(e)) continue;
    const std::uint64_t begin = e * one.extent_bytes;
    const std::uint64_t length = std::min<std::uint64_t>(one.extent_bytes, one.data_bytes - begin);
    const ConstByteSpan here = bytes_of(world.a(), layer, one.data_offset + begin, length);
    const ConstByteSpan there = bytes_of(world.b(), layer, other.data_offset + begin, length);
    if (test::same_bytes(here, there)) continue;
    const auto differ = std::mismatch(here.begin(), here.end(), there.begin());
    const auto at = static_cast<std::uint64_t>(differ.first - here.begin());
    return fmt::format("extent {} is marked on neither node, and byte {} of the volume differs", e,
                       begin + at);
  }
  return std::nullopt;
}

// Facts -------------------------------------------------------------------------------------------

void FactGuard::forget(Machine& machine) {
  (&machine == &world_.a() ? sequence_a_ : sequence_b_) = 0;
  counts_anew_ = true;
}

std::optional<std::string> FactGuard::look() {
  const Result<ondisk::Metadata> a = world_.a().metadata();
  const Result<ondisk::Metadata> b = world_.b().metadata();
  if (!a || !b) return fmt::format("{} has lost its metadata", a ? "b" : "a");
  const bool went_back = a->sequence < sequence_a_ || b->sequence < sequence_b_;
  if (went_back && disks_ == Disks::sound) return std::string("the metadata of a node went back");
  sequence_a_ = a->sequence;
  sequence_b_ = b->sequence;
  if (a->resuid != b->resuid || a->resuid == 0) return std::nullopt;
  // One that was created anew knows nothing until it has everything.
  if (a->inconsistent || b->inconsistent) return std::nullopt;
  const bool agree = a->localcnt >= b->remotecnt && b->localcnt >= a->remotecnt;
  if (agree) counts_anew_ = false;
  if (agree || counts_anew_) return std::nullopt;
  return fmt::format("counters went back: a {}/{}, b {}/{}", a->localcnt, a->remotecnt, b->localcnt,
                     b->remotecnt);
}

// Lags --------------------------------------------------------------------------------------------

LagGuard::LagGuard(World& world, Peer peer)
    : world_(world),
      peer_(peer),
      failed_a_(world.a().layout().data_bytes / world.a().drive().media.sector_bytes()),
      failed_b_(failed_a_.size()) {
  for (Machine* machine : {&world.a(), &world.b()})
    machine->drive().completed = [this, machine](const port::DiskOp& op) {
      completed(*machine, op);
    };
}

LagGuard::~LagGuard() {
  for (Machine* machine : {&world_.a(), &world_.b()}) machine->drive().completed = nullptr;
}

void LagGuard::completed(Machine& machine, const port::DiskOp& op) {
  const std::uint64_t data = machine.layout().data_offset;
  const bool tells = op.kind != IoKind::read && op.kind != IoKind::flush && op.offset_bytes >= data;
  if (!tells || op.error == EOPNOTSUPP) return;
  const std::uint64_t sector = machine.drive().media.sector_bytes();
  const std::uint64_t first = (op.offset_bytes - data) / sector;
  for (std::uint64_t s = first; s < first + op.length_bytes / sector; ++s)
    op.error == 0 ? (void)failed(machine).reset(s) : (void)failed(machine).set(s);
}

bool LagGuard::is_noted(Machine& primary) {
  const Result<ondisk::Metadata> mine = primary.metadata();
  const Result<ondisk::Metadata> theirs = world_.other(primary).metadata();
  if (!mine || mine->inconsistent) return true;
  // A disk that is given up may note nothing any more; then the other node has to.
  if (peer_ == Peer::original) return primary.status().io.local_lost;
  return theirs && theirs->localcnt > mine->remotecnt;
}

void LagGuard::acknowledged(Machine& primary, std::uint64_t offset, std::uint64_t length) {
  if (!primary.up()) return;
  const std::uint64_t sector = primary.drive().media.sector_bytes();
  if (!failed(primary).any_in(offset / sector, (offset + length) / sector - 1)) return;
  if (is_noted(primary)) return;
  wrong_.push_back(fmt::format(
      "at {:.6f} a write at byte {} is acknowledged that {} has not, which is noted nowhere",
      static_cast<double>(world_.now().count()) / 1e9, offset, primary.host()));
}

// Counts ------------------------------------------------------------------------------------------

std::optional<std::string> uncounted(World& world, Machine& primary, const History::Range& range,
                                     History::Stamp stamp) {
  Machine& other = world.other(primary);
  const bool tells = stamp != History::kZeros && primary.up() &&
                     primary.settings().replication == Replication::fullsync &&
                     belong_together(primary, other) && other.status().role != Role::primary;
  if (!tells) return std::nullopt;
  std::vector<std::byte> written(range.length_bytes());
  History::fill(stamp, range, written);
  const std::uint64_t begin = other.layout().data_offset + range.offset_bytes();
  if (test::same_bytes(written, other.drive().media.newest(begin, written.size())))
    return std::nullopt;
  if (primary.metadata()->localcnt > other.metadata()->remotecnt) return std::nullopt;
  // An empty disk in place of the one that had it says itself that it lacks everything.
  if (other.metadata()->inconsistent) return std::nullopt;
  return fmt::format("a write at byte {} is acknowledged that {} has not, and not counted (INV-3)",
                     range.offset_bytes(), other.host());
}

// Marks -------------------------------------------------------------------------------------------

MarkGuard::MarkGuard(World& world, Layer layer)
    : world_(world), layer_(layer), layout_a_(world.a().layout()), layout_b_(world.b().layout()) {
  for (Machine* machine : {&world.a(), &world.b()})
    machine->drive().submitted = [this, machine](const port::DiskOp& op) { look(*machine, op); };
}

MarkGuard::~MarkGuard() {
  for (Machine* machine : {&world_.a(), &world_.b()}) machine->drive().submitted = nullptr;
}

void MarkGuard::also(Machine& machine, std::function<void(const port::DiskOp&)> watcher) {
  machine.drive().submitted = [this, &machine,
                               watcher = std::move(watcher)](const port::DiskOp& op) {
    look(machine, op);
    if (watcher) watcher(op);
  };
}

bool MarkGuard::marked(Machine& machine, std::uint64_t extent) const {
  const std::byte bits = bytes_of(machine, layer_, ondisk::kMapOffset + extent / 8, 1)[0];
  return (std::to_integer<unsigned>(bits) >> (extent % 8) & 1) != 0;
}

/// It gave up its disk. What it had sent when it went down may still be on its way, until the
/// other one has noticed.
bool MarkGuard::has_no_map(Machine& machine) {
  if (!machine.up()) return without_map_ == &machine;
  const engine::ResourceStatus status = machine.status();
  const bool anew = status.role == Role::primary && status.connected;
  if (status.io.local_lost) {
    without_map_ = &machine;
  } else if (without_map_ == &machine && (anew || !world_.other(machine).status().connected)) {
    without_map_ = nullptr;
  }
  return without_map_ == &machine;
}

/// A primary may rewrite what it could not read with what the other one has (INV-11): then both
/// have the same before, after and in between.
bool MarkGuard::is_repair(Machine& machine, const port::DiskOp& op) {
  // The role is init already when it is given up.
  if (op.kind != IoKind::write || machine.status().role == Role::secondary) return false;
  Machine& other = world_.other(machine);
  const ondisk::Layout& mine = &machine == &world_.a() ? layout_a_ : layout_b_;
  const ondisk::Layout& theirs = &machine == &world_.a() ? layout_b_ : layout_a_;
  const std::uint64_t offset = op.offset_bytes - mine.data_offset + theirs.data_offset;
  return test::same_bytes({op.data, op.length_bytes},
                          other.drive().media.newest(offset, op.length_bytes));
}

void MarkGuard::look(Machine& machine, const port::DiskOp& op) {
  if (op.kind == IoKind::read || op.kind == IoKind::flush) return;
  const ondisk::Layout& layout = &machine == &world_.a() ? layout_a_ : layout_b_;
  if (op.offset_bytes < layout.data_offset) return;
  if (is_repair(machine, op)) return;
  const std::uint64_t begin = op.offset_bytes - layout.data_offset;
  const std::uint64_t last = (begin + op.length_bytes - 1) / layout.extent_bytes;
  Machine& other = world_.other(machine);
  const auto is_native = [](Machine& node) {
    return node.settings().protocol >= wire::kNativeVersion;
  };
  for (std::uint64_t e = begin / layout.extent_bytes; e <= last; ++e) {
    if (marked(machine, e) || marked(other, e)) continue;
    // Nothing to mark in (INV-12), and only an original cannot note that.
    if (is_untracked(machine)) continue;
    if (has_no_map(other) && !(is_native(machine) && is_native(other))) continue;
    wrong_.push_back(fmt::format("at {:.6f} {} writes data at byte {} under extent {}, not marked",
                                 static_cast<double>(world_.now().count()) / 1e9, machine.host(),
                                 begin, e));
  }
}

}  // namespace hast::sim
