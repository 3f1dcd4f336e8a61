// Which parts of the local component are older than the peer's: where the peer is the source of a
// resync, and where a local write failed (INV-6, INV-11). Reads of such a unit go to the peer; a
// write to one counts only once the peer has it. Units are blocks, or extents where those are
// smaller.
#pragma once

#include <algorithm>
#include <cstdint>

#include "hast/base/bitmap.hpp"
#include "hast/base/units.hpp"
#include "hast/core/dirty_map.hpp"
#include "hast/port/frontend.hpp"

namespace hast::core {

class StaleMap {
 public:
  StaleMap(std::uint64_t data_bytes, std::uint32_t extent_bytes)
      : data_bytes_(data_bytes),
        unit_bytes_(std::min(extent_bytes, port::kBlockBytes)),
        extent_bytes_(extent_bytes),
        units_(divide_up(data_bytes, unit_bytes_)) {}

  std::uint32_t unit_bytes() const { return unit_bytes_; }
  bool any() const { return units_.any(); }
  std::uint64_t bytes() const { return units_.count() * unit_bytes_; }

  bool any_in(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
    return units_.any() && units_.any_in(first(offset_bytes), last(offset_bytes, length_bytes));
  }
  void set(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
    for (std::uint64_t u = first(offset_bytes); u <= last(offset_bytes, length_bytes); ++u)
      units_.set(u);
  }
  bool any_in_extent(std::uint64_t extent) const {
    return any_in(extent * extent_bytes_, length_of(extent));
  }
  /// One bit for each extent, as in the activemap.
  void set_extents(const Bitmap& extents) {
    for (std::uint64_t e = extents.find_next(0); e != Bitmap::npos; e = extents.find_next(e + 1))
      set(e * extent_bytes_, length_of(e));
  }
  void set_all() { units_.set_all(); }
  void clear(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
    for (std::uint64_t u = first(offset_bytes); u <= last(offset_bytes, length_bytes); ++u)
      units_.reset(u);
  }
  void clear_all() { units_.reset_all(); }

 private:
  /// The last extent ends with the data.
  std::uint64_t length_of(std::uint64_t extent) const {
    return std::min<std::uint64_t>(extent_bytes_, data_bytes_ - extent * extent_bytes_);
  }
  std::uint64_t first(std::uint64_t offset_bytes) const { return offset_bytes / unit_bytes_; }
  std::uint64_t last(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
    return (offset_bytes + length_bytes - 1) / unit_bytes_;
  }

  std::uint64_t data_bytes_;
  std::uint32_t unit_bytes_;
  std::uint32_t extent_bytes_;
  Bitmap units_;
};

}  // namespace hast::core
