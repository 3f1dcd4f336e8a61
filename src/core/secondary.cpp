#include "hast/core/secondary.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "hast/base/assert.hpp"
#include "hast/base/bitmap.hpp"
#include "hast/base/units.hpp"

namespace hast::core {

Secondary::Secondary(const Component& component, std::size_t requests, SecondaryHost& host)
    : component_(component),
      disk_(*component.disk),
      host_(host),
      metadata_(component, *this),
      buffers_(requests * kMaxPeerIoBytes),
      requests_(requests),
      zeros_(std::min<std::uint64_t>(component.layout.image_bytes, kMiB)) {
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
      mine.secondary->execute(mine);
    };
    request.disk.completed = [](port::DiskOp& op) {
      PeerRequest& mine = *static_cast<PeerRequest*>(op.owner);
      mine.secondary->disk_done(mine);
    };
    free_.push_back(request);
  }
  metadata_.change().prevrole = Role::secondary;  // stored with the next commit
  remembered_.reserve(kRemembered);
  completes_with<&Secondary::map_cleared>(clear_op_, this);
}

Secondary::~Secondary() {
  HAST_ASSERT(quiet());
  while (free_.pop_front() != nullptr) {
  }
}

// Handshake ---------------------------------------------------------------------------------------

Result<SyncDecision> Secondary::decide(const PrimaryFacts& primary) {
  const ondisk::Metadata& mine = metadata();
  Result<SyncDecision> decision =
      decide_sync(mine.resuid, {mine.localcnt, mine.remotecnt}, primary);
  if (decision && mine.resuid == 0) {
    metadata_.change().resuid = primary.resuid;
    identity_error_ = 0;
    identity_ticket_ = metadata_.commit();
  }
  return decision;
}

void Secondary::metadata_committed(Ticket ticket, int error) {
  if (identity_ticket_ != 0 && ticket >= identity_ticket_) {
    identity_ticket_ = 0;
    identity_error_ = error;
    if (error != 0) {  // INV-4: without a durable identity there is no session
      metadata_.change().resuid = 0;
      host_.happened({.kind = Event::Kind::metadata_failed, .error = error});
    }
  }
  host_.changed();
}

std::vector<std::byte> Secondary::map_for(const SyncDecision& decision) const {
  const ondisk::Layout& layout = component_.layout;
  std::vector<std::byte> map;
  if (decision.kind == SyncKind::own_extents) return map;
  map.resize(layout.image_bytes, decision.kind == SyncKind::full ? std::byte{0xff} : std::byte{0});
  if (decision.kind == SyncKind::full) return map;
  Bitmap bits(layout.extents);
  bits.import_bytes(component_.map_image);
  for (const Written& written : remembered_) {
    for (std::uint64_t e = written.begin / layout.extent_bytes;
         e * layout.extent_bytes < written.end; ++e)
      bits.set(e);
  }
  bits.export_bytes(0, map);
  return map;
}

// Session -----------------------------------------------------------------------------------------

void Secondary::session_started() {
  HAST_ASSERT(!in_session_);
  ++session_;
  in_session_ = true;
  merged_ = false;
  highest_seq_ = 0;
}

void Secondary::session_ended() {
  in_session_ = false;
  // Requests that did not reach the disk yet are not executed: their primary is gone (INV-8 holds
  // either way, but a new primary must not find old writes arriving after its own).
  while (PeerRequest* request = twins_.pop_front()) recycle(*request);
  while (PeerReply* reply = replies_.pop_front()) reply_sent(*reply);
}

PeerRequest* Secondary::acquire() {
  PeerRequest* request = free_.pop_front();
  if (request == nullptr) return nullptr;
  request->state = PeerRequest::State::receiving;
  request->session = session_;
  request->error = 0;
  return request;
}

void Secondary::abandon(PeerRequest& request) { recycle(request); }

int Secondary::check(const PeerRequest& request) const {
  if (request.kind == IoKind::flush) return 0;
  const std::uint32_t sector = component_.sector_bytes();
  const bool sized = request.kind == IoKind::discard || request.length_bytes <= kMaxPeerIoBytes;
  const bool aligned = request.offset_bytes % sector == 0 && request.length_bytes % sector == 0;
  const bool inside =
      range_within(request.offset_bytes, request.length_bytes, component_.layout.data_bytes);
  return request.length_bytes > 0 && sized && aligned && inside ? 0 : EINVAL;
}

void Secondary::submit(PeerRequest& request) {
  HAST_ASSERT(in_session_ && request.state == PeerRequest::State::receiving);
  if (const int error = check(request); error != 0) return refuse(request, error);
  if (!merged_) {
    merged_ = true;  // wire-protocol §5.3: only now is our map in the primary's hands
    remembered_.clear();
    next_remembered_ = 0;
    clear_map();
  }
  count(request);
  begin(request);
}

void Secondary::refuse(PeerRequest& request, int error) {
  request.error = error;
  request.state = PeerRequest::State::replying;
  queue_reply(request.final);
}

void Secondary::begin(PeerRequest& request) {
  if (request.seq <= highest_seq_ && unfinished_twin(request) != nullptr) {
    request.state =
        PeerRequest::State::waiting_seq;  // wire-protocol §7.2: equal seqs stay in order
    twins_.push_back(request);
    return;
  }
  highest_seq_ = std::max(highest_seq_, request.seq);
  start(request);
}

PeerRequest* Secondary::unfinished_twin(const PeerRequest& request) {
  for (PeerRequest& other : in_order_) {
    if (other.seq == request.seq) return &other;
  }
  for (PeerRequest& other : twins_) {
    if (other.seq == request.seq) return &other;
  }
  return nullptr;
}

void Secondary::start(PeerRequest& request) {
  if (request.memsync && request.kind == IoKind::write) queue_reply(request.early);
  in_order_.push_back(request);
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
  if (locks_.acquire(request.claim)) execute(request);
}

/// A flush begins when no write that arrived before it is unfinished.
void Secondary::start_flushes() {
  if (waiting_flushes_ == 0) return;
  for (PeerRequest& request : in_order_) {
    if (request.is_write()) return;
    if (request.state != PeerRequest::State::waiting_writes) continue;
    --waiting_flushes_;
    execute(request);
    if (waiting_flushes_ == 0) return;
  }
}

void Secondary::execute(PeerRequest& request) {
  request.state = PeerRequest::State::on_disk;
  request.holds_lock = request.kind != IoKind::flush;
  port::DiskOp& op = request.disk;
  op.kind = request.kind;
  op.offset_bytes =
      request.kind == IoKind::flush ? 0 : component_.layout.data_offset + request.offset_bytes;
  op.length_bytes = request.kind == IoKind::flush ? 0 : request.length_bytes;
  op.data =
      request.kind == IoKind::discard || request.kind == IoKind::flush ? nullptr : request.buffer;
  op.error = 0;
  disk_.submit(op);
}

void Secondary::disk_done(PeerRequest& request) {
  request.error = request.disk.error;
  if (request.error != 0 && request.error != EOPNOTSUPP) {
    switch (request.kind) {
      case IoKind::read:
        ++io_.read_errors;
        break;
      case IoKind::discard:
        ++io_.delete_errors;
        break;
      case IoKind::flush:
        ++io_.flush_errors;
        break;
      default:
        ++io_.write_errors;
        break;
    }
    host_.happened({.kind = Event::Kind::local_io_failed,
                    .io = request.kind,
                    .error = request.error,
                    .offset_bytes = request.offset_bytes});
  }
  finish(request);
}

void Secondary::finish(PeerRequest& request) {
  const std::uint64_t seq = request.seq;
  const bool was_write = request.is_write();
  in_order_.erase(request);
  request.state = PeerRequest::State::replying;
  queue_reply(request.final);
  if (std::exchange(request.holds_lock, false)) locks_.release(request.claim);
  if (was_write) start_flushes();
  if (!twins_.empty()) start_twins(seq);
  if (quiet()) host_.changed();
}

void Secondary::start_twins(std::uint64_t seq) {
  for (PeerRequest& request : twins_) {
    if (request.seq != seq) continue;
    twins_.erase(request);
    return start(request);
  }
}

// Replies -----------------------------------------------------------------------------------------

void Secondary::queue_reply(PeerReply& reply) {
  replies_.push_back(reply);
  if (!in_session_ || reply.request->session != session_) {
    replies_.erase(reply);
    return reply_sent(reply);  // whoever asked is gone
  }
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
  return free_.size() == requests_.size() && metadata_.idle() && !clearing_;
}

// The map -----------------------------------------------------------------------------------------

void Secondary::count(const PeerRequest& request) {
  switch (request.kind) {
    case IoKind::read:
      ++io_.reads;
      break;
    case IoKind::discard:
      ++io_.deletes;
      break;
    case IoKind::flush:
      ++io_.flushes;
      break;
    default:
      ++io_.writes;
      break;
  }
}

void Secondary::remember(const PeerRequest& request) {
  const Written written{request.offset_bytes, request.offset_bytes + request.length_bytes};
  if (remembered_.size() < kRemembered) {
    remembered_.push_back(written);
  } else {
    remembered_[next_remembered_] = written;
    next_remembered_ = (next_remembered_ + 1) % kRemembered;
  }
}

/// Zeroes the map on disk, a piece at a time. A failure only means a larger resync next time.
void Secondary::clear_map() {
  const bool any = std::any_of(component_.map_image.begin(), component_.map_image.end(),
                               [](std::byte b) { return b != std::byte{0}; });
  if (!any || clearing_) return;
  clearing_ = true;
  cleared_bytes_ = 0;
  clear_op_.error = 0;
  clear_op_.length_bytes = 0;
  map_cleared(clear_op_);
}

void Secondary::map_cleared(port::DiskOp& op) {
  cleared_bytes_ += op.length_bytes;
  const std::uint64_t map_bytes = component_.layout.image_bytes;
  if (op.error != 0 || cleared_bytes_ == map_bytes) {
    clearing_ = false;
    if (op.error == 0) {
      std::fill(component_.map_image.begin(), component_.map_image.end(), std::byte{0});
    } else {
      ++io_.write_errors;
      host_.happened({.kind = Event::Kind::map_failed, .error = op.error});
    }
    if (quiet()) host_.changed();
    return;
  }
  op.kind = IoKind::write;
  op.offset_bytes = ondisk::kMapOffset + cleared_bytes_;
  op.length_bytes = std::min<std::uint64_t>(zeros_.size(), map_bytes - cleared_bytes_);
  op.data = zeros_.data();
  disk_.submit(op);
}

}  // namespace hast::core
