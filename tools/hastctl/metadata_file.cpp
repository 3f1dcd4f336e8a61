#include "hastctl/metadata_file.hpp"

#include <array>
#include <cstddef>

#include "hast/base/units.hpp"

namespace hastctl {
namespace {

using hast::Errc;
using hast::Error;
using hast::Result;
using hast::adapter::Component;
using hast::ondisk::kMetadataBytes;
using hast::ondisk::Metadata;

// Direct I/O wants aligned memory.
struct alignas(hast::port::kBufferAlignment) Block {
  std::array<std::byte, kMetadataBytes> bytes{};
};

Result<void> checked(int os_error, const Component& component) {
  if (os_error == 0) return {};
  return Error{Errc::io_failed, os_error, component.path()};
}

/// A device without a flush has no cache to flush.
Result<void> flush(Component& component) {
  return checked(hast::port::flush_result(component.flush()), component);
}

Result<Metadata> read_copy(Component& component, std::uint64_t offset_bytes) {
  Block block;
  if (!hast::range_within(offset_bytes, kMetadataBytes, component.geometry().size_bytes))
    return Error{Errc::component_too_small, 0, component.path()};
  if (Result<void> read = checked(component.read(offset_bytes, block.bytes), component); !read)
    return std::move(read).error();
  return hast::ondisk::decode(block.bytes);
}

std::optional<std::uint64_t> second_copy_of(const Metadata& metadata, const Component& component) {
  const hast::port::DiskGeometry& geometry = component.geometry();
  const auto layout = hast::ondisk::layout_of(metadata, geometry.size_bytes, geometry.sector_bytes);
  return layout ? layout->second_copy : std::nullopt;
}

/// Whatever the first copy says: every place where a second one would be believed.
std::vector<std::uint64_t> second_copies(Component& component) {
  std::vector<std::uint64_t> found;
  for (const std::uint64_t offset :
       hast::ondisk::second_copy_candidates(component.geometry().size_bytes)) {
    const Result<Metadata> copy = read_copy(component, offset);
    if (copy && second_copy_of(*copy, component) == offset) found.push_back(offset);
  }
  return found;
}

}  // namespace

Result<Metadata> read_metadata(Component& component) {
  Result<Metadata> first = read_copy(component, 0);
  if (first) {
    const std::optional<std::uint64_t> place = second_copy_of(*first, component);
    return place ? hast::ondisk::choose(first, read_copy(component, *place)) : first;
  }
  for (const std::uint64_t place : second_copies(component))
    if (Result<Metadata> second = read_copy(component, place)) return second;
  return first;
}

Result<void> write_new_metadata(Component& component, const Metadata& metadata,
                                hast::ondisk::Format format) {
  const hast::port::DiskGeometry& geometry = component.geometry();
  const auto layout = hast::ondisk::layout_of(metadata, geometry.size_bytes, geometry.sector_bytes);
  if (!layout) return layout.error();
  Block block;
  if (Result<void> ok = hast::ondisk::encode(metadata, format, block.bytes); !ok) return ok;

  // An earlier second copy has the higher sequence number and would win over the new first one.
  for (const std::uint64_t stale : second_copies(component)) {
    const Block zeros;
    if (Result<void> ok = checked(component.write(stale, zeros.bytes), component); !ok) return ok;
  }
  if (Result<void> ok = flush(component); !ok) return ok;
  if (Result<void> ok = checked(component.write(0, block.bytes), component); !ok) return ok;
  if (Result<void> ok = flush(component); !ok) return ok;
  const int cleared = component.write_zeroes(hast::ondisk::kMapOffset, layout->map_bytes);
  if (Result<void> ok = checked(cleared, component); !ok) return ok;
  if (layout->second_copy) {
    const int written = component.write(*layout->second_copy, block.bytes);
    if (Result<void> ok = checked(written, component); !ok) return ok;
  }
  return flush(component);
}

}  // namespace hastctl
