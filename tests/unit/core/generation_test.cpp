#include "hast/core/generation.hpp"

#include <array>
#include <string>

#include "support/catch.hpp"

using namespace hast;
using namespace hast::core;

namespace {

constexpr std::uint64_t kResuid = 77;

PrimaryFacts primary_with(std::uint64_t local, std::uint64_t remote, bool virgin = false) {
  return {kResuid, virgin, {local, remote}};
}

enum class Expected { full_primary, full_secondary, regular_primary, regular_secondary, split };

Expected outcome(const Result<SyncDecision>& decision) {
  if (!decision) {
    REQUIRE(decision.error().code == Errc::split_brain);
    return Expected::split;
  }
  REQUIRE(decision->kind != SyncKind::own_extents);
  CHECK_FALSE(decision->virgin);
  const bool full = decision->kind == SyncKind::full;
  if (decision->source == SyncSource::primary)
    return full ? Expected::full_primary : Expected::regular_primary;
  return full ? Expected::full_secondary : Expected::regular_secondary;
}

/// Two nodes with their counters; acts out the histories of semantics §5.
struct Node {
  std::string name;
  Counters counters;
  std::uint64_t resuid = kResuid;
};

Result<SyncDecision> meet(const Node& primary, const Node& secondary) {
  return decide_by_counters(secondary.resuid, secondary.counters,
                            {primary.resuid, false, primary.counters});
}
void write_alone(Node& primary) { ++primary.counters.local; }
void synchronise(Node& primary, const Node& secondary) {
  primary.counters = {secondary.counters.remote, secondary.counters.local};
}

}  // namespace

TEST_CASE("row 1: two new nodes copy only what the primary wrote") {
  const Result<SyncDecision> decision = decide_by_counters(0, {}, primary_with(0, 0, true));
  REQUIRE(decision);
  CHECK(*decision == SyncDecision{SyncSource::primary, SyncKind::own_extents, true});
}

TEST_CASE("row 2: a new secondary of a used primary gets everything, whatever the counters") {
  for (const Counters counters : {Counters{0, 0}, Counters{3, 0}, Counters{0, 4}}) {
    const Result<SyncDecision> decision = decide_by_counters(0, {0, 9}, {kResuid, false, counters});
    REQUIRE(decision);
    CHECK(*decision == SyncDecision{SyncSource::primary, SyncKind::full, true});
  }
}

TEST_CASE("INV-7: a node that was written before it ever met a peer is overwritten by nobody") {
  CHECK(decide_by_counters(0, {1, 0}, primary_with(0, 0, true)).error().code == Errc::split_brain);
  CHECK(decide_by_counters(0, {1, 0}, primary_with(0, 0)).error().code == Errc::split_brain);
}

TEST_CASE("row 3: components that never belonged together are refused before counters count") {
  const Result<SyncDecision> decision = decide_by_counters(kResuid + 1, {}, primary_with(0, 0));
  REQUIRE_FALSE(decision);
  CHECK(decision.error().code == Errc::resuid_mismatch);
  CHECK(decide_by_counters(kResuid + 1, {5, 0}, primary_with(5, 0)).error().code ==
        Errc::resuid_mismatch);
}

TEST_CASE("INV-9: a primary that says it is nobody is refused") {
  CHECK_FALSE(decide_by_counters(0, {}, {0, true, {}}));
  CHECK_FALSE(decide_by_counters(0, {}, {0, false, {}}));
  CHECK_FALSE(decide_by_counters(kResuid, {}, {0, false, {}}));
}

TEST_CASE("row 3: a used secondary refuses a primary that calls itself new") {
  CHECK_FALSE(decide_by_counters(kResuid + 1, {}, primary_with(0, 0, true)));
}

TEST_CASE("INV-7: the nine combinations of counters have the nine outcomes of the grid") {
  // sl against pr down, pl against sr across.
  using E = Expected;
  const std::array<std::array<E, 3>, 3> grid{{
      {E::full_primary, E::full_primary, E::full_primary},
      {E::full_primary, E::regular_primary, E::regular_primary},
      {E::full_secondary, E::regular_secondary, E::split},
  }};
  const std::uint64_t base = 10;
  for (unsigned row = 0; row < 3; ++row) {
    for (unsigned column = 0; column < 3; ++column) {
      const std::uint64_t pr = base, sr = base;
      const std::uint64_t sl = pr + row - 1;
      const std::uint64_t pl = sr + column - 1;
      INFO("sl " << sl << " pr " << pr << " pl " << pl << " sr " << sr);
      CHECK(outcome(decide_by_counters(kResuid, {sl, sr}, primary_with(pl, pr))) ==
            grid[row][column]);
    }
  }
}

TEST_CASE("INV-7: a large difference decides like a small one, also at the ends of the range") {
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  CHECK(outcome(decide_by_counters(kResuid, {kMost, 0}, primary_with(kMost, 0))) ==
        Expected::split);
  CHECK(outcome(decide_by_counters(kResuid, {kMost, kMost}, primary_with(kMost, kMost))) ==
        Expected::regular_primary);
  CHECK(outcome(decide_by_counters(kResuid, {kMost, 0}, primary_with(0, 0))) ==
        Expected::regular_secondary);
  CHECK(outcome(decide_by_counters(kResuid, {0, 0}, primary_with(0, kMost))) ==
        Expected::full_primary);
}

TEST_CASE("history: the secondary was away, returns and is synchronised from the primary") {
  Node a{"A", {}}, b{"B", {}};
  write_alone(a);
  CHECK(a.counters == Counters{1, 0});
  CHECK(outcome(meet(a, b)) == Expected::regular_primary);
  synchronise(a, b);
  CHECK(a.counters == Counters{0, 0});
  CHECK(outcome(meet(a, b)) == Expected::regular_primary);
}

TEST_CASE("history: the old primary returns as secondary and is synchronised from the new one") {
  Node a{"A", {}}, b{"B", {}};
  write_alone(b);
  CHECK(outcome(meet(b, a)) == Expected::regular_primary);
  synchronise(b, a);
  CHECK(b.counters == Counters{0, 0});
}

TEST_CASE("history: the old primary returns as primary and is synchronised from the secondary") {
  Node a{"A", {}}, b{"B", {}};
  write_alone(b);
  CHECK(outcome(meet(a, b)) == Expected::regular_secondary);
  synchronise(a, b);
  CHECK(a.counters == Counters{0, 1});
  CHECK(b.counters == Counters{1, 0});
  CHECK(outcome(meet(a, b)) == Expected::regular_primary);
  CHECK(outcome(meet(b, a)) == Expected::regular_primary);
}

TEST_CASE("INV-7: both nodes wrote alone: split-brain, whoever is primary") {
  Node a{"A", {}}, b{"B", {}};
  write_alone(a);
  write_alone(b);
  CHECK(outcome(meet(a, b)) == Expected::split);
  CHECK(outcome(meet(b, a)) == Expected::split);
}

TEST_CASE("INV-7: weakness 5, counted at each start, ends as a split-brain") {
  Node a{"A", {}}, b{"B", {}};
  write_alone(b);     // A died, B was promoted and wrote
  synchronise(a, b);  // A returned as primary and copied from B
  write_alone(a);     // partition
  write_alone(b);     // B is promoted again: the original does not count this
  CHECK(outcome(meet(a, b)) == Expected::split);
  CHECK(outcome(meet(b, a)) == Expected::split);
}

TEST_CASE("counting an episode twice changes no decision") {
  for (std::uint64_t extra : {1u, 2u, 100u}) {
    Node a{"A", {}}, b{"B", {}};
    a.counters.local += extra;
    CHECK(outcome(meet(a, b)) == Expected::regular_primary);
    CHECK(outcome(meet(b, a)) == Expected::regular_secondary);
  }
}

// Generations -------------------------------------------------------------------------------------

namespace {

struct Peer {
  Generations generations;
  Counters counters;
};

Peer peer_in(std::uint64_t synced, std::initializer_list<std::uint64_t> ids) {
  Peer node;
  for (const std::uint64_t id : ids) node.generations.begin(id);
  node.generations.synced = synced;
  return node;
}

Result<SyncDecision> meeting_of(const Peer& secondary, const Peer& primary) {
  return decide_sync({kResuid, secondary.counters, secondary.generations},
                     {kResuid, false, primary.counters, primary.generations});
}

}  // namespace

TEST_CASE("INV-7: the node whose past contains the other's generation is the newer one") {
  const Peer old = peer_in(10, {10});
  const Peer newer = peer_in(10, {10, 11, 12});
  CHECK(*meeting_of(old, newer) == SyncDecision{SyncSource::primary, SyncKind::regular, false});
  CHECK(*meeting_of(newer, old) == SyncDecision{SyncSource::secondary, SyncKind::regular, false});
}

TEST_CASE("INV-7: two generations that both began after the same one are a split-brain") {
  CHECK(meeting_of(peer_in(10, {10, 21}), peer_in(10, {10, 11})).error().code == Errc::split_brain);
  CHECK(meeting_of(peer_in(0, {3}), peer_in(0, {4})).error().code == Errc::split_brain);
}

TEST_CASE("INV-7: counters that hide a split-brain do not hide it from generations") {
  // Weakness 5 of the original: both wrote alone, and the counters call it a regular resync.
  Peer a = peer_in(10, {10, 11});
  Peer b = peer_in(10, {10, 21});
  a.counters = {1, 1};
  b.counters = {1, 0};
  REQUIRE(decide_by_counters(kResuid, b.counters, {kResuid, false, a.counters}));
  CHECK(meeting_of(b, a).error().code == Errc::split_brain);
}

TEST_CASE("a map that does not reach back to the other's generation means a full copy") {
  CHECK(meeting_of(peer_in(9, {9, 10}), peer_in(8, {8, 9, 10, 11}))->kind == SyncKind::full);
  CHECK(meeting_of(peer_in(10, {10}), peer_in(Generations::kUntracked, {10, 11}))->kind ==
        SyncKind::full);
}

TEST_CASE("INV-12: a map that tracked nothing means a full copy where the counters decide, too") {
  Peer alone = peer_in(Generations::kUntracked, {10, 11});
  alone.counters = {1, 0};
  Peer unknown = peer_in(0, {});
  unknown.generations = {};
  CHECK(*meeting_of(unknown, alone) == SyncDecision{SyncSource::primary, SyncKind::full, false});
  CHECK(*meeting_of(alone, unknown) == SyncDecision{SyncSource::secondary, SyncKind::full, false});
}

TEST_CASE("within one generation, or where one node knows none, the counters decide") {
  Peer a = peer_in(10, {10});
  Peer b = peer_in(10, {10});
  b.counters = {1, 0};
  CHECK(meeting_of(b, a)->source == SyncSource::secondary);
  a.generations = {};
  CHECK(meeting_of(b, a)->source == SyncSource::secondary);
  a.counters = {1, 0};
  CHECK(meeting_of(b, a).error().code == Errc::split_brain);
}

TEST_CASE("INV-5: an interrupted resync goes on where the primary's map still knows what is due") {
  const Peer primary = peer_in(10, {10, 11, 12});
  SecondaryFacts target{kResuid, {}, peer_in(10, {10}).generations, true, 11};
  const PrimaryFacts facts{kResuid, false, {}, primary.generations};
  CHECK(*decide_sync(target, facts) == SyncDecision{SyncSource::primary, SyncKind::regular, false});
  target.sync_from = 77;  // of somebody else's past
  CHECK(*decide_sync(target, facts) == SyncDecision{SyncSource::primary, SyncKind::full, false});
  PrimaryFacts lagging = facts;
  lagging.inconsistent = true;
  CHECK(decide_sync(target, lagging).error().code == Errc::both_inconsistent);
}

TEST_CASE(
    "INV-7: whoever gives up what it wrote alone gets what changed since the nodes were equal") {
  const Generations of_ten = peer_in(10, {10, 11}).generations;
  struct Row {
    const char* secondary_is;
    std::uint64_t resuid;
    Generations secondary, primary;
    SyncKind kind;
  };
  const Row rows[] = {
      {"equal before, in ten", kResuid, peer_in(10, {10, 21}).generations, of_ten,
       SyncKind::regular},
      {"equal before, but not in ten", kResuid, peer_in(9, {9, 21}).generations, of_ten,
       SyncKind::full},
      {"equal in ten, the primary not since nine", kResuid, of_ten,
       peer_in(9, {9, 10, 21}).generations, SyncKind::full},
      {"never equal, nor the primary", kResuid, peer_in(0, {21}).generations,
       peer_in(0, {11}).generations, SyncKind::full},
      {"alone since nobody tracks, and so the primary", kResuid,
       peer_in(Generations::kUntracked, {10, 21}).generations,
       peer_in(Generations::kUntracked, {10, 11}).generations, SyncKind::full},
      {"used by an original last", kResuid, {}, of_ten, SyncKind::regular},
      {"of a primary that is an original", kResuid, of_ten, {}, SyncKind::regular},
      {"new, of whatever generation", 0, of_ten, of_ten, SyncKind::full},
      {"new, of none", 0, {}, {}, SyncKind::full},
  };
  for (const Row& row : rows) {
    INFO(row.secondary_is);
    const SyncDecision decision =
        decide_discard({row.resuid, {1, 0}, row.secondary}, {kResuid, false, {1, 0}, row.primary});
    CHECK(decision == SyncDecision{SyncSource::primary, row.kind, row.resuid == 0});
  }
}

TEST_CASE("counters that fell mean a full copy, from the side that generations call the newer") {
  Peer older = peer_in(10, {10});
  Peer newer = peer_in(10, {10, 11});
  REQUIRE(meeting_of(older, newer)->kind == SyncKind::regular);
  newer.counters.remote = 3;  // and the older one says that it counted none
  CHECK(*meeting_of(older, newer) == SyncDecision{SyncSource::primary, SyncKind::full, false});
  newer.counters = {};
  older.counters.remote = 3;
  CHECK(*meeting_of(newer, older) == SyncDecision{SyncSource::secondary, SyncKind::full, false});
}
