#include "hast/engine/component_loader.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "hast/base/units.hpp"
#include "hast/core/buffer.hpp"
#include "hast/engine/disk_wait.hpp"

namespace hast::engine {

namespace {

using port::Awaitable;

Awaitable<Result<ondisk::Metadata>> read_copy(port::Disk* disk, std::uint64_t offset) {
  core::AlignedBuffer block(ondisk::kMetadataBytes);
  DiskWait wait;
  if (const int error = co_await wait.read(disk, offset, block.span()); error != 0)
    co_return Error{Errc::io_failed, error, fmt::format("reading metadata at byte {}", offset)};
  co_return ondisk::decode(block.span());
}

/// The second copy when the first does not say where it is (docs/on-disk.md, recovery).
Awaitable<Result<ondisk::Metadata>> search_second_copy(port::Disk* disk) {
  const port::DiskGeometry geometry = disk->geometry();
  for (std::uint64_t offset : ondisk::second_copy_candidates(geometry.size_bytes)) {
    Result<ondisk::Metadata> found = co_await read_copy(disk, offset);
    if (!found) continue;
    Result<ondisk::Layout> layout =
        ondisk::layout_of(*found, geometry.size_bytes, geometry.sector_bytes);
    if (layout && layout->second_copy == offset) co_return found;
  }
  co_return Errc::metadata_damaged;
}

/// Fills in `component->metadata`, from the better copy, and whether the other has to be repaired.
Awaitable<Result<void>> read_metadata(port::Disk* disk, core::Component* component, Log log) {
  Result<ondisk::Metadata> first = co_await read_copy(disk, 0);
  Result<ondisk::Metadata> second = Errc::component_unformatted;
  const port::DiskGeometry geometry = disk->geometry();
  if (first) {
    Result<ondisk::Layout> layout =
        ondisk::layout_of(*first, geometry.size_bytes, geometry.sector_bytes);
    const bool has_second = layout && layout->second_copy;
    if (has_second) second = co_await read_copy(disk, *layout->second_copy);
    component->metadata_copy_lost = has_second && (!second || second->sequence != first->sequence);
    component->second_copy_stale = has_second && (!second || second->sequence < first->sequence);
  } else {
    second = co_await search_second_copy(disk);
    component->metadata_copy_lost = second.has_value();
    if (second)
      log.warning(
          "The first copy of the metadata cannot be used ({}); the second copy is, and both are "
          "written anew. Find out what wrote to the first 4096 bytes.",
          first.error().message());
  }
  Result<ondisk::Metadata> chosen = ondisk::choose(first, second);  // INV-10
  if (!chosen) co_return std::move(chosen).error();
  component->metadata = *chosen;
  co_return Result<void>{};
}

/// What a process that was killed had written may be read now and still be lost with the power:
/// nothing that is read here may be (INV-1, INV-3).
Awaitable<Result<void>> make_durable(port::Disk* disk) {
  DiskWait wait;
  const int error = port::flush_result(co_await wait.flush(disk));
  if (error != 0) co_return Error{Errc::io_failed, error, "flushing what was written before"};
  co_return Result<void>{};
}

Awaitable<Result<void>> read_map(port::Disk* disk, core::Component* component) {
  const std::uint64_t bytes = divide_up(component->layout.extents, 8);
  const std::uint64_t whole =
      std::min(round_up(bytes, port::kBufferAlignment), component->layout.map_bytes);
  core::AlignedBuffer map(whole);
  DiskWait wait;
  if (const int error = co_await wait.read(disk, ondisk::kMapOffset, map.span()); error != 0)
    co_return Error{Errc::io_failed, error, "reading the activemap"};
  component->map_image.assign(map.data(), map.data() + bytes);
  co_return Result<void>{};
}

}  // namespace

Awaitable<Result<core::Component>> load_component(port::Disk* disk, std::string resource,
                                                  std::string path, Log log) {
  const port::DiskGeometry geometry = disk->geometry();
  if (geometry.size_bytes < 2 * ondisk::kMetadataBytes)
    co_return Error{Errc::component_too_small, 0, path};
  core::Component component;
  component.disk = disk;
  Result<void> found = co_await make_durable(disk);
  if (found) found = co_await read_metadata(disk, &component, std::move(log));
  if (!found) {
    Error error = std::move(found).error();
    error.detail = error.detail.empty() ? path : path + ": " + error.detail;
    co_return error;
  }
  if (component.metadata.resource != resource)
    co_return Error{Errc::component_foreign, 0,
                    fmt::format("{} belongs to resource {}, not to {}", path,
                                component.metadata.resource, resource)};
  Result<ondisk::Layout> layout =
      ondisk::layout_of(component.metadata, geometry.size_bytes, geometry.sector_bytes);
  if (!layout) {
    Error error = std::move(layout).error();
    error.detail = path + ": " + error.detail;
    co_return error;
  }
  component.layout = *layout;
  if (Result<void> read = co_await read_map(disk, &component); !read) {
    Error error = std::move(read).error();
    error.detail = path + ": " + error.detail;
    co_return error;
  }
  co_return component;
}

}  // namespace hast::engine
