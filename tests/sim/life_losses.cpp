// Nodes that die, and the operator who does what the documentation says.
#include <fmt/core.h>

#include <algorithm>

#include "life.hpp"

namespace hast::sim {

using namespace std::chrono_literals;

Life::Loss Life::draw_loss() {
  return swarm_.power_losses && random_.chance(50) ? Loss::power : Loss::kill;
}

void Life::lose(Machine& machine, Loss loss) {
  ++losses_;
  if (loss == Loss::power) lost_power_.insert(&machine);
  look_at_disks();
  if (&machine == primary_) {
    other_held_everything_ = other_holds_everything();
    power_lost_ = power_lost_ || loss == Loss::power;
    line_->workload.device_was_lost();
  }
  if (loss == Loss::kill) return machine.kill();
  if (&machine == primary_ || !lagging_) return machine.power_off();
  // What only the secondary holds, and did not flush, is gone with its power.
  const ConstByteSpan data = machine.data();
  const std::vector<std::byte> before(data.begin(), data.end());
  machine.power_off();
  const bool is_noticed = swarm_.native() && primary_->up() && primary_->status().io.local_lost;
  if (is_noticed && line_->history.is_lost(before, machine.data())) line_->workload.data_are_lost();
  lose_unflushed();
}

/// Also of what both held: the node that lost it may be the source of the next resync.
void Life::lose_unflushed() {
  line_->history.power_lost();
  const History::Moment left = line_->history.now();
  for (std::size_t s = 0; s < left.size(); ++s) agreed_[s] = std::min(agreed_[s], left[s]);
}

void Life::lose_at_operation(Machine& machine) {
  const Loss loss = draw_loss();
  if (random_.chance(30)) return lose(machine, loss);
  // Or as soon as the primary has a map that marks less, or more.
  const bool at_map = primary_->up() && random_.chance(30);
  Machine& watched = at_map ? *primary_ : machine;
  const std::uint64_t last = watched.drive().operations + random_.between(1, 120);
  guard_.also(watched, [&, loss, last](const port::DiskOp& op) {
    const bool is_map = op.kind == IoKind::write && op.offset_bytes == ondisk::kMapOffset;
    const bool due = at_map ? is_map : watched.drive().operations >= last;
    if (machine.up() && due) lose(machine, loss);
  });
  world_.run_until([&machine] { return !machine.up(); }, 10s);
  guard_.also(watched, nullptr);
  if (machine.up()) lose(machine, loss);
}

void Life::lose_primary() {
  if (!primary_->up()) return restart_primary();
  if (secondary().up() && random_.chance(30)) {  // much is received there that is not done yet
    secondary().drive().options.max_latency = 300ms;
    world_.run_for(200ms);
    lose(*primary_, draw_loss());
  } else {
    lose_at_operation(*primary_);
  }
  if (random_.chance(30)) pass_time();
  if (other_held_everything_ && secondary().up() && random_.chance(60)) {
    Machine& lost = *primary_;
    promote(secondary());
    if (random_.chance(70)) pass_time();
    if (random_.chance(80)) {
      lost.boot();
      take_up(lost, Role::secondary);
    }
    return;
  }
  restart_primary();
}

void Life::lose_secondary() {
  if (!secondary().up()) return restart_secondary();
  lose_at_operation(secondary());
  pass_time();
  if (random_.chance(50)) restart_secondary();
}

void Life::lose_both() {
  if (primary_->up() && random_.chance(40)) {  // right after something was promised
    const std::uint64_t flushed = line_->workload.flushed();
    if (secondary().up() && random_.chance(50)) secondary().drive().options.max_latency = 300ms;
    world_.run_until([this, flushed] { return line_->workload.flushed() > flushed; }, 2s);
    lose(*primary_, draw_loss());
  }
  if (primary_->up()) lose_at_operation(*primary_);
  if (secondary().up()) lose(secondary(), draw_loss());
  // In async only the primary promises that what was flushed is there.
  const bool is_safe = other_held_everything_ && !may_fall_back_;
  if (is_safe && random_.chance(50)) return revive_other();
  const bool primary_first = random_.chance(50);
  if (!primary_first) restart_secondary();
  restart_primary();
  if (primary_first && random_.chance(70)) restart_secondary();
}

/// Both died at once, and both held everything: what was flushed is on either (docs/invariants.md).
void Life::revive_other() {
  lose_unflushed();
  secondary().boot();
  promote(secondary());
  if (random_.chance(70)) restart_secondary();
}

/// A primary may need the other node's data: where its disk failed, or all of it once the disk is
/// given up.
void Life::look_at_disks() {
  if (!primary_->up()) return;  // as it was when it went down
  // Until the mark is gone, what was copied here may not be flushed, nor does anybody rely on it.
  const Result<ondisk::Metadata> facts = primary_->metadata();
  lagging_ = primary_->status().io.stale_bytes > 0 || (facts && facts->inconsistent);
  if (primary_->status().io.local_lost) {
    diskless_ = primary_;
  } else if (diskless_ == primary_ && !lagging_ && primary_->status().role == Role::primary) {
    diskless_ = nullptr;  // attached, and complete again
  }
}

/// A component that was given up and could not even note it must not pass for current: the
/// operator replaces it, as the log said.
bool Life::must_be_replaced(Machine& machine) {
  if (&machine != diskless_) return false;
  const Result<ondisk::Metadata> facts = machine.metadata();
  return !facts || (!swarm_.native() && !facts->inconsistent);
}

void Life::restart_primary() {
  if (must_be_replaced(*primary_)) return replace_primary();
  if (std::exchange(power_lost_, false)) lose_unflushed();
  primary_->boot();
  resume_primary();
}

/// It was told, while the primary gave up its disk perhaps as its last deed (INV-12).
bool Life::stands_alone(Machine& machine) {
  return is_untracked(machine) && !machine.metadata()->inconsistent &&
         belong_together(world_.a(), world_.b());
}

/// Unless it says, or is known, to be behind: then the other one has everything (INV-5, INV-12).
void Life::resume_primary() {
  const bool is_behind = primary_ == diskless_ || lagging_ || stands_alone(secondary());
  if ((is_behind && primary_->status().role != Role::primary) || is_refused(*primary_)) give_way();
}

namespace {

/// Whatever a new process finds of its metadata: flushed, or written last.
bool says_unfit(Machine& machine) {
  const DiskMedia& media = machine.drive().media;
  const std::uint64_t second = *machine.layout().second_copy;
  const auto is_unfit = [](const Result<ondisk::Metadata>& facts) {
    return facts && (facts->inconsistent || facts->outdated);
  };
  return is_unfit(machine.metadata()) &&
         is_unfit(ondisk::choose(ondisk::decode(media.newest(0, ondisk::kMetadataBytes)),
                                 ondisk::decode(media.newest(second, ondisk::kMetadataBytes))));
}

}  // namespace

/// Becomes primary, unless its own disk says that the other one has newer data.
bool Life::is_refused(Machine& machine) {
  // Without a connection nobody can make it whole meanwhile, but for a commit that failed before.
  const bool unfit = machine.status().role != Role::primary && !machine.status().connected &&
                     !swarm_.has_disk_errors() && says_unfit(machine);
  const auto is_unfit = [&machine] {
    const std::optional<Result<Role>> changed = machine.role(Role::primary);
    if (!changed || *changed) return false;
    const Errc why = changed->error().code;
    return why == Errc::component_inconsistent || why == Errc::component_outdated;
  };
  if (is_unfit()) return true;
  if (swarm_.has_disk_errors() && machine.status().role != Role::primary) {
    repair(machine);
    if (is_unfit()) return true;
  }
  take_up(machine, Role::primary);
  if (unfit && machine.status().role == Role::primary)
    blame(machine.name() + " says itself that it is behind, and is promoted (INV-5)");
  return false;
}

void Life::give_way() {
  Machine& behind = *primary_;
  if (!secondary().up()) secondary().boot();
  take_up(behind, Role::secondary);
  // Where both disks fail each may have what the other lacks: then nobody but an operator decides.
  if (swarm_.has_disk_errors() && says_unfit(behind) && says_unfit(secondary())) {
    abandoned_ = true;
    return;
  }
  // In async each may lack something where a disk fails, too: whoever is chosen, something is gone.
  const bool async = behind.settings().replication == Replication::async;
  if (async && swarm_.has_disk_errors() && is_refused(secondary())) {
    abandoned_ = true;
    return;
  }
  const bool fell_back = std::exchange(may_fall_back_, false);  // it answered for each of them
  promote(secondary());
  may_fall_back_ = fell_back;
}

void Life::restart_secondary() {
  Machine& machine = secondary();
  if (machine.up()) return;
  machine.boot();
  if (must_be_replaced(machine)) replace_disk(machine);
  take_up(machine, Role::secondary);
}

/// The other node has everything, and this one nothing.
void Life::replace_primary() {
  Machine& lost = *primary_;
  if (!lost.up()) lost.boot();
  if (!secondary().up()) secondary().boot();
  const bool fell_back = std::exchange(may_fall_back_, false);  // it answered for each of them
  promote(secondary());
  may_fall_back_ = fell_back;
  replace_disk(lost);
  take_up(lost, Role::secondary);
}

void Life::take_up(Machine& machine, Role role) {
  if (&machine == primary_) line_->workload.device_was_lost();
  std::optional<Result<Role>> changed = machine.role(role);
  if (changed && !*changed && swarm_.has_disk_errors()) {
    repair(machine);
    changed = machine.role(role);
  }
  if (!changed) return blame(fmt::format("{} does not become {}", machine.name(), to_string(role)));
  if (!*changed)
    blame(fmt::format("{} refuses to be {}: {}", machine.name(), to_string(role),
                      changed->error().message()));
}

/// By the documented procedure: it holds everything, and the former primary is gone.
void Life::promote(Machine& machine) {
  power_lost_ = false;
  if (may_fall_back_) line_->history.fell_back_to(agreed_);
  primary_ = &machine;
  line_->workload.attach(machine);
  take_up(machine, Role::primary);
}

/// An orderly change of places, if the operator sees that both hold everything.
void Life::hand_over() {
  if (!primary_->up() || !other_holds_everything()) return;
  // The network may be gone without anybody knowing. What was acknowledged before its final reply
  // then counts as written here alone (INV-3), rightly in async, to be safe in memsync.
  const bool full = primary_->settings().replication == Replication::fullsync && !may_fall_back_;
  if (!full && !nothing_on_its_way()) return;
  note_agreement();
  Machine& former = *primary_;
  Machine& next = secondary();
  take_up(former, Role::secondary);
  // The connection was dead, and a new one may have begun to copy: it says so, or will in a moment.
  if (next.metadata()->inconsistent || next.metadata()->outdated || is_refused(next)) {
    take_up(next, Role::secondary);
    return resume_primary();
  }
  promote(next);
}

/// The other one lacks something, and becomes primary all the same, with the former, which has it,
/// as its secondary. Its clients come when it has found it (INV-6).
void Life::early_hand_over() {
  if (!primary_->up() || !secondary().up() || other_holds_everything()) return;
  look_at_disks();
  if (diskless_ != nullptr || !belong_together(world_.a(), world_.b())) return;
  Machine& former = *primary_;
  Machine& next = secondary();
  take_up(former, Role::secondary);
  // Only a node that counted changes of its own is known to be ahead (semantics §6), and only one
  // that has everything can be the source.
  const Result<ondisk::Metadata> facts = former.metadata();
  lagging_ = lagging_ && facts->inconsistent;  // its resync may have ended meanwhile
  if (facts->localcnt > next.metadata()->remotecnt && !facts->inconsistent && !is_refused(next)) {
    if (world_.run_until([&next] { return next.status().connected; }, 1min)) {
      primary_ = &next;
      line_->workload.attach(next);
      if (swarm_.has(Trouble::disk_bad) && random_.chance(40)) lose_disk_while_behind();
      return;
    }
    take_up(next, Role::secondary);
  }
  resume_primary();
}

/// What it has got by then is not all, and what its clients write now no map knows.
void Life::lose_disk_while_behind() {
  DiskFault fault;
  fault.times = DiskFault::kForever;
  primary_->drive().faults.push_back(fault);
  pass_time();
  lose(*primary_, draw_loss());
  repair(*primary_);
  restart_primary();
}

/// Role init and back, sometimes with a crash in the middle of it.
void Life::bounce(Machine& machine) {
  const bool is_primary = &machine == primary_;
  if (!machine.up()) return is_primary ? restart_primary() : restart_secondary();
  const Role role = is_primary ? Role::primary : Role::secondary;
  look_at_disks();
  if (random_.chance(25)) {
    (void)machine.begin_role(Role::init);
    lose_at_operation(machine);
    return is_primary ? restart_primary() : restart_secondary();
  }
  look_at_disks();
  take_up(machine, Role::init);
  if (random_.chance(50)) pass_time();
  if (must_be_replaced(machine)) {
    if (is_primary) return replace_primary();
    replace_disk(machine);
  }
  if (is_primary) return resume_primary();
  take_up(machine, role);
}

/// Both nodes get the same new settings, one after the other.
void Life::reload() {
  engine::ResourceSettings settings = primary_->settings();
  constexpr std::array kModes{Replication::fullsync, Replication::memsync, Replication::async};
  settings.replication = kModes[random_.below(kModes.size())];
  settings.heartbeat = std::chrono::milliseconds(random_.between(200, 5000));
  settings.timeout = std::chrono::seconds(random_.between(2, 20));
  settings.checksum = random_.chance(30) ? Checksum::crc32 : Checksum::none;
  settings.compression = random_.chance(50) ? Compression::hole : Compression::none;
  if (!swarm_.power_losses) settings.metaflush = random_.chance(70);
  if (settings.replication == Replication::async) may_fall_back_ = true;
  for (Machine* machine : {&world_.a(), &world_.b()}) {
    engine::ResourceSettings mine = settings;
    mine.remote = machine->settings().remote;
    mine.protocol = machine->settings().protocol;
    if (!machine->up()) {
      machine->settings() = mine;
    } else if (!machine->reload(mine)) {
      return blame("a reload does not end");
    }
    if (random_.chance(30)) pass_time();
  }
}

}  // namespace hast::sim
