// Who synchronises from whom: the decision the secondary takes in every handshake, as a pure table
// (semantics §6). Never merges a split brain (INV-7).
#pragma once

#include <cstdint>

#include "hast/base/generations.hpp"
#include "hast/base/result.hpp"
#include "hast/base/types.hpp"

namespace hast::core {

/// One node's view: `local` counts its own disconnected episodes, `remote` what it knows of the
/// peer's.
struct Counters {
  std::uint64_t local = 0;
  std::uint64_t remote = 0;
  bool operator==(const Counters&) const = default;
};

/// What a primary says of itself in step 2 of the handshake.
struct PrimaryFacts {
  std::uint64_t resuid = 0;
  bool virgin = false;  // it made `resuid` just now
  Counters counters;
  Generations generations;    // unknown from an original
  bool inconsistent = false;  // it is primary all the same and serves what it lacks from its peer
};

/// What the secondary compares them with.
struct SecondaryFacts {
  std::uint64_t resuid = 0;  // 0: it never met a primary
  Counters counters;
  Generations generations;
  bool inconsistent = false;
  std::uint64_t sync_from = 0;  // see ondisk::Metadata
};

enum class SyncKind : std::uint8_t {
  own_extents,  // both sides are new: the primary's own dirty extents
  regular,      // the union of both maps
  full,         // everything
};

struct SyncDecision {
  SyncSource source = SyncSource::primary;
  SyncKind kind = SyncKind::regular;
  bool virgin = false;  // the secondary has never met a primary and adopts its resuid
  bool operator==(const SyncDecision&) const = default;
};

/// By generations where both nodes have them, by counters otherwise. An inconsistent secondary is
/// never the source (INV-5). Errors: resuid_mismatch, split_brain, both_inconsistent.
Result<SyncDecision> decide_sync(const SecondaryFacts& secondary, const PrimaryFacts& primary);

/// What takes the place of a split-brain when the operator gives up what the secondary wrote alone:
/// both maps know everything that changed since the nodes were equal, if they were so together.
SyncDecision decide_discard(const SecondaryFacts& secondary, const PrimaryFacts& primary);

/// Rows 1–9 of semantics §6. Errors: resuid_mismatch, split_brain.
Result<SyncDecision> decide_by_counters(std::uint64_t secondary_resuid, Counters secondary,
                                        const PrimaryFacts& primary);

}  // namespace hast::core
