// A pair of nodes through a random life: clients at work, troubles of every kind (Trouble), and an
// operator who follows the documented procedure: a node is promoted only if it held everything when
// the other was lost. In some lives he does not (split_brain). At its end everything heals, and
// then nothing acknowledged may be missing, the nodes must be equal, and no bit may be set.
//
// One seed draws it all; equal seeds live equal lives.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "checkers.hpp"
#include "swarm.hpp"

namespace hast::sim {

/// What clients of one node did and may expect. There are two only in a split brain.
struct Timeline {
  Timeline(World& world, History past, SeededRandom random, const WorkloadOptions& options)
      : history(std::move(past)), workload(world, history, random, options) {}
  History history;
  Workload workload;
};

class Life {
 public:
  explicit Life(std::uint64_t seed);
  /// With given choices: the seed draws the rest.
  Life(std::uint64_t seed, Swarm swarm);
  ~Life();

  /// Lives it to the end, or to the first thing that is wrong.
  void run();

  const std::vector<std::string>& wrong() const { return wrong_; }
  std::uint64_t digest() { return world_.trace().digest(); }
  std::string summary();
  double seconds() { return static_cast<double>(world_.now().count()) / 1e9; }

 private:
  Life(SeededRandom random, Swarm swarm);

  // The course of things.
  void begin();
  void watch_acknowledgements(Timeline& line);
  void happen(Trouble trouble);
  void pass_time();
  void permit_alone();
  void note_agreement();
  bool other_holds_everything();
  bool nothing_on_its_way();
  Machine& secondary() { return world_.other(*primary_); }

  // Losses, and what the operator does about them.
  enum class Loss { kill, power };
  Loss draw_loss();
  void lose(Machine& machine, Loss loss);
  void lose_unflushed();
  /// Dies while it submits its n-th disk operation from now, or after a while.
  void lose_at_operation(Machine& machine);
  void lose_primary();
  void lose_secondary();
  void lose_both();
  void revive_other();
  void restart_primary();
  void restart_secondary();
  void resume_primary();
  void replace_primary();
  void give_way();
  bool is_refused(Machine& machine);
  void look_at_disks();
  bool must_be_replaced(Machine& machine);
  bool stands_alone(Machine& machine);
  void take_up(Machine& machine, Role role);
  void promote(Machine& machine);
  void hand_over();
  void early_hand_over();
  void lose_disk_while_behind();
  void bounce(Machine& machine);
  void reload();

  // What goes wrong outside the processes.
  static constexpr port::Duration kSlowestDelay = std::chrono::seconds(3);
  void cut_network();
  void forget_connections();
  void slow_network();
  void slow_disk();
  void stick_disk();
  void fail_some_operations();
  void lose_a_flush();
  void break_disk();
  void fill_disk();
  void damage_metadata();
  void lose_disk();
  void replace_disk(Machine& machine);
  void take_component_back(Machine& machine);
  bool component_is_useless() const;
  bool primary_is_whole();
  void repair(Machine& machine);
  void repair_everything();
  Machine& any_machine() { return random_.chance(50) ? world_.a() : world_.b(); }
  void later(port::Duration least, port::Duration most, VirtualClock::Action action);

  // An operator who does not follow the procedure.
  void split_brain();
  void part(Machine& former, Machine& other);
  void stay_frozen();
  void flush_alone();
  void come_back(Machine& former);
  enum class Wrote { one, perhaps_both, both };
  void rejoin(Machine& winner, Machine& loser, Wrote wrote);
  void give_up_half(Machine& loser);
  bool resolve_half(Machine& loser);
  void settle_split(Machine& winner);
  std::optional<std::string> platter_problem(Machine& machine, History& history);

  // Judging.
  /// What counts where no power is ever lost is what was written, flushed or not.
  Layer layer() const { return swarm_.power_losses ? Layer::durable : Layer::newest; }
  void end();
  bool comes_in_sync();
  void reconcile();
  void read_everything();
  void check();
  void blame(std::string what);

  SeededRandom random_;
  Swarm swarm_;
  World world_;
  std::unique_ptr<Timeline> line_;
  std::unique_ptr<Timeline> other_line_;  // in a split brain, of the node that was promoted
  MarkGuard guard_;
  FactGuard facts_;
  LagGuard lags_;
  Machine* primary_;
  Machine* diskless_ = nullptr;          // has given up its disk, until it is in sync again
  bool lagging_ = false;                 // the primary has not all that was acknowledged
  bool power_lost_ = false;              // the primary's drive lost what was not flushed
  std::set<const Machine*> lost_power_;  // and with it what was not flushed, until they agree
  bool other_held_everything_ = false;   // when the primary was lost
  bool may_fall_back_ = false;           // async was in force since the nodes last agreed
  bool split_ = false;                   // both nodes were made primary, and nobody decided yet
  bool forced_ = false;                  // in a split brain the second one was promoted by force
  bool permitted_ = false;               // the primary may go on alone, until it has its peer again
  bool mixes_halves_ = false;            // a half is given up in place, until the nodes are equal
  bool abandoned_ = false;               // nothing more can be said of this life
  History::Moment agreed_;               // acknowledged when both nodes last held everything
  std::uint64_t losses_ = 0;
  std::vector<std::string> happened_;
  std::vector<std::string> wrong_;
};

}  // namespace hast::sim
