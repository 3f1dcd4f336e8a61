#include "hast/core/range_lock.hpp"

namespace hast::core {

bool RangeLock::conflicts(List& list, const RangeClaim& claim) {
  for (const RangeClaim& other : list) {
    if (other.conflicts_with(claim)) return true;
  }
  return false;
}

bool RangeLock::acquire(RangeClaim& claim) {
  // A waiting claim that overlaps goes first: otherwise small writes would starve a resync range.
  if (conflicts(held_, claim) || conflicts(waiting_, claim)) {
    waiting_.push_back(claim);
    return false;
  }
  held_.push_back(claim);
  return true;
}

void RangeLock::release(RangeClaim& claim) {
  held_.erase(claim);
  if (waiting_.empty()) return;

  List still_waiting;
  while (RangeClaim* next = waiting_.pop_front()) {
    if (conflicts(held_, *next) || conflicts(still_waiting, *next)) {
      still_waiting.push_back(*next);
    } else {
      held_.push_back(*next);
      granted_.push_back(*next);
    }
  }
  waiting_.splice_back(still_waiting);
  // All are held before the first callback runs: a callback may acquire or release in turn.
  while (RangeClaim* next = granted_.pop_front()) next->granted(*next);
}

}  // namespace hast::core
