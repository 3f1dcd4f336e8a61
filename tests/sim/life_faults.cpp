// What goes wrong outside the processes: networks and disks.
#include <algorithm>
#include <cerrno>

#include "life.hpp"

namespace hast::sim {

using namespace std::chrono_literals;

void Life::later(port::Duration least, port::Duration most, VirtualClock::Action action) {
  world_.clock().after(random_.between(least, most), std::move(action));
}

// Networks ----------------------------------------------------------------------------------------

void Life::cut_network() {
  Network& network = world_.network();
  const std::string& a = world_.a().host();
  const std::string& b = world_.b().host();
  const std::uint64_t way = random_.below(3);
  if (way != 1) network.cut(a, b);
  if (way != 0) network.cut(b, a);
  later(10ms, 30s, [&network] { network.heal(); });
}

void Life::forget_connections() { world_.network().forget(world_.a().host(), world_.b().host()); }

void Life::slow_network() {
  Network& network = world_.network();
  network.set_delay(10ms, random_.between(port::Duration(20ms), kSlowestDelay));
  const NetworkOptions& usual = swarm_.world.network;
  later(10ms, 20s, [&network, usual] { network.set_delay(usual.min_delay, usual.max_delay); });
}

// Disks -------------------------------------------------------------------------------------------

void Life::slow_disk() {
  Drive& drive = any_machine().drive();
  const port::Duration usual = swarm_.world.disk.max_latency;
  drive.options.max_latency = random_.between(port::Duration(20ms), port::Duration(2s));
  later(10ms, 20s, [&drive, usual] { drive.options.max_latency = usual; });
}

void Life::stick_disk() {
  Machine& machine = any_machine();
  machine.drive().held = true;
  later(10ms, 30s, [&machine] {
    machine.drive().held = false;
    if (machine.up()) machine.process().disks().release_held();
  });
}

namespace {

/// One of the parts of a component, or all of it.
void aim(DiskFault& fault, const ondisk::Layout& layout, SeededRandom& random) {
  switch (random.below(4)) {
    case 0:
      fault.end = ondisk::kMetadataBytes;
      break;
    case 1:
      fault.begin = ondisk::kMapOffset;
      fault.end = ondisk::kMapOffset + layout.map_bytes;
      break;
    case 2:
      fault.begin = layout.data_offset;
      break;
    default:
      break;
  }
}

std::optional<IoKind> draw_kind(SeededRandom& random) {
  constexpr std::array kKinds{IoKind::read, IoKind::write, IoKind::write, IoKind::flush,
                              IoKind::write_zeroes};
  const std::uint64_t which = random.below(kKinds.size() + 1);
  if (which == kKinds.size()) return std::nullopt;
  return kKinds[which];
}

}  // namespace

void Life::fail_some_operations() {
  Machine& machine = any_machine();
  DiskFault fault;
  aim(fault, machine.layout(), random_);
  fault.kind = draw_kind(random_);
  fault.skip = static_cast<unsigned>(random_.below(30));
  fault.times = static_cast<unsigned>(random_.between(1, 4));
  machine.drive().faults.push_back(fault);
}

namespace {

bool is_well(const Drive& drive) {
  return std::all_of(drive.faults.begin(), drive.faults.end(),
                     [](const DiskFault& fault) { return fault.times == 0; });
}

}  // namespace

bool Life::primary_is_whole() {
  look_at_disks();
  return primary_->up() && diskless_ == nullptr && !lagging_ && is_well(primary_->drive());
}

/// Only in lives with power losses is there more to it than an error. What the only copy loses so
/// is lost for good; what a secondary loses its primary knows of.
void Life::lose_a_flush() {
  Machine& machine = any_machine();
  if (!machine.up()) return;
  DiskFault fault;
  fault.kind = IoKind::flush;
  fault.skip = static_cast<unsigned>(random_.below(4));
  Drive& drive = machine.drive();
  drive.drops_unflushed = &machine != primary_ && primary_is_whole();
  drive.faults.push_back(fault);
  world_.run_until([&drive] { return drive.faults.empty() || drive.faults.back().times == 0; }, 5s);
  drive.drops_unflushed = false;
  if (!swarm_.power_losses || !machine.up()) return;
  world_.run_for(random_.between(port::Duration(1us), port::Duration(100ms)));
  lose(machine, Loss::power);
  &machine == primary_ ? restart_primary() : restart_secondary();
}

void Life::break_disk() {
  Machine& machine = any_machine();
  DiskFault fault;
  aim(fault, machine.layout(), random_);
  fault.kind = draw_kind(random_);
  fault.times = DiskFault::kForever;
  machine.drive().faults.push_back(fault);
  if (random_.chance(70)) later(10ms, 60s, [this, &machine] { repair(machine); });
}

void Life::fill_disk() {
  Machine& machine = any_machine();
  for (const IoKind kind : {IoKind::write, IoKind::write_zeroes}) {
    DiskFault fault;
    fault.begin = machine.layout().data_offset;
    if (random_.chance(50)) fault.begin += machine.layout().data_bytes / 2;
    fault.kind = kind;
    fault.times = DiskFault::kForever;
    fault.error = ENOSPC;
    machine.drive().faults.push_back(fault);
  }
  later(10ms, 60s, [this, &machine] { repair(machine); });
}

void Life::repair(Machine& machine) {
  Drive& drive = machine.drive();
  drive.faults.clear();
  drive.options.max_latency = swarm_.world.disk.max_latency;
  if (std::exchange(drive.held, false) && machine.up()) machine.process().disks().release_held();
}

void Life::repair_everything() {
  Network& network = world_.network();
  network.heal();
  network.set_delay(swarm_.world.network.min_delay, swarm_.world.network.max_delay);
  repair(world_.a());
  repair(world_.b());
}

namespace {

/// What is on the platter is what was written last, of both copies of the metadata.
bool copies_at_rest(Machine& machine) {
  const DiskMedia& media = machine.drive().media;
  for (const std::uint64_t offset : {std::uint64_t{0}, *machine.layout().second_copy}) {
    if (!test::same_bytes(media.durable(offset, ondisk::kMetadataBytes),
                          media.newest(offset, ondisk::kMetadataBytes)))
      return false;
  }
  return true;
}

}  // namespace

/// A node goes down, and comes back to find one copy of its metadata damaged. Either alone is
/// enough (INV-10); where both were not equal the other fault was there first.
void Life::damage_metadata() {
  Machine& machine = any_machine();
  if (machine.up()) lose_at_operation(machine);
  const unsigned copy = random_.chance(50) ? 0 : 1;
  const Result<ondisk::Metadata> first = machine.metadata_copy(0);
  const Result<ondisk::Metadata> second = machine.metadata_copy(1);
  // Nor is one that was being written when the process was killed anything to rely on.
  const bool at_rest = copies_at_rest(machine);
  if (at_rest && first && second && first->sequence == second->sequence) {
    const std::uint64_t sectors = ondisk::kMetadataBytes / History::kSectorBytes;
    const std::uint64_t offset = copy == 0 ? 0 : *machine.layout().second_copy;
    std::vector<std::byte> rot(History::kSectorBytes);
    random_.fill(rot);
    machine.drive().media.preset(offset, rot);
    const std::uint64_t more = random_.below(sectors);
    machine.drive().media.preset(offset + more * History::kSectorBytes, rot);
  }
  &machine == primary_ ? restart_primary() : restart_secondary();
}

/// Nothing works any more. A disk dies only while the other node has everything: one good copy is
/// what replication is about.
void Life::lose_disk() {
  Machine& machine = any_machine();
  if (!machine.up() || !primary_->up()) return;
  const bool is_primary = &machine == primary_;
  const auto is_needed = [this] { return primary_->status().io.stale_bytes > 0; };
  if (is_primary ? !other_holds_everything() : is_needed()) return;
  DiskFault fault;
  fault.times = DiskFault::kForever;
  machine.drive().faults.push_back(fault);
  pass_time();
  if (!is_primary && is_needed()) return;  // it was repaired, and then the other disk failed
  // The operator: the other one takes over, and an empty disk is put in here.
  take_up(machine, Role::init);
  // In async it may lack something, and know it: there is no other copy any more.
  if (is_primary && is_refused(secondary())) (void)secondary().force_primary();
  if (is_primary) promote(secondary());
  replace_disk(machine);
  take_up(machine, Role::secondary);
}

/// The disk of a primary that gave it up is well again, and so is its cable.
void Life::take_component_back(Machine& machine) {
  if (!machine.up() || !machine.status().io.local_lost) return;
  repair(machine);
  const std::optional<Result<engine::Attached>> attached = machine.attach();
  if (!attached) return blame("an attach does not end");
  // What fails meanwhile is found out by the one who asked.
  const bool may_fail = swarm_.has_disk_errors() || !machine.up();
  if (!*attached && !may_fail) blame("not attached: " + attached->error().message());
}

/// Role init only.
void Life::replace_disk(Machine& machine) {
  machine.create("shared", swarm_.world.volume);
  facts_.forget(machine);
  if (diskless_ == &machine) diskless_ = nullptr;
  repair(machine);
}

}  // namespace hast::sim
