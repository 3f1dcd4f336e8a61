// The way of a client's request through the primary. What has to be durable before it is answered
// is in primary_durability.cpp, the link and the resync in primary_link.cpp.
#include "hast/core/primary.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "hast/base/assert.hpp"
#include "hast/base/units.hpp"
#include "primary_entry.hpp"

namespace hast::core {

Primary::Primary(const Component& component, const PrimaryOptions& options, PrimaryHost& host,
                 port::Random& random)
    : host_(host),
      random_(random),
      replication_(options.replication),
      volume_(component),
      slots_(options.slots),
      metadata_(component, *this),
      commit_(component, volume_.map, options.metaflush, *this),
      barrier_(volume_.disk, volume_.outbox, volume_.map, flush_lost_),
      resync_(volume_, options.resync_window, *this),
      repair_(volume_, *this),
      on_local_error_(options.on_local_error),
      go_alone_(options.go_alone) {
  metadata_.change().prevrole = Role::primary;  // stored with the next commit
  derive_generation();
  if (options.promotion == Promotion::forced) {
    // INV-7: a copy that was not complete yet is nobody's successor. With the derived generation
    // for an ancestor it would overwrite the whole copy that it was made from.
    if (component.metadata.inconsistent && !component.metadata.generations.known())
      metadata_.change().generations = {};
    metadata_.change().inconsistent = metadata_.change().outdated = false;
    metadata_.change().sync_from = 0;
    count_episode();
  } else if (component.metadata.inconsistent) {
    // INV-5, INV-11: the peer alone holds newer data, and where is not known: everywhere.
    peer_ahead_ = true;
    lag_ = Lag::recorded;
    volume_.stale.set_all();
    volume_.map.need_sync({0, volume_.map.extents() - 1});
  }
  if (component.doubtful) volume_.map.forget_stable();
  // A component that never met a peer says from now on who used it (on-disk §2.1).
  if (component.metadata_copy_lost || component.doubtful || component.metadata.resuid == 0)
    metadata_.commit();
  volume_.outbox.observe(host);
  // Orders are answered like a flush: durable, without data.
  order_op_.kind = alone_op_.kind = vouch_op_.kind = IoKind::flush;
  order_op_.order = &order_;
  alone_op_.order = &alone_order_;
  order_op_.owner = alone_op_.owner = vouch_op_.owner = this;
  order_op_.completed = [](RemoteOp& op) { static_cast<Primary*>(op.owner)->order_done(op); };
  alone_op_.completed = [](RemoteOp& op) { static_cast<Primary*>(op.owner)->alone_done(op); };
  vouch_op_.completed = [](RemoteOp& op) { static_cast<Primary*>(op.owner)->vouch_done(op); };
  volume_.outbox.enroll(order_op_);
  volume_.outbox.enroll(alone_op_);
  volume_.outbox.enroll(vouch_op_);
  for (Slot& slot : slots_.slots()) {
    slot.primary = this;
    slot.disk.owner = slot.claim.owner = slot.remote.owner = &slot;
    slot.disk.completed = [](port::DiskOp& op) {
      static_cast<Slot*>(op.owner)->primary->disk_done(op);
    };
    slot.claim.granted = [](RangeClaim& claim) {
      Slot& mine = *static_cast<Slot*>(claim.owner);
      mine.primary->write_locked(mine);
    };
    slot.remote.received = [](RemoteOp& op) {
      static_cast<Slot*>(op.owner)->primary->remote_received(op);
    };
    slot.remote.completed = [](RemoteOp& op) {
      static_cast<Slot*>(op.owner)->primary->remote_done(op);
    };
    volume_.outbox.enroll(slot.remote);
  }
}

Primary::~Primary() { HAST_ASSERT(quiet() && waiters_.empty()); }

port::VolumeInfo Primary::volume() const {
  return {volume_.data_bytes(), volume_.component.sector_bytes()};
}

port::IoRequest* Primary::acquire() { return slots_.take(); }

void Primary::wait_for_slot(port::SlotWaiter& waiter) { waiters_.push_back(waiter); }

void Primary::cancel_wait(port::SlotWaiter& waiter) {
  if (waiter.is_linked()) waiters_.erase(waiter);
}

void Primary::put(Slot& slot) {
  slots_.put(slot);
  if (slots_.all_free()) resync_.clients_rest();
}

void Primary::release(port::IoRequest& request) {
  Slot& slot = static_cast<Slot&>(request);
  HAST_ASSERT(slot.with_client);
  slot.with_client = false;
  if (slot.in_core) return;
  put(slot);
  if (!waiters_.empty() && !delivering_) host_.defer_delivery();
  if (slots_.all_free()) host_.changed();
}

void Primary::deliver() {
  if (delivering_) return;
  delivering_ = true;
  for (;;) {
    tell_local_reads();  // anew after each: a callback may have let the disk fail
    Slot* slot = answered_.pop_front();
    if (slot == nullptr) break;
    slot->completed(*slot);
  }
  while (slots_.free_count() > 0) {
    port::SlotWaiter* waiter = waiters_.pop_front();
    if (waiter == nullptr) break;
    waiter->slot_freed();
  }
  delivering_ = false;
  // A callback may have submitted something that was refused at once.
  if (!answered_.empty()) host_.defer_delivery();
}

bool Primary::is_valid(const Slot& slot) const {
  if (slot.kind == IoKind::flush) return slot.length_bytes == 0;
  const std::uint32_t sector = volume_.component.sector_bytes();
  if (slot.length_bytes == 0 ||
      !range_within(slot.offset_bytes, slot.length_bytes, volume_.data_bytes()))
    return false;
  if (slot.offset_bytes % sector != 0 || slot.length_bytes % sector != 0) return false;
  if (slot.kind == IoKind::discard) return slot.length_bytes <= port::kMaxDiscardBytes;
  const std::uint64_t last = slot.offset_bytes + slot.length_bytes - 1;
  return slot.offset_bytes / port::kBlockBytes == last / port::kBlockBytes;
}

void Primary::submit(port::IoRequest& request) {
  Slot& slot = static_cast<Slot&>(request);
  HAST_ASSERT(slot.with_client && !slot.in_core);
  slot.in_core = true;
  resync_.client_asked();
  slots_.submitted(slot);
  ++depth_;  // not an Entry: completions never run inside submit()
  if (!is_valid(slot)) {
    slot.answered = false;
    answer(slot, EINVAL);
    leave_core(slot);
  } else {
    io_.count(slot.kind);
    start(slot);
  }
  --depth_;
  if (!answered_.empty() && !delivering_) host_.defer_delivery();
}

/// Also anew, after everything it did before came to nothing.
void Primary::start(Slot& slot) {
  slot.answered = slot.unmarked = slot.stale = slot.flushing = false;
  slot.kept_locally = slot.kept_by_peer = slot.peer_durable = false;
  slot.local_error = slot.remote_error = 0;
  switch (slot.kind) {
    case IoKind::read:
      return start_read(slot);
    case IoKind::flush:
      return start_flush(slot);
    case IoKind::write:
    case IoKind::write_zeroes:
    case IoKind::discard:
      break;
  }
  start_write(slot);
}

/// The peer failed or is gone: what is acknowledged now exists here alone.
bool Primary::is_unreplicated(const Slot& slot) {
  return slot.remote_state == RemoteState::failed || slot.remote_state == RemoteState::absent;
}

// Operations ------------------------------------------------------------------------------------

void Primary::submit_disk(Slot& slot, IoKind kind) {
  slot.local = LocalState::pending;
  slot.disk.kind = kind;
  slot.disk.offset_bytes = kind == IoKind::flush ? 0 : volume_.on_component(slot.offset_bytes);
  slot.disk.length_bytes = kind == IoKind::flush ? 0 : slot.length_bytes;
  slot.disk.data = kind == IoKind::read || kind == IoKind::write ? slot.buffer : nullptr;
  slot.disk.error = 0;
  ++local_queue_;
  volume_.disk.submit(slot.disk);
}

void Primary::send(Slot& slot, IoKind kind) {
  slot.remote_state = RemoteState::pending;
  slot.remote.kind = kind;
  slot.remote.offset_bytes = kind == IoKind::flush ? 0 : slot.offset_bytes;
  slot.remote.length_bytes = kind == IoKind::flush ? 0 : slot.length_bytes;
  slot.remote.data = kind == IoKind::read || kind == IoKind::write ? slot.buffer : nullptr;
  const bool is_write = kind == IoKind::write || kind == IoKind::write_zeroes;
  slot.remote.memsync = is_write && replication_ == Replication::memsync;
  slot.remote.fua = is_write && slot.fua && peer_native_;
  volume_.outbox.send(slot.remote);
}

void Primary::disk_done(port::DiskOp& op) {
  Entry entry(*this);
  Slot& slot = *static_cast<Slot*>(op.owner);
  --local_queue_;
  if (op.kind == IoKind::discard && op.error == EOPNOTSUPP) {
    op.error = 0;
    slot.kept_locally = true;
    local_discards_ = false;
  }
  if (op.kind == IoKind::flush) {
    op.error = port::flush_result(op.error);
    if (op.error == 0) op.error = flush_lost_;
  }
  slot.local_error = op.error;
  slot.local = op.error == 0 ? LocalState::ok : LocalState::failed;
  if (op.error != 0) local_failed(slot, op.kind);
  // A failed write keeps its range until it is known who has it: a resync would push the old block
  // over the peer's copy (INV-6).
  if (slot.local == LocalState::ok) release_lock(slot);
  advance(slot);
}

void Primary::remote_received(RemoteOp& op) {
  Slot& slot = *static_cast<Slot*>(op.owner);
  if (slot.remote_state != RemoteState::pending || !op.memsync) return;
  slot.remote_state = RemoteState::received;
  advance(slot);
}

void Primary::remote_done(RemoteOp& op) {
  Slot& slot = *static_cast<Slot*>(op.owner);
  if (op.kind == IoKind::discard && op.error == EOPNOTSUPP) {
    op.error = 0;
    slot.kept_by_peer = true;
    peer_discards_ = false;
  }
  if (op.kind == IoKind::flush) op.error = port::flush_result(op.error);
  slot.remote_error = op.error;
  if (op.error == 0 && op.fua && op.kind != IoKind::flush) slot.peer_durable = true;
  if (op.error == 0 && op.kind == IoKind::flush && slot.epoch >= unflushed_there_)
    unflushed_there_ = 0;
  const bool only_there = slot.is_write() && (slot.stale || local_lost_);
  if (op.error == 0 && only_there && !op.fua) unflushed_there_ = volume_.map.epoch();
  slot.remote_state = op.error == 0          ? RemoteState::ok
                      : op.error == ENOTCONN ? RemoteState::absent
                                             : RemoteState::failed;
  if (slot.remote_state == RemoteState::absent && slot.holds_extents) mark_degraded(slot);
  if (slot.remote_state == RemoteState::failed && op.kind != IoKind::read)
    peer_failed(op.kind, slot.offset_bytes, op.error);
  advance(slot);
  release_waiting_for_vouch();
}

/// The peer refuses an operation: it cannot be relied on. The link is restarted, which ends in a
/// resync that says whether it can.
void Primary::peer_failed(IoKind kind, std::uint64_t offset_bytes, int error) {
  happened({.kind = Event::Kind::peer_io_failed,
            .io = kind,
            .error = error,
            .offset_bytes = offset_bytes});
  synced_ = false;
  host_.drop_link(Error{Errc::io_failed, error, "the peer failed an operation"});
}

// Reads -----------------------------------------------------------------------------------------

bool Primary::has_local_copy(const Slot& slot) const {
  return !local_lost_ && !volume_.stale.any_in(slot.offset_bytes, slot.length_bytes);
}

/// True if no read would have to ask the peer, or wait.
bool Primary::reads_all_locally() const {
  const bool may_answer = volume_.outbox.connected() || !needs_permission();
  return !local_lost_ && !volume_.stale.any() && may_answer;
}

void Primary::tell_local_reads() {
  const bool possible = reads_all_locally();
  if (std::exchange(local_reads_, possible) != possible) host_.local_reads(possible);
}

/// True if the peer may lack something of the range that this node acknowledged.
bool Primary::local_newer_in(const Slot& slot) const {
  const ExtentRange range = volume_.map.extents_of(slot.offset_bytes, slot.length_bytes);
  const Bitmap& unsynced = volume_.map.unsynced();
  if (!peer_ahead_) return unsynced.any_in(range.first, range.last);
  const std::uint64_t end = slot.offset_bytes + slot.length_bytes;
  for (std::uint64_t e = range.first; e <= range.last; ++e) {
    const std::uint64_t extent_begin = e * volume_.map.extent_bytes();
    const std::uint64_t begin = std::max(slot.offset_bytes, extent_begin);
    const std::uint64_t length = std::min(end, extent_begin + volume_.map.extent_bytes()) - begin;
    if (unsynced.test(e) && !volume_.stale.any_in(begin, length)) return true;
  }
  return false;
}

void Primary::start_read(Slot& slot) {
  slot.remote_state = RemoteState::absent;
  if (!volume_.outbox.connected() && !may_answer_alone(slot)) return;
  if (has_local_copy(slot)) return submit_disk(slot, IoKind::read);
  slot.local = LocalState::absent;
  read_remotely(slot);
}

void Primary::read_remotely(Slot& slot) {
  // INV-6: the side that holds the newest acknowledged data answers, or nobody.
  if (volume_.outbox.connected() && !local_newer_in(slot)) {
    send(slot, IoKind::read);
  } else {
    slot.remote_state = RemoteState::failed;
    advance_read(slot);
  }
}

void Primary::advance_read(Slot& slot) {
  if (slot.local == LocalState::ok || slot.remote_state == RemoteState::ok) {
    answer(slot, 0);
    if (slot.local == LocalState::failed && may_repair(slot.offset_bytes, slot.length_bytes) &&
        !random_.rarely())
      repair_.ask(slot.offset_bytes, slot.length_bytes);
  } else if (slot.local == LocalState::failed && slot.remote_state == RemoteState::absent &&
             slot.remote_error == 0) {
    return read_remotely(slot);
  } else if (!slot.settled()) {
    return;
  } else {
    answer(slot, failure_of(slot));
  }
  leave_core(slot);
}

// Writes ----------------------------------------------------------------------------------------

void Primary::start_write(Slot& slot) {
  if (slot.kind == IoKind::discard && !discards_possible()) {
    answer(slot, 0);
    return leave_core(slot);
  }
  slot.extents = volume_.map.extents_of(slot.offset_bytes, slot.length_bytes);
  slot.local = LocalState::pending;
  slot.remote_state = RemoteState::pending;
  slot.claim.begin = slot.offset_bytes;
  slot.claim.end = slot.offset_bytes + slot.length_bytes;
  if (volume_.locks.acquire(slot.claim)) write_locked(slot);
}

/// TRIM is advice. Done on one node only it would make the nodes differ, so it is done on neither
/// from the first time that one of them cannot.
bool Primary::discards_possible() const {
  return local_discards_ && (peer_discards_ || !volume_.outbox.connected());
}

void Primary::write_locked(Slot& slot) {
  slot.holds_lock = true;
  if (local_lost_ && !attaching()) return dispatch(slot);
  slot.holds_extents = true;
  if (volume_.map.begin_write(slot.extents) == DirtyMap::Start::stable) return dispatch(slot);
  ++io_.activemap_updates;
  mark(slot);
}

/// INV-1: no byte moves before the map is on stable storage.
void Primary::mark(Slot& slot) {
  slot.ticket = commit_.commit();
  waiting_map_.push_back(slot);
}

void Primary::mark_degraded(Slot& slot) {
  if (!std::exchange(slot.degraded, true)) ++degraded_writes_;
}

void Primary::dispatch(Slot& slot) {
  const bool connected = volume_.outbox.connected();
  slot.stale = !has_local_copy(slot);
  if (!connected && peer_ahead_) {
    // It holds newer data and cannot be reached: acknowledging now would make a split brain.
    slot.local = LocalState::absent;
    slot.remote_state = RemoteState::absent;
    return advance(slot);
  }
  if (connected) {
    send(slot, slot.kind);
  } else {
    slot.remote_state = RemoteState::absent;
    mark_degraded(slot);
    volume_.map.need_sync(slot.extents);
  }
  if (local_lost_) {
    volume_.stale.set(slot.offset_bytes, slot.length_bytes);
    slot.local = LocalState::absent;
    release_lock(slot);
  } else {
    submit_disk(slot, slot.kind);
  }
}

void Primary::advance_write(Slot& slot) {
  if (slot.flushing) return advance_flush(slot);
  const bool settled = slot.settled();
  if (settled && slot.holds_extents) {
    if (slot.local == LocalState::failed && slot.remote_state == RemoteState::ok) {
      if (answered_in_flight() && waits_for_vouch(slot)) return;
      rely_on_peer(slot);
    }
    end_extents(slot);
  }
  if (settled) release_lock(slot);
  if (slot.answered) {
    // Acknowledged early, then the peer failed: the change exists here alone (INV-3).
    if (settled && is_unreplicated(slot)) count_episode();
  } else if (slot.ListNode<Slot>::is_linked()) {
    return;  // it waits for the counter (INV-3) and will be taken up again
  } else {
    switch (verdict(mode_of_writes(), local_copy_of(slot), slot.remote_state)) {
      case Verdict::wait:
        break;
      case Verdict::success:
        succeed(slot);
        break;
      case Verdict::failure:
        answer(slot, failure_of(slot));
        break;
    }
  }
  if (slot.answered && settled && !slot.flushing) leave_core(slot);
}

/// Answered early, one write after the other would put off for ever what has to know that the peer
/// has them all (INV-12).
Replication Primary::mode_of_writes() const {
  return clients_left_ || !waiting_vouch_.empty() ? Replication::fullsync : replication_;
}

/// While the peer is ahead a copy here is none: nothing is acknowledged that the peer lacks, or
/// both nodes would have something that the other has not (INV-6, INV-7).
LocalState Primary::local_copy_of(const Slot& slot) const {
  const bool counts = !peer_ahead_ && !slot.stale;
  return counts || !is_settled(slot.local) ? slot.local : LocalState::absent;
}

void Primary::succeed(Slot& slot) {
  if (is_unreplicated(slot)) {
    if (clients_left_) return answer(slot, ECANCELED);
    if (!may_answer_alone(slot)) return;
    if (!episode_is_counted(slot)) return;  // INV-3: the counter first
  }
  if (peer_ahead_ && !lag_is_recorded(slot)) return;  // INV-11: and so does this
  if (!slot.fua || slot.flushing) return answer(slot, 0);
  if (!slot.settled()) return;
  slot.flushing = true;
  start_flush(slot);
}

void Primary::end_extents(Slot& slot) {
  // Stale units it touches stay unsynced, as they are; the rest of it is equal.
  const bool on_both = slot.local == LocalState::ok && slot.remote_state == RemoteState::ok &&
                       slot.kept_locally == slot.kept_by_peer;
  // A write that never started on either side, or failed on both, changed nothing that was
  // promised; still the bytes may differ, so only "on both" leaves the extent clean.
  const bool untouched =
      slot.local == LocalState::absent && slot.remote_state == RemoteState::absent;
  volume_.map.end_write(
      slot.extents, on_both || untouched ? DirtyMap::Outcome::on_both : DirtyMap::Outcome::on_one);
  // A copy made before the write is of no use. None was made of a range whose lock this write held
  // since before the link came up, nor is one needed where the peer has what the copy will bring.
  const bool copied_after = slot.degraded || (slot.stale && slot.remote_state == RemoteState::ok);
  if (!on_both && !untouched && !copied_after) resync_.invalidate(slot.extents);
  slot.holds_extents = false;
}

// Outcomes --------------------------------------------------------------------------------------

void Primary::advance(Slot& slot) {
  switch (slot.kind) {
    case IoKind::read:
      return advance_read(slot);
    case IoKind::flush:
      return advance_flush(slot);
    case IoKind::write:
    case IoKind::write_zeroes:
    case IoKind::discard:
      break;
  }
  advance_write(slot);
}

int Primary::failure_of(const Slot& slot) const {
  if (slot.local_error != 0) return slot.local_error;
  if (slot.remote_error != 0 && slot.remote_error != ENOTCONN) return slot.remote_error;
  return EIO;
}

void Primary::release_lock(Slot& slot) {
  if (!slot.holds_lock) return;
  slot.holds_lock = false;
  volume_.locks.release(slot.claim);
}

void Primary::answer(Slot& slot, int error) {
  HAST_ASSERT(!slot.answered);
  slot.answered = true;
  slot.error = error;
  answered_.push_back(slot);
  if (depth_ == 0 && !delivering_) host_.defer_delivery();
}

void Primary::leave_core(Slot& slot) {
  HAST_ASSERT(slot.answered && !slot.holds_lock && !slot.holds_extents);
  if (!slot.in_core) return;
  slot.in_core = false;
  if (std::exchange(slot.degraded, false)) --degraded_writes_;
  if (!slot.with_client) {
    put(slot);
    if (!waiters_.empty() && depth_ == 0 && !delivering_) host_.defer_delivery();
  }
  if (stopping_) run_last_barrier();
}

}  // namespace hast::core
