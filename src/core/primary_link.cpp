// The primary's view of its peer: connecting, losing it, resync and cleaning. The way of a request
// is in primary.cpp, what must be durable in primary_durability.cpp, going on alone in
// primary_alone.cpp.
#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "hast/base/assert.hpp"
#include "primary_entry.hpp"

namespace hast::core {

namespace {
/// After an incomplete resync: ticks until the next try.
constexpr int kResyncRetryTicks = 30;
}  // namespace

// Identity and link -------------------------------------------------------------------------------

void Primary::prepare_identity() {
  if (metadata().resuid != 0) return;
  metadata_.change().resuid = random_.next_id();
  derive_generation();
  // INV-7: what this node counted until now succeeds what the peer will begin with.
  metadata_.change().generations.synced = metadata().resuid;
  virgin_ = true;
  identity_ticket_ = metadata_.commit();
}

/// Two nodes that knew no generations yet begin with the same one.
void Primary::derive_generation() {
  ondisk::Metadata& mine = metadata_.change();
  if (mine.generations.known() || mine.resuid == 0) return;
  mine.generations.begin(mine.resuid);
  mine.generations.synced = mine.resuid;
}

bool Primary::identity_durable() const { return metadata().resuid != 0 && identity_ticket_ == 0; }

PrimaryFacts Primary::facts() const {
  const ondisk::Metadata& mine = metadata();
  return {
      mine.resuid, virgin_, {mine.localcnt, mine.remotecnt}, mine.generations, mine.inconsistent};
}

Result<void> Primary::link_up(const PeerAnswer& answer, const PrimaryFacts& sent) {
  Entry entry(*this);
  HAST_ASSERT(!volume_.outbox.connected());
  if (answer.datasize != volume_.data_bytes() || answer.extentsize != volume_.map.extent_bytes())
    return Errc::size_mismatch;
  // What was written since the facts were sent is unknown to the peer's decision (INV-7).
  const bool overtaken = !(facts().counters == sent.counters) || episode_ == Episode::counting;
  if (overtaken || (answer.source == SyncSource::secondary && writes_alone()) || random_.rarely())
    return Errc::peer_waits;

  // Nothing is left but what the peer had, and it was replaced by an empty one.
  if (answer.virgin && local_lost_) return Errc::resuid_mismatch;

  look_for_restart(answer.boot);
  virgin_ = false;
  peer_discards_ = true;
  const bool metadata_changed = merge(answer);
  peer_ = answer.counters;
  volume_.outbox.connect();
  permitted_ = false;
  peer_native_ = answer.native;
  peer_inconsistent_ = answer.inconsistent;
  peer_generations_ = answer.generations;
  greet(answer.source);
  sync_due_ = true;
  synced_ = false;
  sync_copied_ = 0;
  merge_map_ticket_ = commit_.commit();
  merge_metadata_ticket_ = metadata_changed ? metadata_.commit() : 0;
  if (lag_ == Lag::recording) lag_ticket_ = merge_metadata_ticket_;
  restart_waiting_for_permission();
  return {};
}

/// Takes over what the peer's answer means for map, staleness and metadata; true if the latter
/// changed.
bool Primary::merge(const PeerAnswer& answer) {
  bool metadata_changed = false;
  if (answer.virgin && metadata().localcnt == 0) {
    metadata_.change().localcnt = 1;
    metadata_changed = true;
  }
  if (answer.virgin && peer_ahead_) {
    happened({.kind = Event::Kind::stale_discarded, .bytes = volume_.stale.bytes()});
    volume_.stale.clear_all();
    peer_ahead_ = false;
    lag_ = Lag::none;
    metadata_.change().inconsistent = false;
    metadata_changed = true;
  }
  // It wrote nothing alone since it is known to be ahead: `stale` says where, which it need not
  // know itself (INV-12).
  const bool nothing_new = peer_ahead_ && answer.source == SyncSource::secondary &&
                           answer.counters.local == peer_.local &&
                           answer.generations == peer_generations_;
  if (!nothing_new) volume_.map.need_sync_bits(answer.map);
  if (answer.source == SyncSource::primary) {
    // INV-12: nobody tracked what the peer lacks, and an original does not know that.
    if (metadata().generations.synced == Generations::kUntracked)
      volume_.map.need_sync({0, volume_.map.extents() - 1});
    return metadata_changed;
  }

  if (!nothing_new) volume_.stale.set_extents(volume_.map.unsynced());  // INV-6
  peer_ahead_ = true;
  lag_ = Lag::recording;  // INV-5: before the first block is copied here
  metadata_.change().inconsistent = true;
  metadata_.change().sync_from = answer.generations.current;
  return true;
}

/// INV-12: what the peer alone had and did not flush may be gone with its power. The next flush of
/// the clients says so.
void Primary::look_for_restart(std::uint64_t boot) {
  const std::uint64_t before = std::exchange(peer_boot_, boot);
  const bool restarted = before != 0 && boot != 0 && boot != before;
  if (!restarted || !peer_ahead_ || unflushed_there_ == 0) return;
  unflushed_there_ = 0;
  flushes_fail_until_ = std::numeric_limits<FlushEpoch>::max();
  happened({.kind = Event::Kind::peer_restarted});
}

void Primary::link_down() {
  Entry entry(*this);
  if (!volume_.outbox.connected()) return;
  // INV-3: a new episode, counted by its first acknowledged change. One that is being counted goes
  // on into it: should that fail, the count is taken back.
  if (episode_ == Episode::counted) episode_ = Episode::none;
  merge_map_ticket_ = merge_metadata_ticket_ = synced_ticket_ = 0;
  peer_native_ = peer_marked_ = peer_inconsistent_ = false;
  if (resync_.running() || sync_ending_)
    happened({.kind = Event::Kind::sync_interrupted, .bytes = resync_.copied_bytes()});
  sync_due_ = sync_ending_ = last_barrier_due_ = false;
  resync_.stop();
  volume_.map.peer_lost();  // first: what ends now must see what is no longer proven
  volume_.outbox.disconnect();
  if (waits_for_permission()) host_.permission_wanted();
}

void Primary::reply(RemoteOp& op, int error) {
  Entry entry(*this);
  volume_.outbox.complete(op, error);
}

void Primary::reply_received(RemoteOp& op) {
  Entry entry(*this);
  if (op.received != nullptr) op.received(op);
}

// Orders ------------------------------------------------------------------------------------------

/// The first thing a native peer hears: nothing that changes its data may overtake it.
void Primary::greet(SyncSource source) {
  alone_ = peer_ahead_ && source == SyncSource::secondary ? Alone::told : Alone::unsaid;
  if (peer_ahead_) {
    tell_alone();
  } else if (must_mark_peer()) {
    send_order({.kind = PeerOrder::Kind::sync_begin, .generations = metadata().generations});
  }
}

/// INV-5: it lacks something, so that what comes next makes a mixture of what it has.
bool Primary::must_mark_peer() const {
  return peer_native_ && !peer_ahead_ && !peer_marked_ && volume_.map.unsynced().any();
}

void Primary::send_order(PeerOrder order) {
  HAST_ASSERT(order_.kind == PeerOrder::Kind::none);
  order_ = order;
  volume_.outbox.send(order_op_);
}

void Primary::order_done(RemoteOp& op) {
  const PeerOrder::Kind kind = std::exchange(order_.kind, PeerOrder::Kind::none);
  if (op.error == ENOTCONN) return;
  if (op.error != 0) return peer_failed(IoKind::flush, 0, op.error);
  if (kind == PeerOrder::Kind::sync_begin) {
    peer_marked_ = peer_inconsistent_ = true;
    start_sync();
  } else if (kind == PeerOrder::Kind::sync_end) {
    peer_marked_ = peer_inconsistent_ = false;
    const bool still = !local_lost_ && !volume_.stale.any() && !volume_.map.unsynced().any();
    if (still) {
      sync_ended();
    } else if (!local_lost_) {
      sync_due_ = true;
      start_sync();
    }
  }
  run_last_barrier();
}

/// The last words of an orderly stop: the peer learns whether it may be promoted as it is.
void Primary::say_goodbye() {
  const bool possible = peer_native_ && order_.kind == PeerOrder::Kind::none;
  if (!possible) return;
  const bool current = (peer_ahead_ || synced_) && !holds_something_alone();
  send_order({.kind = PeerOrder::Kind::goodbye, .current = current});
}

// Resync and cleaning -----------------------------------------------------------------------------

/// The last extent may reach past the end of the data.
std::uint64_t Primary::unsynced_bytes() const {
  return std::min(volume_.map.unsynced().count() * volume_.map.extent_bytes(),
                  volume_.data_bytes());
}

void Primary::start_sync() {
  const bool possible = sync_due_ && volume_.outbox.released() && !resync_.running() &&
                        resync_.idle() && !sync_ending_ && !local_lost_ && !stopping_ &&
                        order_.kind == PeerOrder::Kind::none;
  if (!possible) return;
  if (must_mark_peer())
    return send_order({.kind = PeerOrder::Kind::sync_begin, .generations = metadata().generations});
  sync_due_ = sync_failed_ = false;
  if (volume_.map.unsynced().any()) {
    happened({.kind = Event::Kind::sync_started,
              .bytes = unsynced_bytes(),
              .source = peer_ahead_ ? SyncSource::secondary : SyncSource::primary});
  }
  resync_.start();
}

void Primary::resync_pass_ended() {
  sync_ending_ = true;
  sync_copied_ += resync_.copied_bytes();
  sync_barrier_ = run_barrier();
}

void Primary::resync_drained() {
  start_sync();
  run_last_barrier();
  if (quiet()) host_.changed();
}

void Primary::resync_range_failed(IoKind io, std::uint64_t offset_bytes, int error) {
  sync_failed_ = true;
  const bool local = volume_.stale.any_in(offset_bytes, 1) == (io == IoKind::write);
  happened({.kind = local ? Event::Kind::local_io_failed : Event::Kind::peer_io_failed,
            .io = io,
            .error = error,
            .offset_bytes = offset_bytes});
}

/// False when one runs already: barrier_done() then starts the one that is still due.
bool Primary::run_barrier() {
  if (!barrier_.idle() || !volume_.outbox.connected()) return false;
  barrier_.run(
      [this](int local_error, int remote_error) { barrier_done(local_error, remote_error); });
  return true;
}

void Primary::barrier_done(int local_error, int remote_error) {
  Entry entry(*this);
  const bool ended_sync = std::exchange(sync_barrier_, false);
  if (!volume_.outbox.connected()) return;
  if (remote_error != 0 && remote_error != ENOTCONN)
    return peer_failed(IoKind::flush, 0, remote_error);
  if (sync_ending_ && !ended_sync) {  // it began before the last block was copied
    sync_barrier_ = run_barrier();
    return;
  }
  if (local_error != 0) local_flush_failed(local_error);
  clean_map();
  if (ended_sync && std::exchange(sync_ending_, false)) {
    // Where no flush of this node succeeds any more, that of the peer is worth more than none.
    const bool here = local_error == 0 || (flush_lost_ != 0 && !peer_ahead_);
    const bool proven = here && remote_error == 0;
    if (proven && !volume_.map.unsynced().any() && !random_.rarely()) return sync_proven();
    // What was written behind the pass while a side lacked it is copied by another one.
    if (!proven || std::exchange(sync_failed_, false)) return sync_incomplete();
    sync_due_ = true;
    return start_sync();
  }
  run_last_barrier();
  if (stopping_ && !last_barrier_due_ && barrier_.idle()) say_goodbye();
}

/// What was in this node's cache may be gone.
void Primary::local_flush_failed(int error) {
  ++io_.flush_errors;
  happened({.kind = Event::Kind::local_io_failed, .io = IoKind::flush, .error = error});
  give_up_local(error);
}

/// INV-2: everything removed was proven by a flush of both nodes.
void Primary::clean_map() {
  if (stopping_) volume_.map.forget_hot_set();
  volume_.map.clean();
  commit_changed_map();
}

void Primary::sync_incomplete() {
  synced_ = false;  // also where nothing is left to copy, but the flush that proves it (INV-13)
  retry_ticks_ = kResyncRetryTicks;
  happened({.kind = Event::Kind::sync_incomplete, .bytes = unsynced_bytes()});
}

/// The peer has everything, and so has this node unless a flush failed here: then the peer can
/// stand in at last.
void Primary::sync_ended() {
  mark_synced();
  if (flush_lost_ != 0) give_up_local(flush_lost_);
}

/// The nodes are equal. A native peer says so first, durably: its mark goes, and both data are of
/// one generation.
void Primary::sync_proven() {
  if (!peer_native_) return sync_ended();
  const bool theirs = peer_ahead_ && peer_generations_.known();
  Generations both = theirs ? peer_generations_ : metadata().generations;
  both.synced = both.current;
  peer_generations_ = both;
  generation_is_mine_ = false;
  send_order({.kind = PeerOrder::Kind::sync_end, .generations = both});
}

void Primary::mark_synced() {
  HAST_ASSERT(!volume_.stale.any());
  synced_ = true;
  synced_from_ = peer_ahead_ ? SyncSource::secondary : SyncSource::primary;
  peer_ahead_ = false;
  unflushed_there_ = 0;  // both have flushed it
  lag_ = Lag::none;
  alone_ = Alone::unsaid;    // what the peer knew of it ended with sync_end
  episode_ = Episode::none;  // the counters are made equal: the next change alone counts anew
  // What waits for the present count, or for permission since before the link came up, has been
  // copied like everything else: it must not count again.
  for (SlotList* waiting : {&waiting_metadata_, &waiting_permission_}) {
    for (Slot& slot : *waiting) {
      if (is_unreplicated(slot)) slot.remote_state = RemoteState::ok;
    }
  }
  release_waiting_for_permission();
  ondisk::Metadata& mine = metadata_.change();
  const ondisk::Metadata before = mine;
  mine.localcnt = peer_.remote;
  mine.remotecnt = peer_.local;
  mine.inconsistent = mine.outdated = false;
  mine.sync_from = 0;
  if (peer_native_) {
    // An episode that was counted since the peer was told is over, and so is its generation.
    mine.generations = peer_generations_;
    generation_is_mine_ = false;
    if (mine.generations.contains(next_generation_)) next_generation_ = 0;
  } else if (mine.generations.synced == Generations::kUntracked) {
    mine.generations.synced = mine.generations.current;  // the map knows what an original lacks now
  }
  // Not before it is durable: on this news the other node may be promoted, and another count found
  // here after a crash would look like a split-brain (INV-7). One that could not be stored may be
  // on the platter all the same.
  if (mine == before && metadata_.is_durable()) return announce_synced();
  synced_ticket_ = metadata_.commit();
}

void Primary::announce_synced() {
  synced_ticket_ = 0;
  happened({.kind = sync_copied_ > 0 ? Event::Kind::sync_done : Event::Kind::in_sync,
            .bytes = sync_copied_,
            .source = synced_from_});
}

void Primary::tick() {
  Entry entry(*this);
  volume_.map.age();
  if (random_.rarely()) volume_.map.forget_hot_set();
  // Also of a lost component: should it come back with the next start, it must not pass for
  // current.
  if (metadata_retry_ticks_ > 0 && --metadata_retry_ticks_ == 0) metadata_.commit();
  if (flush_lost_ != 0 && !stopping_) flushes_are_lost();
  resync_.tick();
  const bool busy = resync_.running() || sync_ending_ || stopping_ || local_lost_ ||
                    order_.kind != PeerOrder::Kind::none;
  if (!volume_.outbox.released() || busy) return;
  const bool unfinished = !synced_ || volume_.map.unsynced().any();
  if (unfinished && !sync_due_ && --retry_ticks_ <= 0) {
    sync_due_ = true;
    return start_sync();
  }
  if (volume_.map.is_cleaning_due() || random_.rarely()) run_barrier();
  if (random_.rarely()) metadata_.commit();
  commit_changed_map();
}

// Stopping ----------------------------------------------------------------------------------------

void Primary::prepare_stop() {
  Entry entry(*this);
  stopping_ = true;
  if (resync_.running() || sync_ending_)
    happened({.kind = Event::Kind::sync_interrupted, .bytes = resync_.copied_bytes()});
  sync_due_ = sync_ending_ = false;
  resync_.stop();
  repair_.stop();
  // A count that was taken back may be on the platter; found there it would look like a
  // split-brain.
  if (!metadata_.is_durable()) metadata_.commit();
  last_barrier_due_ = true;
  run_last_barrier();
}

/// Its proof covers everything, so it waits until nothing is on its way.
void Primary::run_last_barrier() {
  const bool possible = last_barrier_due_ && slots_.all_free() && resync_.idle() &&
                        volume_.outbox.released() && order_.kind == PeerOrder::Kind::none;
  if (possible && run_barrier()) last_barrier_due_ = false;
}

bool Primary::quiet() const {
  return slots_.all_free() && resync_.idle() && barrier_.idle() && metadata_.idle() &&
         commit_.idle() && repair_.idle() && answered_.empty() && volume_.outbox.waiting() == 0 &&
         volume_.outbox.outstanding() == 0;
}

PrimaryStatus Primary::status() const {
  PrimaryStatus status;
  status.io = io_;
  status.dirty_bytes = volume_.map.dirty_extents() * volume_.map.extent_bytes();
  status.unsynced_bytes = unsynced_bytes();
  status.stale_bytes =
      local_lost_ ? volume_.data_bytes() : std::min(volume_.stale.bytes(), volume_.data_bytes());
  status.local_lost = local_lost_;
  status.flush_lost = flush_lost_ != 0 && !local_lost_;
  status.frozen = waits_for_permission() && !volume_.outbox.connected();
  const bool copying = resync_.running() || sync_ending_;
  // Also while the peer is still told that it begins: who sees no resync may rely on both nodes.
  status.syncing = copying || (sync_due_ && !local_lost_);
  const bool known = synced_ && synced_ticket_ == 0 && !status.syncing;
  status.synced = known && !peer_ahead_ && peer_has_what_it_answered();
  status.sync_source = peer_ahead_ ? SyncSource::secondary : SyncSource::primary;
  status.sync_copied_bytes = copying ? resync_.copied_bytes() : 0;
  status.sync_total_bytes = copying ? resync_.total_bytes() : status.unsynced_bytes;
  status.slots_free = slots_.free_count();
  status.local_queue = local_queue_;
  status.send_queue = volume_.outbox.waiting();
  status.receive_queue = volume_.outbox.outstanding();
  return status;
}

Usage Primary::usage() {
  Usage usage = slots_.usage();
  usage += {resync_.in_flight(), resync_.in_flight()};
  return usage;
}

}  // namespace hast::core
