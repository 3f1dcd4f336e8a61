// Components on DiskMedia: formatting, and opening what a former process left there, the way the
// engine's loader does it. The layout is a small one of ours: metadata, map, second copy, data.
#pragma once

#include <vector>

#include "hast/base/bitmap.hpp"
#include "hast/base/units.hpp"
#include "hast/core/component.hpp"
#include "support/disk_media.hpp"

namespace hast::test {

struct ComponentShape {
  std::uint32_t extent_bytes = 256 * 1024;  // two blocks
  std::uint64_t extents = 8;
  std::uint64_t last_extent_bytes = 0;  // 0: as long as the others
  std::uint32_t keepdirty = 2;
  std::uint32_t sector_bytes = 512;
  bool second_copy = true;  // false: an original's format

  std::uint64_t data_bytes() const {
    return extents * extent_bytes - (last_extent_bytes ? extent_bytes - last_extent_bytes : 0);
  }
  ondisk::Layout layout() const {
    ondisk::Layout layout;
    layout.map_bytes = round_up(divide_up(extents, 8), sector_bytes);
    layout.image_bytes = layout.map_bytes;
    const std::uint64_t map_end = ondisk::kMapOffset + layout.map_bytes;
    if (second_copy) layout.second_copy = map_end;
    layout.data_offset = map_end + (second_copy ? ondisk::kMetadataBytes : 0);
    layout.data_bytes = data_bytes();
    layout.extent_bytes = extent_bytes;
    layout.extents = extents;
    return layout;
  }
  std::uint64_t component_bytes() const { return layout().data_offset + data_bytes(); }
};

inline ondisk::Metadata fresh_metadata(const ComponentShape& shape) {
  ondisk::Metadata metadata;
  metadata.resource = "shared";
  metadata.datasize = shape.data_bytes();
  metadata.extentsize = shape.extent_bytes;
  metadata.keepdirty = shape.keepdirty;
  metadata.offset = shape.layout().data_offset;
  return metadata;
}

/// Writes metadata as if it had always been there.
inline void store_metadata(DiskMedia& media, const ComponentShape& shape,
                           const ondisk::Metadata& metadata) {
  std::vector<std::byte> block(ondisk::kMetadataBytes);
  const ondisk::Format format =
      shape.second_copy ? ondisk::Format::extended : ondisk::Format::original;
  HAST_ASSERT(ondisk::encode(metadata, format, block).has_value());
  media.preset(0, block);
  if (shape.second_copy) media.preset(*shape.layout().second_copy, block);
}

inline DiskMedia formatted_media(const ComponentShape& shape) {
  DiskMedia media(shape.component_bytes(), shape.sector_bytes);
  store_metadata(media, shape, fresh_metadata(shape));
  return media;
}

/// The metadata a process would find; `durable`: after a power loss.
enum class Layer { newest, durable };
inline Result<ondisk::Metadata> metadata_on(const DiskMedia& media, const ComponentShape& shape,
                                            Layer layer = Layer::durable) {
  const auto block = [&](std::uint64_t offset) {
    return layer == Layer::durable ? media.durable(offset, ondisk::kMetadataBytes)
                                   : media.newest(offset, ondisk::kMetadataBytes);
  };
  const Result<ondisk::Metadata> first = ondisk::decode(block(0));
  if (!shape.second_copy) return first;
  return ondisk::choose(first, ondisk::decode(block(*shape.layout().second_copy)));
}

inline Bitmap map_on(const DiskMedia& media, const ComponentShape& shape,
                     Layer layer = Layer::durable) {
  Bitmap map(shape.extents);
  const std::uint64_t bytes = shape.layout().map_bytes;
  map.import_bytes(layer == Layer::durable ? media.durable(ondisk::kMapOffset, bytes)
                                           : media.newest(ondisk::kMapOffset, bytes));
  return map;
}

/// Sets bits of the map on disk as if they had always been there.
inline void preset_map(DiskMedia& media, const ComponentShape& shape,
                       const std::vector<std::uint64_t>& extents) {
  Bitmap map(shape.extents);
  for (std::uint64_t extent : extents) map.set(extent);
  std::vector<std::byte> image(shape.layout().map_bytes);
  map.export_bytes(0, image);
  media.preset(ondisk::kMapOffset, image);
}

inline core::Component open_component(port::Disk& disk, const DiskMedia& media,
                                      const ComponentShape& shape) {
  const Result<ondisk::Metadata> metadata = metadata_on(media, shape, Layer::newest);
  HAST_ASSERT(metadata.has_value());
  core::Component component;
  component.disk = &disk;
  component.metadata = *metadata;
  component.layout = shape.layout();
  const ConstByteSpan image = media.newest(ondisk::kMapOffset, divide_up(shape.extents, 8));
  component.map_image.assign(image.begin(), image.end());
  return component;
}

/// The bytes of the volume on this component.
inline ConstByteSpan data_on(const DiskMedia& media, const ComponentShape& shape,
                             Layer layer = Layer::newest) {
  const std::uint64_t offset = shape.layout().data_offset;
  return layer == Layer::durable ? media.durable(offset, shape.data_bytes())
                                 : media.newest(offset, shape.data_bytes());
}

}  // namespace hast::test
