#include "hast/core/resync.hpp"

#include <algorithm>
#include <cerrno>

#include "hast/base/assert.hpp"

namespace hast::core {

Resync::Resync(Volume& volume, std::size_t window, Observer& observer)
    : volume_(volume), observer_(observer), buffers_(window * port::kBlockBytes), ranges_(window) {
  std::byte* data = buffers_.data();
  for (Range& range : ranges_) {
    range.resync = this;
    range.data = data;
    data += port::kBlockBytes;
    range.claim.owner = &range;
    range.claim.granted = [](RangeClaim& claim) {
      Range& mine = *static_cast<Range*>(claim.owner);
      mine.resync->locked(mine);
    };
    range.disk.owner = &range;
    range.disk.completed = [](port::DiskOp& op) {
      static_cast<Range*>(op.owner)->resync->disk_done(op);
    };
    range.remote.owner = &range;
    range.remote.completed = [](RemoteOp& op) {
      static_cast<Range*>(op.owner)->resync->remote_done(op);
    };
    volume_.outbox.enroll(range.remote);
    idle_.push_back(range);
  }
}

Resync::~Resync() {
  HAST_ASSERT(idle());
  while (idle_.pop_front() != nullptr) {
  }
}

void Resync::start() {
  HAST_ASSERT(!running_ && volume_.outbox.connected());
  running_ = true;
  pass_over_ = false;
  cursor_extent_ = cursor_begin_ = 0;
  shared_ranges_ = 0;
  copied_bytes_ = 0;
  total_bytes_ =
      std::min(volume_.map.unsynced().count() * volume_.map.extent_bytes(), volume_.data_bytes());
  pump();
}

void Resync::stop() {
  running_ = false;
  for (OpenExtent& extent : open_) extent.failed = true;
}

void Resync::invalidate(ExtentRange extents) {
  for (OpenExtent& open : open_) {
    if (open.extent >= extents.first && open.extent <= extents.last) open.failed = true;
  }
}

Resync::OpenExtent& Resync::open(std::uint64_t extent) {
  for (OpenExtent& open : open_) {
    if (open.extent == extent) return open;
  }
  open_.push_back(OpenExtent{extent});
  return open_.back();
}

/// The next range of the pass; nothing when the walk is at its end.
std::optional<Resync::Piece> Resync::next_piece() {
  const std::uint64_t extent_bytes = volume_.map.extent_bytes();
  if (cursor_begin_ == 0) {
    cursor_extent_ = volume_.map.unsynced().find_next(cursor_extent_);
    if (cursor_extent_ == Bitmap::npos) return std::nullopt;
  }
  const std::uint64_t extent_begin = cursor_extent_ * extent_bytes;
  const std::uint64_t extent_end = std::min(extent_begin + extent_bytes, volume_.data_bytes());
  Piece piece;
  piece.extent = cursor_extent_;
  piece.begin = extent_begin + cursor_begin_;
  piece.end = std::min<std::uint64_t>(piece.begin + volume_.stale.unit_bytes(), extent_end);
  piece.ends_extent = piece.end == extent_end;
  cursor_begin_ = piece.ends_extent ? 0 : piece.end - extent_begin;
  if (piece.ends_extent) ++cursor_extent_;
  return piece;
}

void Resync::client_asked() {
  shared_ranges_ = kSharedRanges;
  if (++requests_ >= kRequestsPerRange) resume();
}

void Resync::resume() {
  if (running_ && !pass_over_) pump();
}

void Resync::tick() {
  if (!idle()) return;
  shared_ranges_ = 0;  // until the next request
  resume();
}

bool Resync::may_begin() const {
  if (shared_ranges_ == 0 || requests_ >= kRequestsPerRange) return in_flight_ < ranges_.size();
  return in_flight_ == 0 && !observer_.clients_wait();
}

void Resync::pump() {
  while (running_ && !pass_over_ && may_begin()) {
    if (const std::optional<Piece> piece = next_piece()) {
      requests_ = 0;
      issue(*piece);
    } else {
      pass_over_ = true;
    }
  }
  if (in_flight_ > 0) return;
  if (running_ && pass_over_) {
    running_ = false;
    observer_.resync_pass_ended();
  }
}

void Resync::issue(const Piece& piece) {
  Range& range = *idle_.pop_front();
  range.extent = piece.extent;
  range.claim.begin = piece.begin;
  range.claim.end = piece.end;
  OpenExtent& extent = open(piece.extent);
  ++extent.in_flight;
  if (piece.ends_extent) extent.all_issued = true;
  ++in_flight_;
  if (volume_.locks.acquire(range.claim)) locked(range);
}

void Resync::locked(Range& range) {
  // Decided under the lock: a write may have changed what is newer while the range waited.
  range.pull = volume_.stale.any_in(range.claim.begin, range.length());
  if (!running_ || !volume_.outbox.connected()) return range_done(range, ENOTCONN, IoKind::read);
  if (range.pull) {
    send(range, IoKind::read);
  } else {
    submit_disk(range, IoKind::read);
  }
}

void Resync::submit_disk(Range& range, IoKind kind) {
  range.disk.kind = kind;
  range.disk.offset_bytes = volume_.on_component(range.claim.begin);
  range.disk.length_bytes = range.length();
  range.disk.data = range.data;
  range.disk.error = 0;
  volume_.disk.submit(range.disk);
}

void Resync::send(Range& range, IoKind kind) {
  range.remote.kind = kind;
  range.remote.offset_bytes = range.claim.begin;
  range.remote.length_bytes = range.length();
  range.remote.data = range.data;
  volume_.outbox.send(range.remote);
}

void Resync::disk_done(port::DiskOp& op) {
  Range& range = *static_cast<Range*>(op.owner);
  if (op.error != 0) return range_done(range, op.error, op.kind);
  if (range.pull) return range_done(range, 0, op.kind);
  if (!running_ || !volume_.outbox.connected()) return range_done(range, ENOTCONN, op.kind);
  send(range, IoKind::write);
}

void Resync::remote_done(RemoteOp& op) {
  Range& range = *static_cast<Range*>(op.owner);
  if (op.error != 0 || !range.pull) return range_done(range, op.error, op.kind);
  submit_disk(range, IoKind::write);
}

void Resync::range_done(Range& range, int error, IoKind io) {
  const std::uint64_t begin = range.claim.begin;
  const std::uint64_t length = range.length();
  // A block that ends after stop() may be older by now than what the next link brings.
  if (!running_ && error == 0) error = ENOTCONN;
  if (error == 0) {
    copied_bytes_ += length;
    if (range.pull) volume_.stale.clear(begin, length);
  }
  OpenExtent& extent = open(range.extent);
  if (error != 0) extent.failed = true;
  --extent.in_flight;
  --in_flight_;
  if (shared_ranges_ > 0 && !observer_.clients_wait()) --shared_ranges_;
  volume_.locks.release(range.claim);
  idle_.push_back(range);
  close_finished_extents();
  if (error != 0 && error != ENOTCONN) observer_.resync_range_failed(io, begin, error);
  if (running_) return pump();
  if (in_flight_ == 0) observer_.resync_drained();
}

void Resync::close_finished_extents() {
  std::erase_if(open_, [this](const OpenExtent& open) {
    const bool over = open.in_flight == 0 && (open.all_issued || !running_);
    if (over && open.all_issued && !open.failed) volume_.map.synced(open.extent);
    return over;
  });
}

}  // namespace hast::core
