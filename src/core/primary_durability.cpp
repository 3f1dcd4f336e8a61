// What has to be on stable storage before the primary promises anything: flushes, the map, episodes
// and the lag of this node, and what happens when the component cannot hold them.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "hast/base/assert.hpp"
#include "primary_entry.hpp"

namespace hast::core {

namespace {
/// After a failed metadata commit: ticks until the next try.
constexpr int kMetadataRetryTicks = 5;
}  // namespace

// Flushes ---------------------------------------------------------------------------------------

void Primary::start_flush(Slot& slot) {
  slot.epoch = volume_.map.begin_flush();
  slot.remote_error = 0;
  slot.remote_state = slot.peer_durable ? RemoteState::ok : RemoteState::absent;
  slot.local = LocalState::absent;
  if (volume_.outbox.connected() && !slot.peer_durable) send(slot, IoKind::flush);
  if (!local_lost_) submit_disk(slot, IoKind::flush);
  if (slot.settled()) advance_flush(slot);
}

void Primary::advance_flush(Slot& slot) {
  const bool settled = slot.settled();
  // INV-2 (b). The peer's part of a FUA write was flushed before this epoch began.
  if (slot.local == LocalState::ok && slot.remote_state == RemoteState::ok && !slot.peer_durable)
    volume_.map.flush_proven(slot.epoch);
  if (slot.answered) {
    // Answered early, then the peer failed: what it vouches for is safe here alone (INV-3).
    if (settled && vouches_alone(slot)) count_episode();
  } else if (!slot.ListNode<Slot>::is_linked()) {
    conclude_flush(slot);
  }
  if (slot.answered && settled) leave_core(slot);
}

void Primary::conclude_flush(Slot& slot) {
  const bool here = slot.local == LocalState::ok && !peer_ahead_;  // what counts is safe here
  if (here && replication_ == Replication::async && !clients_left_)
    return answer(slot, flush_verdict(slot));
  if (!slot.settled()) return;
  if (slot.remote_state == RemoteState::ok) {
    // What was in this node's cache may be gone; the peer can stand in only if it has everything.
    if (slot.local == LocalState::failed && !local_lost_) {
      give_up_local(slot.local_error);
      if (waits_for_vouch(slot)) return;
      if (!local_lost_) return answer(slot, failure_of(slot));
    }
    if (peer_ahead_ && !lag_is_recorded(slot)) return;
  } else if (!here) {
    return answer(slot, failure_of(slot));
  }
  // INV-3: the peer may be promoted without what this flush vouches for: as good as a change.
  if (vouches_alone(slot)) {
    if (clients_left_) return answer(slot, ECANCELED);
    if (is_unreplicated(slot) && !may_answer_alone(slot)) return;
    if (!episode_is_counted(slot)) return;
  }
  answer(slot, flush_verdict(slot));
}

/// Of one that succeeded. Whoever asked before the first one has said that data are lost is told
/// so, too: each of them may be another client.
int Primary::flush_verdict(const Slot& slot) {
  if (slot.kind != IoKind::flush || slot.epoch >= flushes_fail_until_) return 0;
  flushes_fail_until_ = std::min(flushes_fail_until_, volume_.map.epoch());
  return EIO;
}

/// True if a flush may cover something that only this node's flush made safe: the peer did not
/// flush and has not got everything back yet, or was not met since the start (it may have lost its
/// power before that).
bool Primary::vouches_alone(const Slot& slot) const {
  if (peer_ahead_) return false;
  if (slot.remote_state == RemoteState::ok && slot.flushing) return false;  // FUA: its own data
  if (!synced_) return true;
  // In sync and connected only discards that one node refused leave extents to copy: no promises.
  return !volume_.outbox.connected() && volume_.map.unsynced().any();
}

// Durability --------------------------------------------------------------------------------------

void Primary::count_episode() {
  if (episode_ != Episode::none) return;
  episode_ = Episode::counting;
  localcnt_before_ = metadata().localcnt;
  generations_before_ = metadata().generations;
  ++metadata_.change().localcnt;
  // INV-7. A generation that is certainly this node's alone goes on: with a peer that comes and
  // goes and is never equal the past would be forgotten after a few losses.
  if (!std::exchange(generation_is_mine_, true) || random_.rarely()) {
    if (next_generation_ == 0) next_generation_ = random_.next_id();
    metadata_.change().generations.begin(next_generation_);
  }
  episode_ticket_ = metadata_.commit();
}

/// What could not be made durable was not acknowledged: the peer must not hear of it either.
void Primary::episode_counted(int error) {
  episode_ = error == 0 ? Episode::counted : Episode::none;
  if (error == 0) return;
  metadata_.change().localcnt = localcnt_before_;
  metadata_.change().generations = generations_before_;
  metadata_.taken_back();
  generation_is_mine_ = false;
}

/// True if the present episode is on stable storage; otherwise the slot waits for it.
bool Primary::episode_is_counted(Slot& slot) {
  count_episode();
  if (episode_ == Episode::counted) return true;
  slot.ticket = episode_ticket_;
  waiting_metadata_.push_back(slot);
  return false;
}

/// INV-5, INV-11: the peer alone holds newer data from now on; on the next start, too.
void Primary::record_lag() {
  peer_ahead_ = true;
  tell_alone();
  if (lag_ != Lag::none) return;
  lag_ = Lag::recording;
  metadata_.change().inconsistent = true;
  lag_ticket_ = metadata_.commit();
}

/// True if that is on stable storage; otherwise the slot waits for it, or is answered with an error
/// because nobody can record it (INV-12). An original has no way to, so there it is not asked for.
bool Primary::lag_is_recorded(Slot& slot) {
  record_lag();
  if (peer_native_ && alone_ != Alone::refused) return peer_knows(slot);
  if (lag_ == Lag::recorded) return true;
  if (lag_ == Lag::unrecordable) {
    const bool original = volume_.outbox.connected() && !peer_native_;
    if (!original) answer(slot, EIO);
    return original;
  }
  slot.ticket = lag_ticket_;
  waiting_metadata_.push_back(slot);
  return false;
}

/// INV-12: what a component that fails could not note durably, the peer can.
bool Primary::peer_knows(Slot& slot) {
  if (alone_ == Alone::told) return true;
  waiting_peer_.push_back(slot);
  return false;
}

void Primary::tell_alone() {
  if (!peer_native_ || alone_ != Alone::unsaid) return;
  alone_ = Alone::telling;
  alone_order_.kind = PeerOrder::Kind::alone;
  // It has everything: what it begins now succeeds whatever either node was in (INV-7).
  const Generations& mine = metadata().generations;
  alone_order_.generations = peer_generations_.contains(mine.current) ? peer_generations_ : mine;
  if (next_generation_ != 0) alone_order_.generations.begin(next_generation_);
  alone_order_.generations.begin(random_.next_id());
  alone_order_.generations.synced = Generations::kUntracked;
  volume_.outbox.send(alone_op_);
}

void Primary::alone_done(RemoteOp& op) {
  alone_ = op.error == 0 ? Alone::told : Alone::refused;
  if (op.error == 0) {
    ++peer_.local;
    peer_generations_ = alone_order_.generations;
  } else if (op.error != ENOTCONN) {
    peer_failed(IoKind::flush, 0, op.error);
  }
  SlotList waiting;
  waiting.splice_back(waiting_peer_);
  while (Slot* slot = waiting.pop_front()) advance(*slot);
}

void Primary::metadata_committed(Ticket ticket, int error) {
  Entry entry(*this);
  if (identity_ticket_ != 0 && ticket >= identity_ticket_ && error == 0) {
    identity_ticket_ = 0;
    host_.changed();
  }
  if (episode_ == Episode::counting && ticket >= episode_ticket_) episode_counted(error);
  // INV-12: what this component cannot even note, it cannot be trusted with; the peer can.
  const bool lag_failed = error != 0 && lag_ == Lag::recording && ticket >= lag_ticket_;
  if (lag_failed) give_up_local(error);
  if ((lag_ == Lag::recording || lag_ == Lag::unrecordable) && ticket >= lag_ticket_)
    lag_ = error == 0 ? Lag::recorded : local_lost_ ? Lag::unrecordable : Lag::none;
  if (metadata_.is_durable()) next_generation_ = 0;
  if (error == 0 && synced_ticket_ != 0 && ticket >= synced_ticket_) announce_synced();
  attach_step(attach_metadata_ticket_, ticket, error);
  metadata_retry_ticks_ = error != 0 ? kMetadataRetryTicks : 0;
  if (error != 0 && !local_lost_) happened({.kind = Event::Kind::metadata_failed, .error = error});

  SlotList waiting;
  waiting.splice_back(waiting_metadata_);
  while (Slot* slot = waiting.pop_front()) {
    if (slot->ticket > ticket) {
      waiting_metadata_.push_back(*slot);
    } else if (error == 0 || local_lost_) {
      advance(*slot);
    } else if (lag_failed && waits_for_vouch(*slot)) {
      continue;
    } else {  // INV-4: what cannot be recorded is not acknowledged
      answer(*slot, error);
      leave_core(*slot);
    }
  }
  if (merge_metadata_ticket_ == 0 || ticket < merge_metadata_ticket_) return;
  if (error != 0 && !local_lost_) return merge_failed(error);
  merge_metadata_ticket_ = 0;
  release_when_merged();
}

void Primary::map_committed(Ticket ticket, int error) {
  Entry entry(*this);
  if (error != 0) {
    ++io_.write_errors;
    // INV-12: with everything on the peer the map is not needed to go on.
    if (!can_lose_local()) happened({.kind = Event::Kind::map_failed, .error = error});
    give_up_local(error);
  }
  attach_step(attach_map_ticket_, ticket, error);
  SlotList waiting;
  waiting.splice_back(waiting_map_);
  while (Slot* slot = waiting.pop_front()) {
    if (slot->ticket > ticket) {
      waiting_map_.push_back(*slot);
    } else if (error == 0 || local_lost_) {
      dispatch(*slot);
    } else if (waits_for_vouch(*slot)) {
      slot->unmarked = true;
    } else {  // INV-1: no mark, no write
      slot->local = LocalState::absent;
      slot->remote_state = RemoteState::absent;
      slot->local_error = error;
      advance(*slot);
    }
  }
  if (merge_map_ticket_ == 0 || ticket < merge_map_ticket_) return;
  if (error != 0 && !local_lost_) return merge_failed(error);
  merge_map_ticket_ = 0;
  release_when_merged();
}

void Primary::merge_failed(int error) {
  host_.drop_link(Error{Errc::io_failed, error,
                        "what the peer knows of the data cannot be stored on the local component"});
}

/// The first request tells the peer that its map is safe here (wire-protocol §5.3).
void Primary::release_when_merged() {
  if (merge_map_ticket_ != 0 || merge_metadata_ticket_ != 0) return;
  volume_.outbox.release();
  start_sync();
}

void Primary::commit_changed_map() {
  if (volume_.map.changed_pages().any() && !local_lost_) commit_.commit();
}

}  // namespace hast::core
