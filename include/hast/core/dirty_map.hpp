// The dirty map: which extents may differ between the two nodes, in memory and on disk.
//
// Every extent has a bit in the image (what the activemap on disk is meant to hold) and a bit in
// `stable` (what is known to be on stable storage). A write may start once all its extents are
// stable (INV-1). A bit leaves the image only through clean(), which wants proof: no write in
// flight, no resync pending, not in the hot set, and a flush of both nodes that began after the
// last final reply (INV-2). Pure bookkeeping: MapCommit moves the image to disk.
#pragma once

#include <cstdint>
#include <vector>

#include "hast/base/bitmap.hpp"

namespace hast::core {

/// The extents a byte range touches, both ends included.
struct ExtentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// A moment between writes: what had its final replies before it is covered by a flush that began
/// at it.
using FlushEpoch = std::uint64_t;

class DirtyMap {
 public:
  /// `keepdirty`: the least extents of the hot set, at least 1. It grows with the working set, up
  /// to kHotGrowth times as many, and shrinks again (age()).
  DirtyMap(std::uint64_t data_bytes, std::uint32_t extent_bytes, std::uint32_t keepdirty);

  /// Takes over the map found on disk: every set bit is stable and needs a resync.
  void load(ConstByteSpan image);

  ExtentRange extents_of(std::uint64_t offset_bytes, std::uint64_t length_bytes) const;

  // The life of a write.
  enum class Start : std::uint8_t { stable, needs_commit };
  Start begin_write(ExtentRange extents);
  enum class Outcome : std::uint8_t { on_both, on_one };  // on_one: the extents need a resync
  void end_write(ExtentRange extents, Outcome outcome);

  // Resync.
  void need_sync(ExtentRange extents);
  void need_sync_bits(ConstByteSpan peer_image);  // a set bit: needs resync; surplus ignored
  void synced(std::uint64_t extent);              // every block of it was copied
  const Bitmap& unsynced() const { return unsynced_; }

  /// The peer is gone: what is not proven to be safe on it needs a resync.
  void peer_lost();

  // Proof and cleaning.
  FlushEpoch begin_flush();                    // call when a flush of both nodes is submitted
  FlushEpoch epoch() const { return epoch_; }  // the next flush covers what ended in it
  void flush_proven(FlushEpoch epoch);         // it succeeded on both
  /// A flush would let clean() do something, and it is time: there are as many extents to clean as
  /// hot ones, or some have waited for ten ticks of age().
  bool is_cleaning_due() const;
  /// Removes every proven extent from the image; returns how many.
  std::uint64_t clean();
  /// About once a second: extents that were cleaned and soon written again make the hot set larger;
  /// without such the limit sinks back.
  void age();
  std::uint64_t hot_limit() const { return hot_limit_; }
  void forget_hot_set();  // before an orderly stop: the hot set may be cleaned too

  /// Another disk carries the map from now on, or the same one after who knows what: no bit is
  /// known to be on it.
  void forget_stable();

  // The image and its pages, for MapCommit.
  static constexpr std::uint32_t kPageBytes = 4096;
  static constexpr std::uint32_t kHotGrowth = 16;
  Bitmap& changed_pages() { return changed_pages_; }
  void export_image(std::uint64_t first_byte, ByteSpan to) const {
    image_.export_bytes(first_byte, to);
  }
  /// `written` (the bytes of one page as it went to disk) is now on stable storage.
  void page_stable(std::uint64_t page, ConstByteSpan written);

  std::uint32_t extent_bytes() const { return extent_bytes_; }
  std::uint64_t extents() const { return image_.size(); }
  /// Extents with writes in flight or a resync pending: what `hastctl list` calls dirty.
  std::uint64_t dirty_extents() const { return dirty_extents_; }
  const Bitmap& image() const { return image_; }

 private:
  struct Extent {
    FlushEpoch ended_in = 0;      // epoch of the last final reply
    std::uint32_t writes = 0;     // in flight
    std::uint32_t hot = kNotHot;  // place in hot_
  };
  struct HotEntry {
    std::uint64_t extent = 0;
    std::uint32_t next = kNotHot;
    std::uint32_t previous = kNotHot;
  };
  static constexpr std::uint32_t kNotHot = ~std::uint32_t{0};

  bool is_dirty(std::uint64_t extent) const;
  bool is_proven(std::uint64_t extent) const;
  std::uint64_t cleaning_candidates() const;
  void mark(std::uint64_t extent);
  void mark_unsynced(std::uint64_t extent);
  void touch_hot(std::uint64_t extent);
  void drop_coldest();
  std::uint64_t most_hot() const;
  void hot_unlink(std::uint32_t place);
  void hot_push_front(std::uint32_t place);
  void page_changed(std::uint64_t extent) { changed_pages_.set(extent / 8 / kPageBytes); }

  std::uint32_t extent_bytes_;
  std::uint32_t keepdirty_;
  std::vector<Extent> extents_;
  Bitmap image_;
  Bitmap stable_;
  Bitmap unsynced_;
  Bitmap changed_pages_;
  std::uint64_t dirty_extents_ = 0;

  std::vector<HotEntry> hot_;
  std::uint64_t hot_limit_;
  std::uint64_t missed_ = 0;  // extents that were cleaned too early, since the last age()
  Bitmap cleaned_;            // lately, and not written since
  Bitmap cleaned_before_;     // in the period before
  unsigned ticks_ = 0;        // of the present period
  unsigned candidate_ticks_ = 0;
  std::uint32_t hot_head_ = kNotHot;
  std::uint32_t hot_tail_ = kNotHot;

  FlushEpoch epoch_ = 1;         // of writes that end now
  FlushEpoch proven_below_ = 0;  // writes that ended in an earlier epoch are safe on both nodes
};

}  // namespace hast::core
