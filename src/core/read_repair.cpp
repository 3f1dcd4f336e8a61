#include "hast/core/read_repair.hpp"

#include <algorithm>

#include "hast/base/assert.hpp"

namespace hast::core {

ReadRepair::ReadRepair(Volume& volume, Observer& observer)
    : volume_(volume), observer_(observer), buffer_(port::kBlockBytes) {
  claim_.owner = remote_.owner = this;
  claim_.granted = [](RangeClaim& claim) { static_cast<ReadRepair*>(claim.owner)->locked(); };
  remote_.completed = [](RemoteOp& op) { static_cast<ReadRepair*>(op.owner)->remote_done(op); };
  disk_.owner = this;
  disk_.completed = [](port::DiskOp& op) { static_cast<ReadRepair*>(op.owner)->disk_done(op); };
  volume_.outbox.enroll(remote_);
}

void ReadRepair::ask(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  HAST_ASSERT(length_bytes <= buffer_.size());
  const Range range{offset_bytes, length_bytes};
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(waiting_);
  if (waiting_ == kQueue || std::find(queue_.begin(), end, range) != end) return;
  queue_[waiting_++] = range;
  if (!working_) begin_next();
}

void ReadRepair::begin_next() {
  if (waiting_ == 0) return observer_.repairs_idle();
  claim_.begin = queue_.front().offset_bytes;
  claim_.end = claim_.begin + queue_.front().length_bytes;
  std::copy(queue_.begin() + 1, queue_.begin() + static_cast<std::ptrdiff_t>(waiting_),
            queue_.begin());
  --waiting_;
  working_ = true;
  if (volume_.locks.acquire(claim_)) locked();
}

bool ReadRepair::allowed() const { return observer_.may_repair(claim_.begin, length()); }

void ReadRepair::locked() {
  if (!allowed()) return end();
  remote_.kind = IoKind::read;
  remote_.offset_bytes = claim_.begin;
  remote_.length_bytes = length();
  remote_.data = buffer_.data();
  volume_.outbox.send(remote_);
}

void ReadRepair::remote_done(const RemoteOp& op) {
  // Asked again: a write whose turn at the peer came before may have failed there meanwhile.
  if (op.error != 0 || !allowed()) return end();
  disk_.kind = IoKind::write;
  disk_.offset_bytes = volume_.on_component(claim_.begin);
  disk_.length_bytes = length();
  disk_.data = buffer_.data();
  disk_.error = 0;
  volume_.disk.submit(disk_);
}

void ReadRepair::disk_done(const port::DiskOp& op) {
  observer_.repair_ended(claim_.begin, length(), op.error);
  end();
}

void ReadRepair::end() {
  working_ = false;
  volume_.locks.release(claim_);
  if (!working_) begin_next();  // whoever got the range may have asked for more
}

}  // namespace hast::core
