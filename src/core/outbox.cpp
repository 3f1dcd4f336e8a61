#include "hast/core/outbox.hpp"

#include <cerrno>

#include "hast/base/assert.hpp"

namespace hast::core {

void Outbox::enroll(RemoteOp& op) {
  HAST_ASSERT(places_.size() < kMaxOps);
  op.place = static_cast<std::uint16_t>(places_.size());
  places_.push_back(&op);
}

void Outbox::connect() {
  HAST_ASSERT(!connected_ && waiting_.empty() && sent_.empty());
  connected_ = true;
  released_ = false;
}

void Outbox::send(RemoteOp& op) {
  HAST_ASSERT(connected_);
  op.seq = ++serial_ << kPlaceBits | op.place;
  op.error = 0;
  op.sent = false;
  waiting_.push_back(op);
  if (released_) observer_->outbox_filled();
}

void Outbox::release() {
  HAST_ASSERT(connected_ && observer_ != nullptr);
  released_ = true;
  if (!waiting_.empty()) observer_->outbox_filled();
}

RemoteOp* Outbox::next() {
  if (!has_next()) return nullptr;
  RemoteOp* op = waiting_.pop_front();
  op->sent = true;
  sent_.push_back(*op);
  return op;
}

RemoteOp* Outbox::find(std::uint64_t seq) {
  const std::uint64_t place = seq & (kMaxOps - 1);
  if (place >= places_.size()) return nullptr;
  RemoteOp* op = places_[place];
  // A request that was not sent yet has no reply: whoever claims one is talking nonsense.
  return op->seq == seq && op->sent ? op : nullptr;
}

void Outbox::complete(RemoteOp& op, int error) {
  HAST_ASSERT(op.sent);
  sent_.erase(op);
  op.seq = 0;
  op.sent = false;
  op.error = error;
  op.completed(op);
}

void Outbox::disconnect() {
  connected_ = released_ = false;
  List lost;
  lost.splice_back(sent_);
  lost.splice_back(waiting_);
  while (RemoteOp* op = lost.pop_front()) {
    op->seq = 0;
    op->sent = false;
    op->error = ENOTCONN;
    op->completed(*op);
  }
}

}  // namespace hast::core
