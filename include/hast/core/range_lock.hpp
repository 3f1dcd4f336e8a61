// Locks over byte ranges, with a queue instead of a wait: exclusive claims (writes, resync ranges)
// exclude everything that overlaps, shared ones only exclusive ones. First come, first served among
// those that overlap, so nothing starves and overlapping writes keep their order.
#pragma once

#include <cstdint>

#include "hast/base/intrusive_list.hpp"

namespace hast::core {

struct GrantTag;

struct RangeClaim : ListNode<RangeClaim>, ListNode<GrantTag> {
  enum class Kind : std::uint8_t { shared, exclusive };

  std::uint64_t begin = 0;
  std::uint64_t end = 0;  // one past the last byte
  Kind kind = Kind::exclusive;
  /// Called by release() of another claim when a waiting claim gets its range.
  void (*granted)(RangeClaim&) = nullptr;
  void* owner = nullptr;

  bool conflicts_with(const RangeClaim& other) const {
    return begin < other.end && other.begin < end &&
           (kind == Kind::exclusive || other.kind == Kind::exclusive);
  }
};

class RangeLock {
 public:
  /// True: held from now on. False: it waits and `granted` will be called.
  bool acquire(RangeClaim& claim);
  /// Gives up a held claim; waiting claims that become free are granted, in their order.
  void release(RangeClaim& claim);
  bool empty() const { return held_.empty() && waiting_.empty(); }

 private:
  using List = IntrusiveList<RangeClaim, RangeClaim>;
  static bool conflicts(List& list, const RangeClaim& claim);

  List held_;
  List waiting_;
  IntrusiveList<RangeClaim, GrantTag> granted_;  // held, but their owners do not know yet
};

}  // namespace hast::core
