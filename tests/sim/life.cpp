#include "life.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace hast::sim {

using namespace std::chrono_literals;

Life::Life(std::uint64_t seed) : Life(SeededRandom(seed), Swarm{}) {}

Life::Life(std::uint64_t seed, Swarm swarm) : Life(SeededRandom(seed), std::move(swarm)) {}

Life::Life(SeededRandom random, Swarm swarm)
    : random_(random),
      swarm_(swarm.troubles.empty() ? draw_swarm(random_) : std::move(swarm)),
      world_(swarm_.world),
      line_(std::make_unique<Timeline>(
          world_, History(world_.a().layout().data_bytes / History::kSectorBytes), random_.fork(),
          swarm_.workload)),
      guard_(world_, layer()),
      facts_(world_,
             swarm_.has_disk_errors() ? FactGuard::Disks::failing : FactGuard::Disks::sound),
      lags_(world_, swarm_.native() ? LagGuard::Peer::native : LagGuard::Peer::original),
      primary_(&world_.a()),
      agreed_(line_->history.now()) {}

Life::~Life() {
  line_->workload.stop();
  if (other_line_) other_line_->workload.stop();
  world_.a().kill();
  world_.b().kill();
  world_.settle();
}

void Life::blame(std::string what) {
  wrong_.push_back(fmt::format("{:.3f} s: {}", seconds(), std::move(what)));
}

std::string Life::summary() {
  return fmt::format("{}; {:.0f} s, {} losses, {} requests answered, {} of them with an error",
                     describe(swarm_), seconds(), losses_, line_->workload.answered(),
                     line_->workload.failed());
}

void Life::run() {
  begin();
  for (unsigned i = 0; i < swarm_.events && wrong_.empty() && !abandoned_; ++i) {
    pass_time();
    happen(swarm_.troubles[random_.below(swarm_.troubles.size())]);
    check();
  }
  if (wrong_.empty() && !abandoned_) end();
  check();
}

void Life::begin() {
  for (Machine* machine : {&world_.a(), &world_.b()}) machine->drive().options.torn_failures = true;
  world_.a().settings().protocol = swarm_.protocol_a;
  world_.b().settings().protocol = swarm_.protocol_b;
  if (swarm_.discards_refused) {
    DiskFault refusal;
    refusal.kind = IoKind::discard;
    refusal.times = DiskFault::kForever;
    refusal.error = EOPNOTSUPP;
    any_machine().drive().inabilities.push_back(refusal);
    line_->workload.discards_are_advice();
  }
  may_fall_back_ = swarm_.world.replication == Replication::async;
  world_.a().boot();
  world_.b().boot();
  take_up(world_.b(), Role::secondary);
  take_up(world_.a(), Role::primary);
  line_->workload.attach(*primary_);
  watch_acknowledgements(*line_);
  line_->workload.start();
}

void Life::watch_acknowledgements(Timeline& line) {
  line.workload.acknowledged = [this, &line](const History::Range& range, History::Stamp stamp) {
    // A reload changes the mode of what is under way, and not at the same time on both nodes. With
    // its power a node may lose what it has confirmed, its answer being on its way.
    if (!swarm_.has(Trouble::reload) && !swarm_.power_losses && !split_) {
      if (auto problem = uncounted(world_, line.workload.machine(), range, stamp)) blame(*problem);
    }
    lags_.acknowledged(line.workload.machine(), range.offset_bytes(), range.length_bytes());
  };
}

void Life::happen(Trouble trouble) {
  world_.trace().note(to_string(trouble), "life");
  // A node that is down stays so for a while, as it does.
  if (!secondary().up() && random_.chance(60)) restart_secondary();
  if (secondary().up()) take_up(secondary(), Role::secondary);
  look_at_disks();
  if (random_.chance(50)) take_component_back(*primary_);
  switch (trouble) {
    case Trouble::lose_primary:
      return lose_primary();
    case Trouble::lose_secondary:
      return lose_secondary();
    case Trouble::lose_both:
      return lose_both();
    case Trouble::hand_over:
      return hand_over();
    case Trouble::early_hand_over:
      return early_hand_over();
    case Trouble::cut:
      return cut_network();
    case Trouble::reset:
      return world_.network().reset(world_.a().host(), world_.b().host());
    case Trouble::forget:
      return forget_connections();
    case Trouble::slow_network:
      return slow_network();
    case Trouble::slow_disk:
      return slow_disk();
    case Trouble::stuck_disk:
      return stick_disk();
    case Trouble::disk_error:
      return fail_some_operations();
    case Trouble::flush_lost:
      return lose_a_flush();
    case Trouble::disk_bad:
      return break_disk();
    case Trouble::disk_full:
      return fill_disk();
    case Trouble::metadata_damage:
      return damage_metadata();
    case Trouble::disk_lost:
      return lose_disk();
    case Trouble::bounce_secondary:
      return bounce(secondary());
    case Trouble::bounce_primary:
      return bounce(*primary_);
    case Trouble::reload:
      return reload();
    case Trouble::split_brain:
      return split_brain();
  }
}

void Life::pass_time() {
  const std::uint64_t slices = random_.between(1, 8);
  for (std::uint64_t i = 0; i < slices; ++i) {
    world_.run_for(random_.between(port::Duration(1ms), port::Duration(400ms)));
    if (random_.chance(40)) permit_alone();
    note_agreement();
  }
  // Now and then long enough for every time limit.
  if (random_.chance(25)) world_.run_for(random_.between(port::Duration(1s), port::Duration(40s)));
  note_agreement();
}

/// The operator sees that requests wait, and that the other node serves nobody.
void Life::permit_alone() {
  if (split_ || !primary_->up() || !primary_->status().io.frozen) return;
  if (secondary().status().role == Role::primary) return;
  (void)primary_->force_primary();
  permitted_ = true;
}

/// Both nodes have everything that was acknowledged until now.
void Life::note_agreement() {
  if (split_ || !other_holds_everything() || !nothing_on_its_way()) return;
  agreed_ = line_->history.now();
  mixes_halves_ = permitted_ = false;
  lost_power_.clear();
  if (!primary_->status().io.local_lost) diskless_ = nullptr;
  may_fall_back_ = primary_->settings().replication == Replication::async;
}

/// Both sides must say so: one alone may not know yet what has become of the other.
bool Life::other_holds_everything() {
  if (!secondary().up()) return false;
  const engine::ResourceStatus status = secondary().status();
  return status.role == Role::secondary && status.connected && world_.synced(*primary_);
}

bool Life::nothing_on_its_way() {
  const engine::ResourceStatus status = primary_->status();
  return status.io.send_queue == 0 && status.io.receive_queue == 0;
}

// The end -----------------------------------------------------------------------------------------

void Life::check() {
  for (const std::string& what : line_->workload.wrong()) blame(what);
  if (other_line_) {
    for (const std::string& what : other_line_->workload.wrong()) blame("other half: " + what);
  }
  for (const std::string& what : guard_.wrong()) blame(what);
  for (const std::string& what : lags_.wrong()) blame(what);
  if (auto problem = facts_.look()) blame(*problem);
  look_at_disks();
  if (diskless_ == nullptr) {
    if (auto difference = unmarked_difference(world_, layer())) blame(*difference);
  }
  if (line_->workload.longest_wait() > 3min) blame("a request waits for minutes");
  const bool complaints_expected =
      swarm_.has_disk_errors() || swarm_.discards_refused || swarm_.has(Trouble::split_brain);
  for (const LogLine& line : world_.log()) {
    const bool refusal = line.text.find("Role primary refused") != std::string::npos;
    if (line.level == LogLevel::error && !complaints_expected && !refusal)
      blame("unexpected: " + line.text);
  }
  world_.clear_log();
}

/// Everything heals, everybody is there again.
void Life::reconcile() {
  repair_everything();
  if (!primary_->up()) restart_primary();
  if (!secondary().up()) restart_secondary();
  // A role is lost where a disk failed while it was taken up again.
  take_up(secondary(), Role::secondary);
  resume_primary();
  // After a flush that failed the peer stands in as soon as it can. A component that was given up
  // is taken back, or the role is taken up again.
  if (random_.chance(50))
    world_.run_until([this] { return !primary_->status().io.flush_lost; }, 2min);
  if (random_.chance(50)) take_component_back(*primary_);
  if (component_is_useless()) bounce(*primary_);
}

/// As the status says.
bool Life::component_is_useless() const {
  const engine::ResourceStatus status = primary_->status();
  return status.io.local_lost || status.io.flush_lost;
}

void Life::end() {
  reconcile();
  pass_time();
  // A hello that was sent while the network was slow looks like a new connection.
  if (swarm_.has(Trouble::slow_network)) world_.run_for(kSlowestDelay);
  // An operation that had failed before the repair may have been the last straw.
  if (component_is_useless()) bounce(*primary_);
  if (!wrong_.empty()) return;
  if (!comes_in_sync()) return blame("healed, and not in sync (INV-13)");
  line_->workload.stop();
  if (!world_.run_until([this] { return line_->workload.idle(); }, 1min))
    return blame("a request is never answered");
  // A connection may be dead without anybody knowing it: ask. One flush may have to tell of a loss.
  const bool may_tell = swarm_.power_losses || swarm_.has_disk_errors();
  if (primary_->flush() != 0 && (!may_tell || primary_->flush() != 0))
    return blame("healed, and a flush fails");
  take_component_back(*primary_);  // a flush lost before the repair shows now
  const auto settled = [this] {
    return world_.synced(*primary_) && nothing_on_its_way() &&
           primary_->status().io.dirty_bytes == 0;
  };
  if (!world_.run_until(settled, 2min)) return blame("idle, and not in sync (INV-13)");
  read_everything();
  const std::uint64_t count = primary_->metadata()->localcnt;
  take_up(*primary_, Role::init);
  if (primary_->metadata()->localcnt != count) blame("an orderly end counted an episode");
  if (map_of(*primary_, layer()).any()) blame("an orderly end left bits in the map");
  if (const std::uint64_t bytes = world_.different_bytes(); bytes > 0)
    blame(fmt::format("in sync, and {} bytes differ", bytes));
  world_.a().stop();
  world_.b().stop();
}

/// In bounded time: where clients keep a narrow link full the resync gets little of it, but there
/// is less to copy every two minutes.
bool Life::comes_in_sync() {
  for (;;) {
    const std::uint64_t before = primary_->status().io.unsynced_bytes;
    if (world_.run_until_synced(*primary_, 2min)) return true;
    if (primary_->status().io.unsynced_bytes >= before) return false;
  }
}

void Life::read_everything() {
  constexpr std::uint64_t kStep = port::kBlockBytes / History::kSectorBytes;
  History& history = line_->history;
  for (std::uint64_t first = 0; first < history.sectors(); first += kStep) {
    const History::Range range{first, std::min(kStep, history.sectors() - first)};
    const Machine::Answer answer = primary_->read(range.offset_bytes(), range.length_bytes());
    if (answer.error != 0) return blame("the last read failed");
    if (auto problem = history.read(range, answer.data)) return blame("at the end " + *problem);
  }
}

}  // namespace hast::sim
