// Judges outside the system: they look at the platters, past every cache and every claim.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "world.hpp"

namespace hast::sim {

/// INV-2, as it can be seen: an extent that neither node has marked is equal on the stable storage
/// of both. Holds at every instant, whoever is up. Nothing if all is well.
std::optional<std::string> unmarked_difference(World& world);

/// INV-1, at every write: no byte of data is written on either node under an extent whose bit is
/// not on stable storage of the other one's or its own activemap. Watches from its construction on.
class MarkGuard {
 public:
  explicit MarkGuard(World& world);
  ~MarkGuard();
  const std::vector<std::string>& wrong() const { return wrong_; }

  /// Somebody else who wants to see operations, after the guard.
  void also(Machine& machine, std::function<void(const port::DiskOp&)> watcher);

 private:
  void look(Machine& machine, const port::DiskOp& op);
  static bool marked(Machine& machine, std::uint64_t extent);

  World& world_;
  ondisk::Layout layout_a_;
  ondisk::Layout layout_b_;
  std::vector<std::string> wrong_;
};

}  // namespace hast::sim
