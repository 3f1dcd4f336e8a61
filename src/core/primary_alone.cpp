// The primary without its peer, where it may not answer alone until somebody permits it: what
// waits, and when it goes on (on_peer_loss, fence).
#include <utility>

#include "primary_entry.hpp"

namespace hast::core {

bool Primary::needs_permission() const {
  return go_alone_ == GoAlone::if_permitted && !permitted_ && !clients_left_;
}

/// False if the slot has to wait: with the peer out of sight, another node may serve by now. Reads
/// wait, too: they would show what that node has overwritten.
bool Primary::may_answer_alone(Slot& slot) {
  if (!needs_permission()) return true;
  waiting_permission_.push_back(slot);
  if (!volume_.outbox.connected()) host_.permission_wanted();
  return false;
}

void Primary::permit_alone() {
  Entry entry(*this);
  if (volume_.outbox.connected()) return;
  permitted_ = true;
  release_waiting_for_permission();
}

void Primary::set_go_alone(GoAlone rule) {
  Entry entry(*this);
  go_alone_ = rule;
  release_waiting_for_permission();
}

void Primary::clients_left() {
  Entry entry(*this);
  clients_left_ = true;
  release_waiting_for_permission();
}

/// The peer is back and may have newer data than this node: nothing that waits was promised to
/// anybody, so that it is done once more, on both.
void Primary::restart_waiting_for_permission() {
  SlotList waiting;
  waiting.splice_back(waiting_permission_);
  while (Slot* slot = waiting.pop_front()) {
    if (std::exchange(slot->degraded, false)) --degraded_writes_;
    start(*slot);
  }
}

/// Those that have no more to wait for.
void Primary::release_waiting_for_permission() {
  SlotList waiting;
  waiting.splice_back(waiting_permission_);
  while (Slot* slot = waiting.pop_front()) {
    if (slot->kind == IoKind::read) {
      start_read(*slot);
    } else if (is_unreplicated(*slot) && needs_permission()) {
      waiting_permission_.push_back(*slot);
    } else {
      advance(*slot);
    }
  }
}

/// Writes are on their way to this node alone. Those that wait for permission are done once more.
bool Primary::writes_alone() {
  std::size_t waiting = 0;
  for (const Slot& slot : waiting_permission_) {
    if (slot.degraded) ++waiting;
  }
  return degraded_writes_ > waiting;
}

}  // namespace hast::core
