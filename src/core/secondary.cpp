// The way of a request through the secondary. The handshake is in secondary_handshake.cpp.
#include "hast/core/secondary.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "hast/base/assert.hpp"
#include "hast/base/bitmap.hpp"
#include "hast/base/units.hpp"

namespace hast::core {

Secondary::Secondary(const Component& component, std::size_t requests, SecondaryHost& host,
                     RecentWrites recent)
    : component_(component),
      disk_(*component.disk),
      host_(host),
      metadata_(component, *this),
      buffers_(requests * kMaxPeerIoBytes),
      requests_(requests),
      recent_(std::move(recent)),
      map_piece_(std::min<std::uint64_t>(component.layout.image_bytes, kMiB)) {
  std::byte* buffer = buffers_.data();
  for (PeerRequest& request : requests_) {
    request.buffer = buffer;
    buffer += kMaxPeerIoBytes;
    request.secondary = this;
    request.early.request = request.final.request = &request;
    request.early.received = true;
    request.claim.owner = request.disk.owner = &request;
    request.claim.granted = [](RangeClaim& claim) {
      PeerRequest& mine = *static_cast<PeerRequest*>(claim.owner);
      mine.holds_lock = true;
      mine.secondary->proceed(mine);
    };
    request.disk.completed = [](port::DiskOp& op) {
      PeerRequest& mine = *static_cast<PeerRequest*>(op.owner);
      mine.secondary->disk_done(mine);
    };
    free_.push_back(request);
  }
  metadata_.change().prevrole = Role::secondary;  // stored with the next commit
  if (component.metadata_copy_lost || component.doubtful) metadata_.commit();
  recent_.ranges.reserve(RecentWrites::kMost);
  completes_with<&Secondary::map_piece_done>(map_op_, this);
}

Secondary::~Secondary() {
  HAST_ASSERT(quiet());
  while (free_.pop_front() != nullptr) {
  }
}

// Session -----------------------------------------------------------------------------------------

void Secondary::session_started(Dialect dialect) {
  HAST_ASSERT(!in_session_);
  ++session_;
  in_session_ = true;
  handed_over_ = alone_untold_ = false;
  dialect_ = dialect;
  merged_ = false;
  highest_seq_ = 0;
}

void Secondary::session_ended() {
  in_session_ = false;
  // What was submitted is executed all the same, each in its place: it came whole and verified, and
  // memsync may have acknowledged it. A later session's requests queue behind it.
  while (PeerReply* reply = replies_.pop_front()) reply_sent(*reply);
  // What was held was neither begun nor acknowledged.
  while (PeerRequest* request = held_.pop_front()) recycle(*request);
}

PeerRequest* Secondary::acquire() {
  PeerRequest* request = free_.pop_front();
  if (request == nullptr) return nullptr;
  request->state = PeerRequest::State::receiving;
  request->session = session_;
  request->error = 0;
  request->order = {};
  request->memsync = request->fua = false;
  return request;
}

void Secondary::abandon(PeerRequest& request) { recycle(request); }

int Secondary::check(const PeerRequest& request) const {
  if (request.kind == IoKind::flush) return 0;
  const std::uint32_t sector = component_.sector_bytes();
  const bool carries_data = request.kind == IoKind::read || request.kind == IoKind::write;
  const bool sized = !carries_data || request.length_bytes <= kMaxPeerIoBytes;
  const bool aligned = request.offset_bytes % sector == 0 && request.length_bytes % sector == 0;
  const bool inside =
      range_within(request.offset_bytes, request.length_bytes, component_.layout.data_bytes);
  return request.length_bytes > 0 && sized && aligned && inside ? 0 : EINVAL;
}

void Secondary::submit(PeerRequest& request) {
  HAST_ASSERT(in_session_ && request.state == PeerRequest::State::receiving);
  const bool is_order = request.order.kind != PeerOrder::Kind::none;
  const int error = is_order ? 0 : check(request);
  if (error != 0) return refuse(request, error);
  usage_.submitted(requests_in_use(), request.length_bytes);
  // A primary that tells this first may have no disk to store the map on: not before it is durable
  // that everything is here, and where is not known (INV-12).
  alone_untold_ = alone_untold_ || (!merged_ && request.order.kind == PeerOrder::Kind::alone);
  if (!merged_ && !alone_untold_) map_is_merged();
  if (is_order) return obey(request);
  if (marking_ > 0) {
    request.state = PeerRequest::State::held;
    return held_.push_back(request);
  }
  io_.count(request.kind);
  begin(request);
}

// Orders ------------------------------------------------------------------------------------------

void Secondary::obey(PeerRequest& request) {
  ondisk::Metadata& mine = metadata_.change();
  const PeerOrder& order = request.order;
  switch (order.kind) {
    case PeerOrder::Kind::sync_begin:
      mine.inconsistent = true;  // INV-5: what follows waits until this is durable
      mine.outdated = false;
      mine.sync_from = order.generations.current;
      ++marking_;
      break;
    case PeerOrder::Kind::sync_end:
      mine.inconsistent = mine.outdated = false;
      mine.sync_from = 0;
      mine.generations = order.generations;
      break;
    case PeerOrder::Kind::alone:
      ++mine.localcnt;
      // A primary whose map tracks nothing: its word counts only if it knows where this node is, or
      // if this node, which has everything, was never told what that is.
      if (!mine.generations.known() || order.generations.contains(mine.generations.current)) {
        mine.generations = order.generations;
      } else {
        mine.generations.begin(order.generations.current);
      }
      mine.generations.synced = Generations::kUntracked;
      mine.outdated = false;
      ++marking_;  // INV-1: no map has a bit for what follows
      break;
    case PeerOrder::Kind::goodbye:
      mine.outdated = !order.current && !mine.inconsistent;
      break;
    case PeerOrder::Kind::none:
      break;
  }
  if (order.kind == PeerOrder::Kind::goodbye)
    host_.happened(
        {.kind = order.current ? Event::Kind::primary_left : Event::Kind::primary_left_ahead});
  request.state = PeerRequest::State::waiting_metadata;
  ordering_.push_back(request);
  request.ticket = metadata_.commit();
}

/// INV-4: what is not durable is not confirmed; the primary then gives this node up.
void Secondary::orders_committed(Ticket ticket, int error) {
  List waiting;
  waiting.splice_back(ordering_);
  while (PeerRequest* request = waiting.pop_front()) {
    if (request->ticket > ticket) {
      ordering_.push_back(*request);
      continue;
    }
    const PeerOrder::Kind kind = request->order.kind;
    if (kind == PeerOrder::Kind::sync_begin || kind == PeerOrder::Kind::alone) {
      --marking_;
      if (error != 0) marking_error_ = error;
    }
    const bool alone = kind == PeerOrder::Kind::alone && error == 0;
    if (alone && std::exchange(alone_untold_, false) && answerable(request->final)) map_is_merged();
    if (kind == PeerOrder::Kind::goodbye)
      handed_over_ = error == 0 && request->order.current && !metadata().inconsistent;
    refuse(*request, error);
  }
  if (marking_ == 0) release_held(std::exchange(marking_error_, 0));
}

void Secondary::release_held(int error) {
  List held;
  held.splice_back(held_);
  while (PeerRequest* request = held.pop_front()) {
    if (error != 0) {
      refuse(*request, error);
    } else {
      io_.count(request->kind);
      begin(*request);
    }
  }
}

/// The first request of a session proves that the primary has our map (wire-protocol §5.3).
void Secondary::map_is_merged() {
  merged_ = true;
  recent_.ranges.clear();
  recent_.oldest = 0;
  const bool any = std::any_of(component_.map_image.begin(), component_.map_image.end(),
                               [](std::byte b) { return b != std::byte{0}; });
  if (any && !storing_map_) store_map(Bitmap(component_.layout.extents));
  // Towards a native primary the mark ends with its sync_end.
  if (!std::exchange(lag_ends_with_merge_, false) || dialect_ == Dialect::native) return;
  metadata_.change().inconsistent = false;
  metadata_.commit();
}

void Secondary::refuse(PeerRequest& request, int error) {
  request.error = error;
  request.state = PeerRequest::State::replying;
  queue_reply(request.final);
}

void Secondary::begin(PeerRequest& request) {
  // wire-protocol §7.2: replies of one seq stay in order. The request takes its place in line at
  // once and only waits with it: what comes later must not overtake it.
  request.twin_ahead = request.seq <= highest_seq_ && has_unanswered_twin(request);
  if (request.twin_ahead) ++waiting_twins_;
  highest_seq_ = std::max(highest_seq_, request.seq);
  in_order_.push_back(request);
  if (!request.twin_ahead) announce(request);
  if (request.kind == IoKind::flush) {
    request.state = PeerRequest::State::waiting_writes;
    ++waiting_flushes_;
    return start_flushes();
  }
  if (request.is_write()) remember(request);
  request.state = PeerRequest::State::waiting_range;
  request.claim.begin = request.offset_bytes;
  request.claim.end = request.offset_bytes + request.length_bytes;
  request.claim.kind = request.is_write() ? RangeClaim::Kind::exclusive : RangeClaim::Kind::shared;
  if (!locks_.acquire(request.claim)) return;
  request.holds_lock = true;
  proceed(request);
}

/// memsync: whole, verified, and nothing can keep it from the disk any more.
void Secondary::announce(PeerRequest& request) {
  if (request.memsync && request.is_write()) queue_reply(request.early);
}

/// It has its range.
void Secondary::proceed(PeerRequest& request) {
  if (!request.twin_ahead) return execute(request);
  request.state = PeerRequest::State::waiting_seq;
}

bool Secondary::has_unanswered_twin(const PeerRequest& request) {
  for (const PeerRequest& other : in_order_) {
    if (other.seq == request.seq && other.session == request.session) return true;
  }
  return false;
}

void Secondary::let_next_twin_go(const PeerRequest& finished) {
  if (waiting_twins_ == 0) return;
  for (PeerRequest& request : in_order_) {
    if (!request.twin_ahead || request.seq != finished.seq || request.session != finished.session)
      continue;
    request.twin_ahead = false;
    --waiting_twins_;
    announce(request);
    if (request.kind == IoKind::flush) return start_flushes();
    if (request.holds_lock) execute(request);
    return;
  }
}

/// A flush begins when no write that arrived before it is unfinished.
void Secondary::start_flushes() {
  if (waiting_flushes_ == 0) return;
  for (PeerRequest& request : in_order_) {
    if (request.is_write()) return;
    if (request.state != PeerRequest::State::waiting_writes || request.twin_ahead) continue;
    --waiting_flushes_;
    execute(request);
    if (waiting_flushes_ == 0) return;
  }
}

void Secondary::execute(PeerRequest& request) {
  request.state = PeerRequest::State::on_disk;
  port::DiskOp& op = request.disk;
  op.kind = request.kind;
  op.offset_bytes =
      request.kind == IoKind::flush ? 0 : component_.layout.data_offset + request.offset_bytes;
  op.length_bytes = request.kind == IoKind::flush ? 0 : request.length_bytes;
  const bool has_data = request.kind == IoKind::read || request.kind == IoKind::write;
  op.data = has_data ? request.buffer : nullptr;
  op.error = 0;
  disk_.submit(op);
}

void Secondary::disk_done(PeerRequest& request) {
  const bool flushed = request.disk.kind == IoKind::flush;
  const bool after_write = flushed && request.kind != IoKind::flush;
  request.error = after_write ? port::flush_result(request.disk.error) : request.disk.error;
  if (request.error == 0 && request.fua && !flushed) {
    request.disk.kind = IoKind::flush;
    request.disk.offset_bytes = request.disk.length_bytes = 0;
    request.disk.data = nullptr;
    return disk_.submit(request.disk);
  }
  if (request.error != 0 && request.error != EOPNOTSUPP) {
    io_.count_error(request.kind);
    host_.happened({.kind = Event::Kind::local_io_failed,
                    .io = request.kind,
                    .error = request.error,
                    .offset_bytes = request.offset_bytes});
  }
  finish(request);
}

void Secondary::finish(PeerRequest& request) {
  in_order_.erase(request);
  request.state = PeerRequest::State::replying;
  const bool held_lock = std::exchange(request.holds_lock, false);
  // Queued first and recycled last: what follows still asks who it was.
  const bool answered = answerable(request.final);
  if (answered) queue_reply(request.final);
  if (held_lock) locks_.release(request.claim);
  if (request.is_write()) start_flushes();
  let_next_twin_go(request);
  if (!answered) recycle(request);
  if (quiet()) host_.changed();
}

// Replies -----------------------------------------------------------------------------------------

/// False if whoever asked is gone.
bool Secondary::answerable(const PeerReply& reply) const {
  return in_session_ && reply.request->session == session_;
}

void Secondary::queue_reply(PeerReply& reply) {
  if (!answerable(reply)) return reply_sent(reply);
  // A native primary takes the final reply for both, as long as the early one has not left.
  PeerReply& early = reply.request->early;
  if (&reply != &early && early.is_linked() && dialect_ == Dialect::native) replies_.erase(early);
  replies_.push_back(reply);
  host_.replies_ready();
}

PeerReply* Secondary::next_reply() { return replies_.pop_front(); }

void Secondary::reply_sent(PeerReply& reply) {
  if (&reply == &reply.request->final) recycle(*reply.request);
}

void Secondary::recycle(PeerRequest& request) {
  request.state = PeerRequest::State::free;
  free_.push_front(request);
  host_.request_freed();
  if (quiet()) host_.changed();
}

bool Secondary::quiet() const {
  return free_.size() == requests_.size() && metadata_.idle() && !storing_map_;
}

// The map -----------------------------------------------------------------------------------------

void Secondary::remember(const PeerRequest& request) {
  const RecentWrites::Range written{request.offset_bytes,
                                    request.offset_bytes + request.length_bytes};
  if (recent_.ranges.size() < RecentWrites::kMost) {
    recent_.ranges.push_back(written);
  } else {
    recent_.ranges[recent_.oldest] = written;
    recent_.oldest = (recent_.oldest + 1) % RecentWrites::kMost;
  }
}

}  // namespace hast::core
