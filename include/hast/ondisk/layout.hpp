// Where things are on a component: arithmetic only (docs/on-disk.md, "Layouts").
//
//   0        4096                              offset-4096     offset            offset+datasize
//   metadata | activemap (reserved) | padding | second metadata | data           | unused
//
// An original's layout has no padding and no second copy: offset = 4096 + map. Which of the two a
// component has follows from its offset, datasize and extentsize alone.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "hast/ondisk/metadata.hpp"

namespace hast::ondisk {

inline constexpr std::uint64_t kMapOffset = kMetadataBytes;
inline constexpr std::uint64_t kDataAlignment = 1024 * 1024;
inline constexpr std::uint32_t kDefaultExtentBytes = 2 * 1024 * 1024;
inline constexpr std::uint32_t kDefaultKeepdirty = 64;

/// Bounds the memory a map costs (INV-9): 256 TiB at the default extent size.
inline constexpr std::uint64_t kMaxExtents = std::uint64_t{1} << 27;

struct Layout {
  std::uint64_t map_bytes = 0;    // reserved for the map, at kMapOffset
  std::uint64_t image_bytes = 0;  // of them in use: the image an original writes, whole sectors
  std::uint64_t data_offset = 0;
  std::uint64_t data_bytes = 0;
  std::uint32_t extent_bytes = 0;
  std::uint64_t extents = 0;
  std::optional<std::uint64_t> second_copy;  // offset of the second metadata block

  bool operator==(const Layout&) const = default;
};

/// Errors: component_unsupported (a sector size hast cannot use), component_too_small (the data
/// area ends behind the component), too_large (more than kMaxExtents), metadata_damaged (numbers
/// that contradict each other).
Result<Layout> layout_of(const Metadata& metadata, std::uint64_t component_bytes,
                         std::uint32_t sector_bytes);

/// What the original reserves for a map: roundup(sector, 8 * ceil(ceil((media - 4096) / E) / 64)).
/// As secondary it computes this from the component's size, reads and clears as much.
std::uint64_t map_bytes_for(std::uint64_t media_bytes, std::uint32_t extent_bytes,
                            std::uint32_t sector_bytes);

/// Where a second copy can lie, lowest first, for when the first is unreadable. A block there is
/// the second copy if it decodes and layout_of() of it says second_copy == that very offset.
std::vector<std::uint64_t> second_copy_candidates(std::uint64_t component_bytes);

/// As hastctl reads it from the command line: 64 bits, so that nothing is cut off unseen.
struct CreateRequest {
  std::string resource;
  std::uint64_t component_bytes = 0;
  std::uint32_t sector_bytes = 512;
  std::uint64_t media_bytes = 0;   // 0: the whole component
  std::uint64_t extent_bytes = 0;  // 0: kDefaultExtentBytes
  std::uint64_t keepdirty = 0;     // 0: kDefaultKeepdirty
  Format format = Format::extended;
};

/// The metadata of a new resource. Errors, all with the sizes in words: usage (sizes that break a
/// rule), component_unsupported (the sector size), component_too_small.
Result<Metadata> plan_create(const CreateRequest& request);

}  // namespace hast::ondisk
