#include "hast/ondisk/layout.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

#include "hast/base/assert.hpp"
#include "hast/base/units.hpp"

namespace hast::ondisk {
namespace {

// The image is whole 64-bit words.
constexpr std::uint64_t image_bytes_of(std::uint64_t extents) { return 8 * divide_up(extents, 64); }

constexpr std::uint64_t kMaxMapBytes = round_up(image_bytes_of(kMaxExtents), kMaxSectorBytes);

bool is_usable_sector(std::uint32_t sector_bytes) {
  return is_power_of_two(sector_bytes) && sector_bytes >= kMinSectorBytes &&
         sector_bytes <= kMaxSectorBytes;
}

Error bad_sector(std::uint32_t sector_bytes) {
  return {Errc::component_unsupported, 0,
          "its sector size is " + std::to_string(sector_bytes) + " bytes"};
}

Error contradiction(std::string why) { return {Errc::metadata_damaged, 0, std::move(why)}; }

// An original's offset leaves room for its map and nothing else, so it never qualifies. Counting
// in the smallest sector makes the answer the same whatever sector size the component shows today.
bool has_second_copy(const Metadata& metadata) {
  if (metadata.offset % kDataAlignment != 0) return false;
  const std::uint64_t map =
      map_bytes_for(metadata.offset + metadata.datasize, metadata.extentsize, kMinSectorBytes);
  return metadata.offset - 2 * kMetadataBytes >= map;
}

Result<void> check_sizes(const Metadata& metadata, std::uint64_t component_bytes,
                         std::uint32_t sector_bytes) {
  if (!is_power_of_two(metadata.extentsize) || metadata.extentsize < sector_bytes)
    return contradiction("extentsize is no power of two of at least one sector");
  if (metadata.datasize == 0) return contradiction("datasize is 0");
  if (metadata.datasize % sector_bytes != 0)
    return contradiction("datasize is not a multiple of the sector size");
  if (metadata.offset <= kMapOffset || metadata.offset % sector_bytes != 0)
    return contradiction("offset is not a multiple of the sector size behind the metadata");
  if (!range_within(metadata.offset, metadata.datasize, component_bytes))
    return Error{Errc::component_too_small, 0,
                 "its metadata want " + std::to_string(metadata.datasize) + " bytes of data at " +
                     std::to_string(metadata.offset) + ", and it has " +
                     std::to_string(component_bytes)};
  if (divide_up(metadata.datasize, metadata.extentsize) > kMaxExtents)
    return Error{Errc::too_large, 0, "the activemap has more than 2^27 extents"};
  return {};
}

Error refused(std::string why) { return {Errc::usage, 0, std::move(why)}; }

std::string in_brackets(std::string_view what, std::uint64_t number) {
  return std::string(what) + " (" + std::to_string(number) + ")";
}

// The words of the original where it has some (config-and-cli §4.1).
Result<void> check_extent_size(std::uint64_t extent_bytes, std::uint32_t sector_bytes) {
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 31;
  const std::string extent = in_brackets("Extent size", extent_bytes);
  const std::string sector = in_brackets("sector size", sector_bytes);
  if (extent_bytes < sector_bytes) return refused(extent + " is less than " + sector + ".");
  if (extent_bytes % sector_bytes != 0)
    return refused(extent + " is not multiple of " + sector + ".");
  if (!is_power_of_two(extent_bytes)) return refused(extent + " is not a power of two.");
  if (extent_bytes > kLargest) return refused(extent + " is more than 2147483648.");
  return {};
}

Result<void> check_request(const CreateRequest& request) {
  if (!is_usable_sector(request.sector_bytes)) return bad_sector(request.sector_bytes);
  if (request.resource.empty() || request.resource.size() > kMaxResourceName ||
      request.resource.find('\0') != std::string::npos)
    return refused("A resource name has between 1 and 254 characters.");
  if (request.media_bytes > request.component_bytes)
    return refused("Provided mediasize is larger than provider size.");
  if (request.keepdirty > std::numeric_limits<std::uint32_t>::max())
    return refused(in_brackets("Keepdirty", request.keepdirty) + " is more than 4294967295.");
  return {};
}

// The original takes such a size and makes a resource whose device it cannot create.
Result<void> check_media_for_original(std::uint64_t media_bytes, std::uint32_t sector_bytes) {
  if (media_bytes % sector_bytes == 0) return {};
  return refused(in_brackets("Mediasize", media_bytes) + " is not multiple of " +
                 in_brackets("sector size", sector_bytes) + ".");
}

Result<void> check_extents(std::uint64_t media_bytes, std::uint32_t extent_bytes) {
  if (divide_up(media_bytes, extent_bytes) <= kMaxExtents) return {};
  return refused(in_brackets("Extent size", extent_bytes) + " is too small for " +
                 std::to_string(media_bytes) + " bytes: at most 134217728 extents are possible.");
}

// For the map as the component's size wants it, not the media's: an original that runs here as
// secondary computes its map from the component and clears as much, and must not reach the data.
std::uint64_t extended_offset(const CreateRequest& request, std::uint32_t extent_bytes) {
  const std::uint64_t map =
      map_bytes_for(request.component_bytes, extent_bytes, request.sector_bytes);
  return round_up(kMapOffset + map + kMetadataBytes, kDataAlignment);
}

Error too_small(std::uint64_t media_bytes, std::uint64_t offset) {
  return {Errc::component_too_small, 0,
          std::to_string(offset) + " bytes are needed for metadata and map, and there are " +
              std::to_string(media_bytes)};
}

// The numbers are known to be valid, except that the data may not fit.
Result<Metadata> place(const CreateRequest& request, std::uint64_t media_bytes,
                       std::uint32_t extent_bytes) {
  const bool extended = request.format == Format::extended;
  const std::uint64_t offset =
      extended ? extended_offset(request, extent_bytes)
               : kMapOffset + map_bytes_for(media_bytes, extent_bytes, request.sector_bytes);
  if (media_bytes < offset || media_bytes - offset < request.sector_bytes)
    return too_small(media_bytes, offset);
  const std::uint64_t room = media_bytes - offset;
  Metadata metadata;
  metadata.resource = request.resource;
  metadata.datasize = room - room % request.sector_bytes;
  metadata.extentsize = extent_bytes;
  metadata.keepdirty =
      request.keepdirty != 0 ? static_cast<std::uint32_t>(request.keepdirty) : kDefaultKeepdirty;
  metadata.offset = offset;
  metadata.sequence = extended ? 1 : 0;
  return metadata;
}

}  // namespace

std::uint64_t map_bytes_for(std::uint64_t media_bytes, std::uint32_t extent_bytes,
                            std::uint32_t sector_bytes) {
  HAST_ASSERT(extent_bytes != 0 && sector_bytes != 0);
  if (media_bytes <= kMetadataBytes) return 0;
  const std::uint64_t extents = divide_up(media_bytes - kMetadataBytes, extent_bytes);
  return round_up(image_bytes_of(extents), sector_bytes);
}

Result<Layout> layout_of(const Metadata& metadata, std::uint64_t component_bytes,
                         std::uint32_t sector_bytes) {
  if (!is_usable_sector(sector_bytes)) return bad_sector(sector_bytes);
  if (Result<void> sizes = check_sizes(metadata, component_bytes, sector_bytes); !sizes)
    return std::move(sizes).error();
  Layout layout;
  layout.data_offset = metadata.offset;
  layout.data_bytes = metadata.datasize;
  layout.extent_bytes = metadata.extentsize;
  layout.extents = divide_up(metadata.datasize, metadata.extentsize);
  layout.image_bytes = round_up(image_bytes_of(layout.extents), sector_bytes);
  layout.map_bytes = metadata.offset - kMapOffset;
  if (has_second_copy(metadata)) {
    layout.second_copy = metadata.offset - kMetadataBytes;
    layout.map_bytes -= kMetadataBytes;
  }
  if (layout.image_bytes > layout.map_bytes)
    return contradiction("the activemap does not fit between metadata and data");
  return layout;
}

std::vector<std::uint64_t> second_copy_candidates(std::uint64_t component_bytes) {
  // plan_create() puts no data behind this.
  constexpr std::uint64_t kLastOffset =
      round_up(kMapOffset + kMaxMapBytes + kMetadataBytes, kDataAlignment);
  std::vector<std::uint64_t> candidates;
  for (std::uint64_t offset = kDataAlignment; offset <= std::min(kLastOffset, component_bytes);
       offset += kDataAlignment)
    candidates.push_back(offset - kMetadataBytes);
  return candidates;
}

Result<Metadata> plan_create(const CreateRequest& request) {
  if (Result<void> valid = check_request(request); !valid) return std::move(valid).error();
  const std::uint64_t extent =
      request.extent_bytes != 0 ? request.extent_bytes : kDefaultExtentBytes;
  if (Result<void> valid = check_extent_size(extent, request.sector_bytes); !valid)
    return std::move(valid).error();
  const std::uint64_t media =
      request.media_bytes != 0 ? request.media_bytes : request.component_bytes;
  const bool extended = request.format == Format::extended;
  if (!extended) {
    Result<void> valid = check_media_for_original(media, request.sector_bytes);
    if (!valid) return std::move(valid).error();
  }
  const auto extent_bytes = static_cast<std::uint32_t>(extent);
  if (Result<void> valid = check_extents(extended ? request.component_bytes : media, extent_bytes);
      !valid)
    return std::move(valid).error();
  return place(request, media, extent_bytes);
}

}  // namespace hast::ondisk
