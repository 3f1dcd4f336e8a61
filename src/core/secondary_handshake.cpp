// What the secondary decides in a handshake, and what of it has to be stored before the primary
// hears of it: an identity, marks, a map that says "everything".
#include <algorithm>
#include <utility>

#include "hast/base/bitmap.hpp"
#include "hast/core/secondary.hpp"

namespace hast::core {

Result<SyncDecision> Secondary::decide(const PrimaryFacts& primary) {
  identity_error_ = 0;
  const ondisk::Metadata& mine = metadata();
  const SecondaryFacts facts{mine.resuid,
                             {mine.localcnt, mine.remotecnt},
                             mine.generations,
                             mine.inconsistent,
                             mine.sync_from};
  Result<SyncDecision> decision = decide_sync(facts, primary);
  // Not to a primary that itself relies on data of this node.
  const bool gives_up = std::exchange(giving_up_, false) && !decision && !primary.inconsistent &&
                        decision.error().code == Errc::split_brain;
  if (gives_up) decision = decide_discard(facts, primary);
  if (!decision) return decision;
  const ondisk::Metadata before = mine;
  if (gives_up || mine.inconsistent) give_way(decision->kind, primary);
  // Nor does it hear of what a former commit that failed left in memory only.
  const bool doubtful = mine.resuid != 0 && !metadata_.is_durable();
  if (mine != before || doubtful) {
    before_decision_ = before;
    decision_ticket_ = metadata_.commit();
  }
  if (mine.resuid == 0 && !adopting_) adopt(primary.resuid, decision->kind);
  lag_ends_with_merge_ = mine.inconsistent || (adopting_ && adopting_everything_);
  const bool behind = decision->source == SyncSource::primary && mine.generations.known() &&
                      primary.generations.known() &&
                      mine.generations.current != primary.generations.current;
  if (behind && !primary.inconsistent && !mine.inconsistent && !mine.outdated) {
    metadata_.change().outdated = true;
    metadata_.commit();
  }
  return decision;
}

/// From now on this node is one that a resync is due to: whatever it counted before, neither table
/// calls it a source again (INV-5). Durable before the primary hears of it.
void Secondary::give_way(SyncKind kind, const PrimaryFacts& primary) {
  ondisk::Metadata& mine = metadata_.change();
  mine.localcnt = std::min(mine.localcnt, primary.counters.remote);
  mine.outdated = false;
  if (!std::exchange(mine.inconsistent, true) && kind == SyncKind::regular)
    mine.sync_from = primary.generations.current;
}

Bitmap Secondary::own_changes() const {
  Bitmap bits(component_.layout.extents);
  bits.import_bytes(component_.map_image);
  return bits;
}

/// Once the id is stored the counters of both nodes are equal, so nothing else tells that a full
/// copy is due: the map says so first, until the primary has merged it.
void Secondary::adopt(std::uint64_t resuid, SyncKind kind) {
  adopting_ = true;
  adopted_resuid_ = resuid;
  adopting_everything_ = kind == SyncKind::full;
  if (!adopting_everything_) return store_identity();
  Bitmap everything(component_.layout.extents);
  everything.set_all();
  store_map(std::move(everything));
}

void Secondary::store_identity() {
  metadata_.change().resuid = adopted_resuid_;
  metadata_.change().inconsistent = adopting_everything_;  // INV-5
  identity_ticket_ = metadata_.commit();
}

void Secondary::identity_ended(int error) {
  adopting_ = false;
  identity_ticket_ = 0;
  identity_error_ = error;
  if (error == 0) return;
  metadata_.change().resuid = 0;  // INV-4: without a durable one no session
  metadata_.change().inconsistent = false;
  metadata_.taken_back();
}

void Secondary::metadata_committed(Ticket ticket, int error) {
  if (error != 0) host_.happened({.kind = Event::Kind::metadata_failed, .error = error});
  if (identity_ticket_ != 0 && ticket >= identity_ticket_) identity_ended(error);
  if (decision_ticket_ != 0 && ticket >= decision_ticket_) {
    decision_ticket_ = 0;
    identity_error_ = error;
    if (error != 0) {  // INV-4: what is not durable did not happen
      before_decision_.sequence = metadata().sequence;
      metadata_.change() = before_decision_;
      metadata_.taken_back();
    }
  }
  orders_committed(ticket, error);
  host_.changed();
}

std::vector<std::byte> Secondary::map_for(const SyncDecision& decision) const {
  const ondisk::Layout& layout = component_.layout;
  std::vector<std::byte> map;
  if (decision.kind == SyncKind::own_extents) return map;
  map.resize(layout.image_bytes, decision.kind == SyncKind::full ? std::byte{0xff} : std::byte{0});
  if (decision.kind == SyncKind::full) return map;
  Bitmap bits = own_changes();
  for (const RecentWrites::Range& written : recent_.ranges) {
    for (std::uint64_t e = written.begin / layout.extent_bytes;
         e * layout.extent_bytes < written.end; ++e)
      bits.set(e);
  }
  bits.export_bytes(0, map);
  return map;
}

// The map on disk --------------------------------------------------------------------------------

/// Replaces the map on disk, a piece at a time, and flushes: bits that came back after a power loss
/// would bring old blocks over newer ones.
void Secondary::store_map(Bitmap map) {
  storing_map_ = true;
  map_to_store_ = std::move(map);
  stored_bytes_ = 0;
  map_op_.kind = IoKind::write;
  map_op_.error = 0;
  map_op_.length_bytes = 0;
  map_piece_done(map_op_);
}

void Secondary::map_piece_done(port::DiskOp& op) {
  const bool flushed = op.kind == IoKind::flush;
  if (flushed) op.error = port::flush_result(op.error);
  if (op.error != 0 || flushed) return map_stored(op.error);
  stored_bytes_ += op.length_bytes;
  const std::uint64_t left = component_.layout.image_bytes - stored_bytes_;
  op.kind = left > 0 ? IoKind::write : IoKind::flush;
  op.offset_bytes = left > 0 ? ondisk::kMapOffset + stored_bytes_ : 0;
  op.length_bytes = std::min<std::uint64_t>(map_piece_.size(), left);
  op.data = map_piece_.data();
  map_to_store_.export_bytes(stored_bytes_, map_piece_.span().first(op.length_bytes));
  disk_.submit(op);
}

void Secondary::map_stored(int error) {
  storing_map_ = false;
  if (error == 0) {
    map_to_store_.export_bytes(0, component_.map_image);
  } else {  // what the disk has now is at most too much: a larger resync
    ++io_.write_errors;
    host_.happened({.kind = Event::Kind::map_failed, .error = error});
  }
  map_to_store_ = Bitmap();
  if (adopting_ && identity_ticket_ == 0) {
    error == 0 ? store_identity() : identity_ended(error);
  }
  host_.changed();
}

}  // namespace hast::core
