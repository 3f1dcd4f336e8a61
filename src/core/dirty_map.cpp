#include "hast/core/dirty_map.hpp"

#include <algorithm>
#include <utility>

#include "hast/base/assert.hpp"
#include "hast/base/units.hpp"

namespace hast::core {

namespace {
/// An extent that is written again within one to two of these was cleaned too early.
constexpr unsigned kPeriodTicks = 30;
/// What could be cleaned waits as long for more: who writes everywhere writes there again soon.
constexpr unsigned kLazyTicks = 10;
}  // namespace

DirtyMap::DirtyMap(std::uint64_t data_bytes, std::uint32_t extent_bytes, std::uint32_t keepdirty)
    : extent_bytes_(extent_bytes),
      keepdirty_(std::max(keepdirty, 1u)),
      extents_(divide_up(data_bytes, extent_bytes)),
      image_(extents_.size()),
      stable_(extents_.size()),
      unsynced_(extents_.size()),
      changed_pages_(divide_up(divide_up(extents_.size(), 8), kPageBytes)),
      hot_limit_(keepdirty_),
      cleaned_(extents_.size()),
      cleaned_before_(extents_.size()) {
  hot_.reserve(most_hot());
}

std::uint64_t DirtyMap::most_hot() const {
  return std::min<std::uint64_t>(std::uint64_t{keepdirty_} * kHotGrowth, extents_.size());
}

void DirtyMap::load(ConstByteSpan image) {
  stable_.import_bytes(image);
  need_sync_bits(image);
  changed_pages_.reset_all();  // what was read from disk need not be written back
}

ExtentRange DirtyMap::extents_of(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
  HAST_ASSERT(length_bytes > 0);
  return {offset_bytes / extent_bytes_, (offset_bytes + length_bytes - 1) / extent_bytes_};
}

bool DirtyMap::is_dirty(std::uint64_t extent) const {
  return extents_[extent].writes > 0 || unsynced_.test(extent);
}

bool DirtyMap::is_proven(std::uint64_t extent) const {
  return !is_dirty(extent) && extents_[extent].ended_in < proven_below_;
}

void DirtyMap::mark(std::uint64_t extent) {
  if (image_.set(extent)) page_changed(extent);
}

void DirtyMap::mark_unsynced(std::uint64_t extent) {
  mark(extent);
  if (unsynced_.test(extent)) return;
  if (!is_dirty(extent)) ++dirty_extents_;
  unsynced_.set(extent);
}

DirtyMap::Start DirtyMap::begin_write(ExtentRange extents) {
  Start start = Start::stable;
  for (std::uint64_t e = extents.first; e <= extents.last; ++e) {
    mark(e);
    if (cleaned_.reset(e) || cleaned_before_.reset(e)) ++missed_;
    if (!is_dirty(e)) ++dirty_extents_;
    ++extents_[e].writes;
    touch_hot(e);
    if (!stable_.test(e)) start = Start::needs_commit;  // INV-1
  }
  return start;
}

void DirtyMap::end_write(ExtentRange extents, Outcome outcome) {
  for (std::uint64_t e = extents.first; e <= extents.last; ++e) {
    Extent& extent = extents_[e];
    HAST_ASSERT(extent.writes > 0);
    if (outcome == Outcome::on_one) mark_unsynced(e);
    --extent.writes;
    extent.ended_in = epoch_;  // INV-2: only a flush that begins after this proves it
    if (!is_dirty(e)) --dirty_extents_;
  }
}

void DirtyMap::need_sync(ExtentRange extents) {
  for (std::uint64_t e = extents.first; e <= extents.last; ++e) mark_unsynced(e);
}

void DirtyMap::need_sync_bits(ConstByteSpan peer_image) {
  Bitmap bits(extents_.size());
  bits.import_bytes(peer_image);
  for (std::uint64_t e = bits.find_next(0); e != Bitmap::npos; e = bits.find_next(e + 1))
    mark_unsynced(e);
}

void DirtyMap::synced(std::uint64_t extent) {
  if (!unsynced_.reset(extent)) return;
  extents_[extent].ended_in = epoch_;  // what was copied still has to be flushed (INV-2)
  if (!is_dirty(extent)) --dirty_extents_;
}

void DirtyMap::peer_lost() {
  for (std::uint64_t e = image_.find_next(0); e != Bitmap::npos; e = image_.find_next(e + 1)) {
    if (!is_proven(e)) mark_unsynced(e);  // INV-2: a disconnect never cleans
  }
}

FlushEpoch DirtyMap::begin_flush() { return epoch_++; }

void DirtyMap::flush_proven(FlushEpoch epoch) {
  proven_below_ = std::max(proven_below_, epoch + 1);
}

std::uint64_t DirtyMap::cleaning_candidates() const {
  const std::uint64_t kept = unsynced_.count() + hot_.size();  // some may be both
  return image_.count() - std::min(image_.count(), kept);
}

bool DirtyMap::is_cleaning_due() const {
  return cleaning_candidates() > (candidate_ticks_ < kLazyTicks ? hot_limit_ : 0);
}

std::uint64_t DirtyMap::clean() {
  candidate_ticks_ = 0;
  std::uint64_t cleaned = 0;
  for (std::uint64_t e = image_.find_next(0); e != Bitmap::npos; e = image_.find_next(e + 1)) {
    if (!is_proven(e) || extents_[e].hot != kNotHot) continue;
    image_.reset(e);
    stable_.reset(e);
    page_changed(e);
    cleaned_.set(e);
    ++cleaned;
  }
  return cleaned;
}

void DirtyMap::age() {
  if (missed_ > 0) {
    hot_limit_ = std::max<std::uint64_t>(hot_limit_, std::min(most_hot(), hot_limit_ + missed_));
  } else if (hot_limit_ > keepdirty_) {
    hot_limit_ -= divide_up(hot_limit_ - keepdirty_, 2 * kPeriodTicks);
  }
  missed_ = 0;
  candidate_ticks_ = cleaning_candidates() > 0 ? candidate_ticks_ + 1 : 0;
  while (hot_.size() > hot_limit_) drop_coldest();
  if (++ticks_ < kPeriodTicks) return;
  ticks_ = 0;
  std::swap(cleaned_before_, cleaned_);
  cleaned_.reset_all();
}

/// Its bit stays until clean() has its proof. The last entry takes its place.
void DirtyMap::drop_coldest() {
  const std::uint32_t place = hot_tail_;
  extents_[hot_[place].extent].hot = kNotHot;
  hot_unlink(place);
  const auto last = static_cast<std::uint32_t>(hot_.size() - 1);
  if (place != last) {
    const HotEntry moved = hot_[last];
    hot_[place] = moved;
    extents_[moved.extent].hot = place;
    (moved.previous == kNotHot ? hot_head_ : hot_[moved.previous].next) = place;
    (moved.next == kNotHot ? hot_tail_ : hot_[moved.next].previous) = place;
  }
  hot_.pop_back();
}

void DirtyMap::forget_hot_set() {
  for (const HotEntry& entry : hot_) extents_[entry.extent].hot = kNotHot;
  hot_.clear();
  hot_head_ = hot_tail_ = kNotHot;
}

void DirtyMap::forget_stable() {
  stable_.reset_all();
  changed_pages_.set_all();
}

void DirtyMap::page_stable(std::uint64_t page, ConstByteSpan written) {
  const std::uint64_t first = page * kPageBytes * 8;
  const std::uint64_t end = std::min<std::uint64_t>(first + written.size() * 8, extents_.size());
  for (std::uint64_t e = image_.find_next(first); e < end; e = image_.find_next(e + 1)) {
    const std::uint64_t bit = e - first;
    // A bit marked after the page was copied is not on disk yet.
    if ((std::to_integer<unsigned>(written[bit / 8]) >> (bit % 8) & 1) != 0) stable_.set(e);
  }
}

void DirtyMap::touch_hot(std::uint64_t extent) {
  std::uint32_t place = extents_[extent].hot;
  if (place == hot_head_ && place != kNotHot) return;
  if (place != kNotHot) {
    hot_unlink(place);
  } else if (hot_.size() < hot_limit_) {
    place = static_cast<std::uint32_t>(hot_.size());
    hot_.emplace_back();
  } else {
    place = hot_tail_;  // the coldest leaves; its bit stays until clean() has its proof
    extents_[hot_[place].extent].hot = kNotHot;
    hot_unlink(place);
  }
  hot_[place].extent = extent;
  extents_[extent].hot = place;
  hot_push_front(place);
}

void DirtyMap::hot_unlink(std::uint32_t place) {
  HotEntry& entry = hot_[place];
  (entry.previous == kNotHot ? hot_head_ : hot_[entry.previous].next) = entry.next;
  (entry.next == kNotHot ? hot_tail_ : hot_[entry.next].previous) = entry.previous;
}

void DirtyMap::hot_push_front(std::uint32_t place) {
  HotEntry& entry = hot_[place];
  entry.previous = kNotHot;
  entry.next = hot_head_;
  (hot_head_ == kNotHot ? hot_tail_ : hot_[hot_head_].previous) = place;
  hot_head_ = place;
}

}  // namespace hast::core
