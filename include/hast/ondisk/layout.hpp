// Where things are on a component: arithmetic only (on-disk §1, §3; docs/on-disk.md).
//
//   0        4096                              offset-4096     offset            offset+datasize
//   metadata | activemap (reserved) | padding | second metadata | data           | unused
//
// An original's layout has no padding and no second copy: offset = 4096 + map. Which of the two a
// component has follows from its offset, datasize and extentsize alone.
#pragma once

#include <cstdint>
#include <optional>

#include "hast/ondisk/metadata.hpp"

namespace hast::ondisk {

inline constexpr std::uint64_t kMapOffset = kMetadataBytes;
inline constexpr std::uint64_t kDataAlignment = 1024 * 1024;
inline constexpr std::uint32_t kDefaultExtentBytes = 2 * 1024 * 1024;
inline constexpr std::uint32_t kDefaultKeepdirty = 64;

struct Layout {
  std::uint64_t map_bytes = 0;       // reserved for the map, at kMapOffset
  std::uint64_t data_offset = 0;
  std::uint64_t data_bytes = 0;
  std::uint32_t extent_bytes = 0;
  std::uint64_t extents = 0;
  std::optional<std::uint64_t> second_copy;  // offset of the second metadata block
};

/// Errors: metadata_damaged when the numbers contradict each other or the component's size.
Result<Layout> layout_of(const Metadata& metadata, std::uint64_t component_bytes, std::uint32_t sector_bytes);

/// What the original reserves for a map: roundup(sector, 8 * ceil(ceil((media - 4096) / E) / 64)).
std::uint64_t map_bytes_for(std::uint64_t media_bytes, std::uint32_t extent_bytes, std::uint32_t sector_bytes);

struct CreateRequest {
  std::string resource;
  std::uint64_t component_bytes = 0;
  std::uint32_t sector_bytes = 512;
  std::uint64_t media_bytes = 0;    // 0: the whole component
  std::uint32_t extent_bytes = 0;   // 0: kDefaultExtentBytes
  std::uint32_t keepdirty = 0;      // 0: kDefaultKeepdirty
  Format format = Format::extended;
};

/// The metadata of a new resource. Errors: usage (sizes that break a rule, in words),
/// component_too_small.
Result<Metadata> plan_create(const CreateRequest& request);

}  // namespace hast::ondisk
