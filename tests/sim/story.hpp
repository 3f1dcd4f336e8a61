// A short history of a pair, always the same: connected writes, a flush, a forced write, zeros, a
// lost connection, writes alone, a resync, an orderly end. Sweeps let something happen at each of
// its disk operations in turn, and then the pair must come back with what it acknowledged.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkers.hpp"
#include "history.hpp"
#include "world.hpp"

namespace hast::sim {

class Story {
 public:
  explicit Story(Replication mode);
  ~Story();

  World& world() { return world_; }
  Machine& victim(unsigned which) { return which == 0 ? world_.a() : world_.b(); }

  /// Tells it to the end, or until the primary is gone. `before` sees each disk operation of
  /// `machine`, counted from 1.
  void tell(Machine& machine, std::function<void(std::uint64_t operation)> before);
  std::uint64_t operations() const { return operations_; }

  /// The operator: restarts whoever is down, takes back or replaces disks, waits for both to be in
  /// sync, reads everything.
  enum class Primary { same, other };
  void recover(Primary choice);
  /// At the loss of the primary the other node had everything.
  bool other_was_complete() const { return other_was_complete_; }
  /// Called before a machine goes down.
  void note_loss(Machine& machine, bool power);
  /// An orderly end that leaves both nodes equal and no bit set.
  void finish();

  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  void write(std::uint64_t sector, std::uint64_t count, IoKind kind = IoKind::write);
  void forced_write(std::uint64_t sector, std::uint64_t count);
  void request(ClientRequest asked, const History::Range& range);
  void flush();
  void take_up(Machine& machine, Role role);
  void promote_other();
  void blame(std::string what) { wrong_.push_back(std::move(what)); }
  bool goes_on() { return primary_->serving() && wrong_.empty(); }

  World world_;
  History history_;
  MarkGuard guard_;
  Machine* primary_;
  std::uint64_t operations_ = 0;
  bool other_was_complete_ = false;
  bool power_lost_ = false;
  std::vector<std::string> wrong_;
};

}  // namespace hast::sim
