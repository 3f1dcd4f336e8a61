// An opened local component as the core takes it over: the disk, what its metadata say, where
// things are, and the map as it was found.
#pragma once

#include <vector>

#include "hast/ondisk/layout.hpp"
#include "hast/ondisk/metadata.hpp"
#include "hast/port/disk.hpp"

namespace hast::core {

struct Component {
  port::Disk* disk = nullptr;  // outlives the core that uses it
  ondisk::Metadata metadata;
  ondisk::Layout layout;
  std::vector<std::byte> map_image;  // ceil(extents / 8) bytes
  /// A copy of the metadata was unusable or older: both are written anew at once (INV-10).
  bool metadata_copy_lost = false;
  /// A flush failed since it was last opened: what is read may never have become durable, and is
  /// written anew.
  bool doubtful = false;
  bool second_copy_stale = false;  // it is that one: the first must not be touched before it is new

  std::uint32_t sector_bytes() const { return disk->geometry().sector_bytes; }
};

}  // namespace hast::core
