#include "hast/core/slot.hpp"

#include "hast/base/assert.hpp"

namespace hast::core {

SlotPool::SlotPool(std::size_t slots) : buffers_(slots * port::kBlockBytes), slots_(slots) {
  std::byte* buffer = buffers_.data();
  for (Slot& slot : slots_) {
    slot.buffer = buffer;
    buffer += port::kBlockBytes;
    free_.push_back(slot);
  }
}

SlotPool::~SlotPool() {
  HAST_ASSERT(all_free());
  while (free_.pop_front() != nullptr) {
  }
}

Slot* SlotPool::take() {
  Slot* slot = free_.pop_front();
  if (slot == nullptr) return nullptr;
  slot->with_client = true;
  slot->fua = false;
  slot->error = 0;
  return slot;
}

void SlotPool::put(Slot& slot) {
  HAST_ASSERT(!slot.with_client && !slot.in_core && !slot.holds_lock && !slot.holds_extents);
  free_.push_front(slot);  // the warmest buffer is used next
}

}  // namespace hast::core
