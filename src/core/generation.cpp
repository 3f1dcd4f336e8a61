#include "hast/core/generation.hpp"

namespace hast::core {

Result<SyncDecision> decide_sync(std::uint64_t secondary_resuid, Counters secondary,
                                 const PrimaryFacts& primary) {
  if (primary.resuid == 0) return Errc::resuid_mismatch;  // it says it is nobody (INV-9)
  if (secondary_resuid == 0) {
    return SyncDecision{SyncSource::primary,
                        primary.virgin ? SyncKind::own_extents : SyncKind::full, true};
  }
  if (secondary_resuid != primary.resuid) return Errc::resuid_mismatch;

  // Each node's own count against what the other knows of it: more means it wrote alone.
  const bool secondary_wrote_alone = secondary.local > primary.counters.remote;
  const bool primary_wrote_alone = primary.counters.local > secondary.remote;
  const bool secondary_fell_back = secondary.local < primary.counters.remote;
  const bool primary_fell_back = primary.counters.local < secondary.remote;

  if (secondary_wrote_alone && primary_wrote_alone) return Errc::split_brain;  // INV-7
  // A count below what the peer remembers means lost metadata: only a full copy is safe then.
  const SyncKind kind =
      secondary_fell_back || primary_fell_back ? SyncKind::full : SyncKind::regular;
  const SyncSource source = secondary_wrote_alone ? SyncSource::secondary : SyncSource::primary;
  return SyncDecision{source, kind, false};
}

}  // namespace hast::core
