// The primary's own component when it fails: what is repaired from the peer, what is given up, and
// how a component that was given up is taken back.
#include <algorithm>
#include <utility>

#include "hast/base/assert.hpp"
#include "primary_entry.hpp"

namespace hast::core {

namespace {
/// Until a disk that failed a flush is asked for another.
constexpr int kFlushAgainTicks = 5;
}  // namespace

void Primary::local_failed(Slot& slot, IoKind kind) {
  io_.count_error(kind);
  happened({.kind = Event::Kind::local_io_failed,
            .io = kind,
            .error = slot.local_error,
            .offset_bytes = slot.offset_bytes});
}

// Read-repair -------------------------------------------------------------------------------------

/// INV-6. Where this node may be newer, or is known to be older, a resync is due that says so.
bool Primary::may_repair(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
  const ExtentRange range = volume_.map.extents_of(offset_bytes, length_bytes);
  return !local_lost_ && !stopping_ && volume_.outbox.connected() &&
         !volume_.stale.any_in(offset_bytes, length_bytes) &&
         !volume_.map.unsynced().any_in(range.first, range.last);
}

void Primary::repair_ended(std::uint64_t offset_bytes, std::uint64_t length_bytes, int error) {
  Entry entry(*this);
  if (error == 0) {
    ++io_.reads_repaired;
    return happened(
        {.kind = Event::Kind::read_repaired, .offset_bytes = offset_bytes, .bytes = length_bytes});
  }
  ++io_.write_errors;
  happened({.kind = Event::Kind::local_io_failed,
            .io = IoKind::write,
            .error = error,
            .offset_bytes = offset_bytes});
  if (may_repair(offset_bytes, length_bytes) && peer_has_everything()) {
    volume_.map.need_sync(volume_.map.extents_of(offset_bytes, length_bytes));
    component_failed_write(offset_bytes, length_bytes, error);
  }
}

void Primary::repairs_idle() {
  if (quiet()) host_.changed();
}

// Losing the component ----------------------------------------------------------------------------

/// The peer alone has this range: from now on it is read from there, until a resync has repaired
/// it; or the whole component is given up (INV-11). The peer has everything else.
void Primary::component_failed_write(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                     int error) {
  volume_.stale.set(offset_bytes, length_bytes);
  record_lag();
  if (on_local_error_ == OnLocalError::detach) give_up_local(error);
}

/// INV-11. Impossible while anything acknowledged may be missing there: then neither node could
/// repair the other.
void Primary::rely_on_peer(Slot& slot) {
  if (!peer_has_everything()) {
    slot.remote_state = RemoteState::absent;
    return;
  }
  unflushed_there_ = volume_.map.epoch();
  component_failed_write(slot.offset_bytes, slot.length_bytes, slot.local_error);
}

/// True if the peer may lack something that this node acknowledged. Where it is ahead that is what
/// it was not known to be ahead in: it lost with its power what it had.
bool Primary::holds_something_alone() const {
  if (local_lost_) return false;
  const Bitmap& unsynced = volume_.map.unsynced();
  if (!peer_ahead_) return unsynced.any();
  for (std::uint64_t e = unsynced.find_next(0); e != Bitmap::npos; e = unsynced.find_next(e + 1))
    if (!volume_.stale.any_in_extent(e)) return true;
  return false;
}

/// True if a write was acknowledged whose final reply is still to come.
bool Primary::answered_in_flight() const {
  const std::deque<Slot>& slots = slots_.slots();
  return std::any_of(slots.begin(), slots.end(), [](const Slot& slot) {
    return slot.in_core && slot.is_write() && slot.answered && !is_settled(slot.remote_state);
  });
}

/// True if nothing acknowledged exists on this node alone, durably so where a resync was needed.
bool Primary::peer_has_everything() const {
  return peer_has_what_it_answered() && !answered_in_flight();
}

bool Primary::peer_has_what_it_answered() const {
  return volume_.outbox.connected() && !peer_inconsistent_ && !holds_something_alone();
}

/// True if the peer will have everything as soon as it has answered what it was asked: the slot is
/// taken up again then, instead of failing now (INV-12).
bool Primary::vouch_is_awaited() const {
  return peer_has_what_it_answered() && (answered_in_flight() || vouch_asked_);
}

bool Primary::waits_for_vouch(Slot& slot) {
  if (!vouch_is_awaited()) return false;
  waiting_vouch_.push_back(slot);
  return true;
}

void Primary::release_waiting_for_vouch() {
  if (waiting_vouch_.empty() || vouch_is_awaited()) return;
  SlotList waiting;
  waiting.splice_back(waiting_vouch_);
  while (Slot* slot = waiting.pop_front()) slot->unmarked ? begin_unmarked(*slot) : advance(*slot);
}

/// The map could not be stored for it. Now the peer can do without one; or it is tried once more.
void Primary::begin_unmarked(Slot& slot) {
  slot.unmarked = false;
  local_lost_ ? dispatch(slot) : mark(slot);
}

bool Primary::can_lose_local() const { return !local_lost_ && peer_has_everything(); }

/// Nothing happens where the peer lacks something. Otherwise it is asked first: it may be gone
/// without anybody having noticed, and with its power what it had answered for. Its flush proves
/// both (INV-12). Before the first request of a connection its handshake is as good.
void Primary::give_up_local(int error) {
  if (!can_lose_local()) return;
  if (!volume_.outbox.released()) return lose_local(error);
  give_up_error_ = error;
  if (vouch_asked_) return;
  vouch_asked_ = true;
  volume_.outbox.send(vouch_op_);
}

void Primary::vouch_done(RemoteOp& op) {
  vouch_asked_ = false;
  const int error = port::flush_result(op.error);
  if (error == 0) {
    if (can_lose_local()) lose_local(give_up_error_);
  } else if (error != ENOTCONN) {
    peer_failed(IoKind::flush, 0, error);
  }
  release_waiting_for_vouch();
}

/// From now on the peer serves alone. What the component may lack is remembered, should it come
/// back: what is not proven to be flushed on it, and what is written from now on.
void Primary::lose_local(int error) {
  local_lost_ = true;
  unflushed_there_ = volume_.map.epoch();  // what it answered since it vouched
  durable_sequence_ = metadata_.durable_sequence();
  volume_.stale.set_extents(volume_.map.image());
  resync_.stop();
  repair_.stop();
  sync_due_ = sync_ending_ = false;
  happened({.kind = Event::Kind::local_lost, .error = error});
  // The peer may know that it is ahead; it must also know that no map tracks what it gets now.
  if (alone_ == Alone::told) alone_ = Alone::unsaid;
  record_lag();
}

void Primary::flush_failed(int error) {
  flush_lost_ = error;
  if (flush_again_ticks_ == 0) flush_again_ticks_ = kFlushAgainTicks;
}

/// Clients get the error until the peer stands in: nobody knows which of their flushes would have
/// to cover what was lost. Map and metadata are written anew by who learned that they failed, so
/// that the disk may try again, but not between such a write and its flush.
void Primary::flushes_are_lost() {
  if (can_lose_local()) return give_up_local(flush_lost_);
  if (local_lost_ || flush_again_ticks_ == 0 || --flush_again_ticks_ > 0) return;
  if (metadata_.idle() && commit_.idle()) {
    volume_.disk.flush_again();
  } else {
    flush_again_ticks_ = 1;
  }
}

// Taking it back ----------------------------------------------------------------------------------

bool Primary::component_idle() const {
  return local_queue_ == 0 && resync_.idle() && repair_.idle() && barrier_.idle() &&
         metadata_.idle() && commit_.idle();
}

Result<void> Primary::attach(const Component& component) {
  Entry entry(*this);
  HAST_ASSERT(local_lost_ && !attaching() && component_idle());
  const ondisk::Metadata& found = component.metadata;
  if (!(component.layout == volume_.component.layout) ||
      component.sector_bytes() > volume_.component.sector_bytes())
    return Errc::size_mismatch;
  const bool is_new = found.resuid == 0;
  if (!is_new && found.resuid != metadata().resuid) return Errc::resuid_mismatch;
  // An older state of it, or another disk: what it lacks is not known.
  if (is_new || found.sequence < durable_sequence_) volume_.stale.set_all();
  for (std::uint64_t e = 0; e < volume_.map.extents(); ++e)
    if (volume_.stale.any_in_extent(e)) volume_.map.need_sync({e, e});
  volume_.map.forget_stable();
  metadata_.continue_on(component);
  metadata_.change().inconsistent = true;  // INV-5: before the first block is copied here
  metadata_.change().sync_from = peer_generations_.current;
  attach_metadata_ticket_ = metadata_.commit();
  attach_map_ticket_ = commit_.commit();  // INV-1
  return {};
}

/// Called as the commits end. Writes go to the component from the moment that it can say what it
/// lacks.
void Primary::attach_step(Ticket& ticket, Ticket ended, int error) {
  if (ticket == 0 || ended < ticket) return;
  ticket = 0;
  attach_error_ = error != 0 ? error : attach_error_;
  if (attaching()) return;
  const int failed = std::exchange(attach_error_, 0);
  if (failed != 0) return happened({.kind = Event::Kind::local_lost, .error = failed});
  local_lost_ = false;
  flush_lost_ = 0;
  happened({.kind = Event::Kind::local_attached, .bytes = volume_.stale.bytes()});
  sync_due_ = volume_.outbox.connected();
  start_sync();
}

}  // namespace hast::core
