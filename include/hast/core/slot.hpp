// A request slot of the primary: the client's request, its buffer, and everything its way through
// the core needs. A fixed number of them exists; that number is the queue depth of the resource.
#pragma once

#include <cstdint>
#include <deque>

#include "hast/base/usage.hpp"
#include "hast/core/buffer.hpp"
#include "hast/core/completion.hpp"
#include "hast/core/dirty_map.hpp"
#include "hast/core/metadata_writer.hpp"
#include "hast/core/outbox.hpp"
#include "hast/core/range_lock.hpp"
#include "hast/port/disk.hpp"
#include "hast/port/frontend.hpp"

namespace hast::core {

class Primary;

struct Slot : port::IoRequest, ListNode<Slot> {
  Primary* primary = nullptr;
  /// Between acquire() and release() the client has it; from submit() until settled the core has.
  bool with_client = false;
  bool in_core = false;
  bool answered = false;       // the client knows the outcome
  bool holds_lock = false;     // range lock
  bool holds_extents = false;  // begin_write() was called, end_write() not yet
  bool unmarked = false;       // the map could not be stored: not begun on either node
  bool stale = false;          // local copy of the range is older than the peer's
  bool degraded = false;       // dispatched without a peer, or it was lost since
  bool flushing = false;       // a FUA write whose data are written and now get flushed
  bool kept_locally = false;   // a discard this component cannot do: its bytes are still there
  bool kept_by_peer = false;   // a discard the peer cannot do
  bool peer_durable = false;   // the peer's final reply came from stable storage (FUA)

  LocalState local = LocalState::absent;
  RemoteState remote_state = RemoteState::absent;
  int local_error = 0;
  int remote_error = 0;
  Ticket ticket = 0;  // of the commit it waits for
  ExtentRange extents;
  FlushEpoch epoch = 0;

  RangeClaim claim;
  port::DiskOp disk;
  RemoteOp remote;

  bool settled() const { return is_settled(local) && is_settled(remote_state); }
  bool is_write() const { return kind != IoKind::read && kind != IoKind::flush; }
};

class SlotPool {
 public:
  explicit SlotPool(std::size_t slots);
  ~SlotPool();

  Slot* take();
  void put(Slot& slot);
  void submitted(const Slot& slot) { usage_.submitted(in_use(), slot.length_bytes); }
  bool all_free() const { return free_.size() == slots_.size(); }
  std::size_t free_count() const { return free_.size(); }
  std::size_t in_use() const { return slots_.size() - free_.size(); }
  Usage usage() { return usage_.read(in_use()); }
  std::size_t size() const { return slots_.size(); }
  std::deque<Slot>& slots() { return slots_; }
  const std::deque<Slot>& slots() const { return slots_; }

 private:
  AlignedBuffer buffers_;
  std::deque<Slot> slots_;  // a deque: slots have nodes and never move
  IntrusiveList<Slot, Slot> free_;
  UsageMeter usage_;
};

}  // namespace hast::core
