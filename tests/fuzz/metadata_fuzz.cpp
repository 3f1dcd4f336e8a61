// Any two blocks as the copies of a component's metadata: decoding is total, what decodes encodes
// to the same again, and what is chosen of the two can be laid out or is refused (INV-9, INV-10).
#include <algorithm>
#include <array>

#include "hast/base/assert.hpp"
#include "hast/ondisk/layout.hpp"
#include "hast/ondisk/metadata.hpp"

using namespace hast;
using namespace hast::ondisk;

namespace {

using Block = std::array<std::byte, kMetadataBytes>;

// A short input is a block that goes on with zeros.
Block take_block(ConstByteSpan& input) {
  Block block{};
  const std::size_t size = std::min(input.size(), block.size());
  std::copy_n(input.begin(), size, block.begin());
  input = input.subspan(size);
  return block;
}

void check_round_trip(Metadata metadata) {
  Block block;
  HAST_ASSERT(encode(metadata, Format::extended, block));
  HAST_ASSERT(*decode(block) == metadata);
  HAST_ASSERT(encode(metadata, Format::original, block));
  metadata.sequence = 0;
  metadata.inconsistent = false;
  HAST_ASSERT(*decode(block) == metadata);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ConstByteSpan input(reinterpret_cast<const std::byte*>(data), size);
  ByteReader sizes(input.first(std::min<std::size_t>(size, 9)));
  const auto component_bytes = sizes.le<std::uint64_t>();
  const std::uint32_t sector_bytes = 512U << (sizes.le<std::uint8_t>() % 5);
  input = input.subspan(std::min<std::size_t>(size, 9));
  const Result<Metadata> first = decode(take_block(input));
  const Result<Metadata> second = decode(take_block(input));
  if (first) check_round_trip(*first);
  if (second) check_round_trip(*second);
  const Result<Metadata> chosen = choose(first, second);
  HAST_ASSERT(chosen.has_value() == (first.has_value() || second.has_value()));
  if (!chosen) return 0;
  const Result<Layout> layout = layout_of(*chosen, component_bytes, sector_bytes);
  if (!layout) return 0;
  HAST_ASSERT(kMapOffset + layout->map_bytes <= layout->data_offset);
  HAST_ASSERT(layout->image_bytes <= layout->map_bytes && layout->extents <= kMaxExtents);
  HAST_ASSERT(layout->data_offset + layout->data_bytes <= component_bytes);
  return 0;
}
