// Judges outside the system: they look at the platters, past every cache and every claim.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "history.hpp"
#include "world.hpp"

namespace hast::sim {

/// What a fresh process would find: after a power loss, or after its predecessor was killed.
enum class Layer { durable, newest };

/// Both have the same resource id: they have met.
bool belong_together(Machine& one, Machine& other);
/// It says, and no crash makes it forget, that it has changed and nobody knows where (INV-12).
bool is_untracked(Machine& machine);
Bitmap map_of(Machine& machine, Layer layer);

/// INV-2, as it can be seen: an extent that neither node has marked is equal on both. Holds at
/// every instant, whoever is up, as soon as both belong together. Nothing if all is well.
std::optional<std::string> unmarked_difference(World& world, Layer layer = Layer::durable);

/// INV-3, INV-7, INV-10: no node knows of more episodes than its peer counted, and the sequence of
/// the metadata only rises.
class FactGuard {
 public:
  /// Failing disks: a copy may be torn while the other one could not be brought up to date.
  enum class Disks { sound, failing };
  explicit FactGuard(World& world, Disks disks = Disks::sound) : world_(world), disks_(disks) {}
  /// What is wrong now, on stable storage.
  std::optional<std::string> look();
  /// `machine` was created anew.
  void forget(Machine& machine);

 private:
  World& world_;
  Disks disks_;
  std::uint64_t sequence_a_ = 0;
  std::uint64_t sequence_b_ = 0;
  bool counts_anew_ = false;  // one of them, until the nodes have been equal
};

/// INV-5, INV-11, INV-12, at every acknowledgement: where the disk of the primary failed the write,
/// it is on stable storage of either node that the other one alone has it.
class LagGuard {
 public:
  /// An original as the other node can note nothing.
  enum class Peer { native, original };
  LagGuard(World& world, Peer peer);
  ~LagGuard();
  void acknowledged(Machine& primary, std::uint64_t offset, std::uint64_t length);
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  void completed(Machine& machine, const port::DiskOp& op);
  bool is_noted(Machine& primary);
  Bitmap& failed(Machine& machine) { return &machine == &world_.a() ? failed_a_ : failed_b_; }

  World& world_;
  Peer peer_;
  Bitmap failed_a_;  // sectors of the volume whose last write failed
  Bitmap failed_b_;
  std::vector<std::string> wrong_;
};

/// INV-3: what fullsync acknowledged and the other node has not is counted, on the platter. Nothing
/// if that is so.
std::optional<std::string> uncounted(World& world, Machine& primary, const History::Range& range,
                                     History::Stamp stamp);

/// INV-1, at every write: no byte of data is written on either node under an extent whose bit is
/// not on stable storage of the other one's or its own activemap. Watches from its construction on.
class MarkGuard {
 public:
  explicit MarkGuard(World& world, Layer layer = Layer::durable);
  ~MarkGuard();
  const std::vector<std::string>& wrong() const { return wrong_; }

  /// Somebody else who wants to see operations, after the guard.
  void also(Machine& machine, std::function<void(const port::DiskOp&)> watcher);

 private:
  void look(Machine& machine, const port::DiskOp& op);
  bool marked(Machine& machine, std::uint64_t extent) const;
  bool has_no_map(Machine& machine);
  bool is_repair(Machine& machine, const port::DiskOp& op);

  World& world_;
  Layer layer_;
  Machine* without_map_ = nullptr;
  ondisk::Layout layout_a_;
  ondisk::Layout layout_b_;
  std::vector<std::string> wrong_;
};

}  // namespace hast::sim
