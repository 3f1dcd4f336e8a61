// A secondary in a test's hand: it takes requests from a Primary's outbox as the engine's writer
// would, keeps its own media, and answers when, how and in which order the test says; overlapping
// requests must be answered in their order, as every secondary does (wire-protocol §7.2).
#pragma once

#include <cerrno>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "hast/core/primary.hpp"
#include "support/disk_media.hpp"
#include "support/fake_disk.hpp"

namespace hast::test {

struct PeerArrival {
  std::uint64_t seq = 0;
  IoKind kind{};
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool memsync = false;
  bool received_sent = false;
  std::vector<std::byte> data;  // as it was when it was sent
  core::PeerOrder::Kind order = core::PeerOrder::Kind::none;

  bool changes_data() const { return kind != IoKind::read && kind != IoKind::flush; }
  bool overlaps(const PeerArrival& other) const {
    return offset < other.offset + other.length && other.offset < offset + length;
  }
};

class ScriptedPeer {
 public:
  ScriptedPeer(std::uint64_t data_bytes, std::uint32_t sector_bytes)
      : media_(data_bytes, sector_bytes) {}

  DiskMedia& media() { return media_; }
  ConstByteSpan data() const { return media_.newest(0, media_.size_bytes()); }

  void attach(core::Primary& primary) { primary_ = &primary; }
  /// The connection is gone: what was not executed never is.
  void detach() {
    primary_ = nullptr;
    arrived_.clear();
  }

  // Requests.
  /// Whatever the outbox hands out now; the watcher sees each first.
  std::size_t take() {
    std::size_t taken = 0;
    while (core::RemoteOp* op = primary_->outbox().next()) {
      if (watcher_) watcher_(*op);
      PeerArrival arrival{op->seq, op->kind, op->offset_bytes, op->length_bytes, op->memsync,
                          false,   {}};
      if (op->order != nullptr) {
        orders_.push_back(*op->order);
        arrival.order = op->order->kind;
      }
      if (op->kind == IoKind::write && op->data != nullptr)
        arrival.data.assign(op->data, op->data + op->length_bytes);
      if (op->kind == IoKind::write_zeroes) arrival.data.resize(op->length_bytes);
      arrived_.push_back(std::move(arrival));
      ++taken;
    }
    return taken;
  }
  /// Every order there was, oldest first.
  const std::vector<core::PeerOrder>& orders() const { return orders_; }
  std::size_t orders_of(core::PeerOrder::Kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(orders_.begin(), orders_.end(),
                      [kind](const core::PeerOrder& order) { return order.kind == kind; }));
  }
  std::size_t arrived() const { return arrived_.size(); }
  const PeerArrival& arrived(std::size_t index) const { return arrived_.at(index); }
  std::size_t arrived_of(IoKind kind) const {
    return static_cast<std::size_t>(
        std::count_if(arrived_.begin(), arrived_.end(),
                      [kind](const PeerArrival& arrival) { return arrival.kind == kind; }));
  }
  std::optional<std::size_t> first_of(IoKind kind) const {
    for (std::size_t i = 0; i < arrived_.size(); ++i) {
      if (arrived_[i].kind == kind) return i;
    }
    return std::nullopt;
  }
  void watch(std::function<void(const core::RemoteOp&)> watcher) { watcher_ = std::move(watcher); }

  // Answers.
  void send_received(std::size_t index = 0) {
    PeerArrival& arrival = arrived_.at(index);
    arrival.received_sent = true;
    core::RemoteOp* op = primary_->outbox().find(arrival.seq);
    HAST_ASSERT(op != nullptr);
    primary_->reply_received(*op);
  }
  /// Executes and answers; an `error` other than 0 refuses instead.
  void reply(std::size_t index = 0, int error = 0) {
    const PeerArrival arrival = arrived_.at(index);
    for (std::size_t i = 0; i < index; ++i) {
      const PeerArrival& earlier = arrived_[i];
      HAST_ASSERT(
          !(earlier.overlaps(arrival) && (earlier.changes_data() || arrival.changes_data())));
    }
    arrived_.erase(arrived_.begin() + static_cast<std::ptrdiff_t>(index));
    core::RemoteOp* op = primary_->outbox().find(arrival.seq);
    HAST_ASSERT(op != nullptr);
    if (error == 0) error = fault_for(arrival);
    if (error == 0) execute(arrival, *op);
    primary_->reply(*op, error);
  }
  bool reply_first_of(IoKind kind, int error = 0) {
    const std::optional<std::size_t> index = first_of(kind);
    if (index) reply(*index, error);
    return index.has_value();
  }
  /// Takes and answers everything in order, memsync writes twice, until there is nothing.
  std::size_t run() {
    std::size_t answered = 0;
    while (primary_ != nullptr && (take() > 0 || !arrived_.empty())) {
      while (!arrived_.empty()) {
        if (arrived_[0].memsync && !arrived_[0].received_sent) send_received(0);
        reply(0);
        ++answered;
      }
    }
    return answered;
  }

  void fail(const DiskFault& fault) { faults_.push_back(fault); }
  void heal() { faults_.clear(); }

 private:
  int fault_for(const PeerArrival& arrival) {
    for (DiskFault& fault : faults_) {
      if (fault.times == 0 || (fault.kind && *fault.kind != arrival.kind)) continue;
      if (arrival.kind != IoKind::flush &&
          !(arrival.offset < fault.end && fault.begin < arrival.offset + arrival.length))
        continue;
      if (fault.skip > 0) {
        --fault.skip;
        continue;
      }
      if (fault.times != DiskFault::kForever) --fault.times;
      return fault.error;
    }
    return 0;
  }

  void execute(const PeerArrival& arrival, core::RemoteOp& op) {
    switch (arrival.kind) {
      case IoKind::read:
        std::memcpy(op.data, media_.newest(arrival.offset, arrival.length).data(), arrival.length);
        break;
      case IoKind::write:
      case IoKind::write_zeroes:
        media_.write(arrival.offset, arrival.data);
        break;
      case IoKind::discard:
        media_.zero(arrival.offset, arrival.length);
        break;
      case IoKind::flush:
        media_.flush(media_.flush_point());
        break;
    }
  }

  DiskMedia media_;
  core::Primary* primary_ = nullptr;
  std::deque<PeerArrival> arrived_;
  std::vector<core::PeerOrder> orders_;
  std::vector<DiskFault> faults_;
  std::function<void(const core::RemoteOp&)> watcher_;
};

}  // namespace hast::test
