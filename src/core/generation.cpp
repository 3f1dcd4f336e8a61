#include "hast/core/generation.hpp"

namespace hast::core {

namespace {

/// The generation that the newer node was in when the nodes were last equal must be the one that
/// the older is still in: only then the newer one's map knows everything that changed since.
SyncDecision newer(SyncSource source, const Generations& newer, const Generations& older) {
  const SyncKind kind = newer.synced == older.current ? SyncKind::regular : SyncKind::full;
  return {source, kind, false};
}

Result<SyncDecision> decide_by_generations(const Generations& secondary,
                                           const Generations& primary) {
  if (primary.contains(secondary.current)) return newer(SyncSource::primary, primary, secondary);
  if (secondary.contains(primary.current)) return newer(SyncSource::secondary, secondary, primary);
  return Errc::split_brain;  // INV-7
}

/// It was being repaired from one of the primary's generations, whose map is still right.
bool resumes(const SecondaryFacts& secondary, const PrimaryFacts& primary) {
  return secondary.inconsistent && primary.generations.contains(secondary.sync_from) &&
         primary.generations.synced != Generations::kUntracked;
}

Result<SyncDecision> decide_related(const SecondaryFacts& secondary, const PrimaryFacts& primary) {
  Result<SyncDecision> by_counters =
      decide_by_counters(secondary.resuid, secondary.counters, primary);
  if (by_counters) {
    const bool ours = by_counters->source == SyncSource::secondary;
    const Generations& source = ours ? secondary.generations : primary.generations;
    // INV-12: its map does not know what the other one lacks.
    if (source.synced == Generations::kUntracked) by_counters->kind = SyncKind::full;
  }
  // Of one generation: nobody wrote alone since there are generations; before that, who knows.
  if (secondary.generations.current == primary.generations.current ||
      !secondary.generations.known() || !primary.generations.known())
    return by_counters;
  Result<SyncDecision> decision = decide_by_generations(secondary.generations, primary.generations);
  // Fallen counters mean lost metadata, and so perhaps a lost generation.
  if (decision && by_counters && by_counters->kind == SyncKind::full)
    decision = SyncDecision{decision->source, SyncKind::full, false};
  return decision;
}

}  // namespace

Result<SyncDecision> decide_sync(const SecondaryFacts& secondary, const PrimaryFacts& primary) {
  const bool unrelated = primary.resuid == 0 || secondary.resuid != primary.resuid;
  if (unrelated) return decide_by_counters(secondary.resuid, secondary.counters, primary);
  if (secondary.inconsistent && primary.inconsistent) return Errc::both_inconsistent;
  if (resumes(secondary, primary))
    return SyncDecision{SyncSource::primary, SyncKind::regular, false};
  // INV-5. Whatever it counted before: when it was marked its peer had all that it acknowledged.
  if (secondary.inconsistent) return SyncDecision{SyncSource::primary, SyncKind::full, false};
  return decide_related(secondary, primary);
}

SyncDecision decide_discard(const SecondaryFacts& secondary, const PrimaryFacts& primary) {
  const bool met = secondary.resuid != 0;
  const bool both_known = secondary.generations.known() && primary.generations.known();
  const std::uint64_t base = secondary.generations.synced;
  const bool same_base =
      base == primary.generations.synced && base != 0 && base != Generations::kUntracked;
  const SyncKind kind = met && (!both_known || same_base) ? SyncKind::regular : SyncKind::full;
  return {SyncSource::primary, kind, !met};
}

Result<SyncDecision> decide_by_counters(std::uint64_t secondary_resuid, Counters secondary,
                                        const PrimaryFacts& primary) {
  if (primary.resuid == 0) return Errc::resuid_mismatch;  // it says it is nobody (INV-9)
  if (secondary_resuid == 0) {
    // It never met a peer, and was written all the same: nobody has these data but it (INV-7).
    if (secondary.local > 0) return Errc::split_brain;
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
