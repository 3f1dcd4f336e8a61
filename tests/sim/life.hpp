// A pair of nodes through a random life: a workload, crashes and power losses at any operation, cut
// and healing networks, handovers, and an operator who follows the documented procedure: a node is
// promoted only if it held everything when the other was lost. At its end everything heals, and
// then nothing acknowledged may be missing, the nodes must be equal, and no bit may be set.
//
// One seed draws it all; equal seeds live equal lives.
#pragma once

#include <string>
#include <vector>

#include "checkers.hpp"
#include "workload.hpp"
#include "world.hpp"

namespace hast::sim {

class Life {
 public:
  explicit Life(std::uint64_t seed);
  ~Life();

  /// Lives it to the end, or to the first thing that is wrong.
  void run();

  const std::vector<std::string>& wrong() const { return wrong_; }
  std::uint64_t digest() { return world_.trace().digest(); }
  std::string summary();
  double seconds() { return static_cast<double>(world_.now().count()) / 1e9; }

 private:
  static WorldOptions draw(SeededRandom& random);
  static WorkloadOptions draw_workload(SeededRandom& random);

  enum class Loss { kill, power };
  void event();
  void lose(Machine& machine, Loss loss);
  /// Dies while it submits its n-th disk operation from now, or after a while.
  void lose_at_operation(Machine& machine, Loss loss);
  Loss draw_loss();
  void lose_primary();
  void lose_primary_alone();
  void lose_secondary();
  void lose_both();
  void disturb_network();
  void hand_over();
  void restart_primary();
  void restart_secondary();
  void take_up(Machine& machine, Role role);
  void promote(Machine& machine);
  void pass_time();
  void note_agreement();
  bool other_holds_everything();
  void end();
  void read_everything();
  void check();
  void blame(std::string what);
  Machine& secondary() { return world_.other(*primary_); }

  SeededRandom random_;
  World world_;
  History history_;
  Workload workload_;
  MarkGuard guard_;
  Machine* primary_;
  bool power_lost_ = false;             // the primary's drive lost what was not flushed
  bool other_held_everything_ = false;  // when the primary was lost
  History::Moment agreed_;              // acknowledged when both nodes last held everything
  std::uint64_t events_ = 0;
  std::uint64_t losses_ = 0;
  std::vector<std::string> wrong_;
};

}  // namespace hast::sim
