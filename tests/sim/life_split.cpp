// An operator who promotes a node without asking whether the other one is gone, and another one who
// has to sort it out. Nothing may be merged (INV-7), and both halves keep what they acknowledged.
#include <fmt/core.h>

#include <algorithm>

#include "life.hpp"

namespace hast::sim {

using namespace std::chrono_literals;

void Life::split_brain() {
  if (!primary_->up()) restart_primary();
  if (!secondary().up()) restart_secondary();
  Machine& former = *primary_;
  Machine& other = secondary();
  look_at_disks();
  // Nodes that never met refuse each other for another reason.
  if (!belong_together(former, other) || diskless_ != nullptr) return;
  if (mixes_halves_) return;  // what was given up before may still be there, and nobody knows where
  if (swarm_.power_losses && random_.chance(60)) flush_alone();
  look_at_disks();
  if (diskless_ != nullptr) return;  // it failed in this very hour: only the other has data
  if (component_is_useless()) return;
  const std::uint64_t before = line_->workload.written_alone();
  part(former, other);
  if (swarm_.freezes() && !forced_) {
    if (random_.chance(30)) return stay_frozen();
    (void)other.force_primary();  // he says that the former serves nobody
  }
  const auto wrote_alone = [this, before] { return line_->workload.written_alone() > before; };
  if (former.up() && random_.chance(30)) {  // the moment it has acknowledged something alone
    world_.run_until(wrote_alone, 5s);
    lose(former, draw_loss());
  }
  if (random_.chance(70)) pass_time();
  if (!former.up()) come_back(former);
  if (random_.chance(30)) pass_time();
  if (!world_.run_until([this] { return other_line_->workload.written() > 0; }, 2min)) {
    abandoned_ = true;  // nothing to tell the halves apart by
    return;
  }
  // Who was promoted by force may lack something that the former has: in async, what was sent last.
  const Wrote wrote = wrote_alone() ? Wrote::both : forced_ ? Wrote::perhaps_both : Wrote::one;
  repair_everything();
  if (random_.chance(50)) pass_time();
  // What waits for permission on a node that wrote nothing alone would be done after all, over what
  // the other one's clients wrote: as it should, but nobody could tell the halves apart.
  const bool waits = swarm_.freezes() && wrote != Wrote::both;
  random_.chance(50) && !waits ? rejoin(former, other, wrote) : rejoin(other, former, wrote);
}

/// Nobody permits anything: neither node acknowledges what the other has not (INV-7).
void Life::stay_frozen() {
  world_.run_for(port::Duration(1s) + 2 * primary_->settings().timeout);
  const std::uint64_t alone = line_->workload.written_alone();
  world_.run_for(30s);
  const bool former_alone = line_->workload.written_alone() > alone && !permitted_;
  if (former_alone || other_line_->workload.written() > 0)
    blame("acknowledged alone without permission");
  abandoned_ = true;  // nothing was written to tell the halves apart by
}

/// A quiet hour: the secondary loses its power, and with it perhaps what only this flush vouches
/// for. It comes back in time to be promoted.
void Life::flush_alone() {
  line_->workload.stop();
  const bool quiet = world_.run_until([this] { return line_->workload.idle(); }, 1min);
  if (quiet && primary_->serving() && secondary().up()) {
    lose(secondary(), Loss::power);
    const History::Moment sent = line_->history.now();
    if (primary_->flush() == 0) line_->history.flushed(sent);
    restart_secondary();
  }
  line_->workload.start();
}

/// Both nodes are primary, the former perhaps dead for a while.
void Life::part(Machine& former, Machine& other) {
  if (random_.chance(60)) world_.network().cut_both(former.host(), other.host());
  if (random_.chance(30)) lose(former, draw_loss());
  split_ = true;
  forced_ = is_refused(other);
  if (forced_) (void)other.force_primary();
  // Only now: what the former had sent by then may have arrived.
  other_line_ =
      std::make_unique<Timeline>(world_, line_->history.fork(), random_.fork(), swarm_.workload);
  if (swarm_.discards_refused) other_line_->workload.discards_are_advice();
  other_line_->workload.attach(other);
  watch_acknowledgements(*other_line_);
  other_line_->workload.start();
  world_.run_until([&former] { return !former.status().connected; }, 1min);
}

void Life::come_back(Machine& former) {
  if (std::exchange(power_lost_, false)) lose_unflushed();
  former.boot();
  if (random_.chance(50)) {
    if (!is_refused(former)) pass_time();
  }
}

/// The loser becomes secondary. What the winner tells then decides.
void Life::rejoin(Machine& winner, Machine& loser, Wrote wrote) {
  Timeline& lost = &loser == primary_ ? *line_ : *other_line_;
  lost.workload.stop();
  // Clients of the node that did not write alone would see the other's data come over theirs.
  if (wrote != Wrote::both) line_->workload.stop();
  const bool mixture = forced_ && &loser != primary_;
  const bool whole =
      loser.status().role == Role::primary && loser.status().io.stale_bytes == 0 && !mixture;
  take_up(loser, Role::secondary);
  if (is_refused(winner)) {
    // By force it serves whatever mixture it has.
    Timeline& kept = &winner == primary_ ? *line_ : *other_line_;
    kept.history = kept.history.fork();
    (void)winner.force_primary();
  }
  const auto has_failed = [&winner] { return winner.status().io.local_lost; };
  const auto have_met = [&] { return winner.status().split_brain || world_.synced(winner); };
  const bool met = world_.run_until([&] { return have_met() || has_failed(); }, 2min);
  // In the split, before the disks were repaired; the loser stands in until it is taken back.
  take_component_back(winner);
  if (!met || !world_.run_until(have_met, 2min))
    return blame("the halves of a split brain do not find each other (INV-13)");
  const bool split = winner.status().split_brain;
  if (!split && wrote == Wrote::both) return blame("a split brain was merged (INV-7)");
  // Who had to be promoted by force, or freezes, may lack something and does not know it.
  if (!split && !may_fall_back_ && wrote == Wrote::one && !swarm_.freezes()) {
    // What the former had promised, a flush alone included, went nowhere.
    History promised = line_->history;
    if (lost_power_.contains(&secondary())) promised.power_lost();
    if (auto problem = promised.read_beside(other_line_->history, winner.data()))
      blame("promised by the former primary: " + *problem);
  }
  // Without one the node that wrote alone, which is the one that was promoted, was the source.
  if (&winner != primary_ || !split) line_.swap(other_line_);
  other_line_->workload.stop();
  if (!world_.run_until([this] { return other_line_->workload.idle(); }, 1min))
    return blame("a request is never answered by the half that is given up");
  if (split && whole) {
    // Its changes are given up only now. Until then they were all there.
    if (auto problem = platter_problem(loser, other_line_->history))
      blame("the loser: " + *problem);
  }
  if (split) give_up_half(loser);
  settle_split(winner);
}

/// As the documentation says: the loser's changes are given up, or its whole copy with them.
void Life::give_up_half(Machine& loser) {
  if (random_.chance(60) && resolve_half(loser)) return;
  take_up(loser, Role::init);
  replace_disk(loser);
  take_up(loser, Role::secondary);
}

/// False if it is not possible: a disk of the loser fails, or it never saw the split itself.
bool Life::resolve_half(Machine& loser) {
  const bool seen =
      world_.run_until([&loser] { return loser.status().split_brain || !loser.up(); }, 30s);
  if (!seen || !loser.up()) return false;
  const std::optional<Result<engine::Discarded>> discarded = loser.discard_own_changes();
  if (!discarded) blame("a resolve does not end");
  if (!discarded || !*discarded) return false;
  facts_.forget(loser);  // its count is taken back
  mixes_halves_ = true;
  Machine& winner = world_.other(loser);
  const bool met = world_.run_until(
      [&winner] { return winner.status().connected && !winner.status().split_brain; }, 1min);
  if (!met && !swarm_.has_disk_errors()) blame("a resolved split brain stays one (INV-13)");
  return met;
}

void Life::settle_split(Machine& winner) {
  primary_ = &winner;
  power_lost_ = false;
  line_->workload.attach(winner);
  line_->workload.start();
  other_line_.reset();
  split_ = false;
  agreed_.assign(agreed_.size(), 0);
  may_fall_back_ = true;
}

/// What is wrong with the bytes on a node's own disk, whoever may read them.
std::optional<std::string> Life::platter_problem(Machine& machine, History& history) {
  const History::Range everything{0, history.sectors()};
  return history.read(everything, machine.data());
}

}  // namespace hast::sim
