// Any numbers on the command line of `hastctl create`: refused in words, or a layout in which
// everything has its place, is recognised again and leaves an original's map its room.
#include <algorithm>
#include <array>

#include "hast/base/assert.hpp"
#include "hast/ondisk/layout.hpp"

using namespace hast;
using namespace hast::ondisk;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader input(ConstByteSpan(reinterpret_cast<const std::byte*>(data), size));
  CreateRequest request;
  request.component_bytes = input.le<std::uint64_t>();
  request.media_bytes = input.le<std::uint64_t>();
  request.extent_bytes = input.le<std::uint64_t>();
  request.keepdirty = input.le<std::uint64_t>();
  request.sector_bytes = input.le<std::uint32_t>();
  request.format = input.le<std::uint8_t>() % 2 == 0 ? Format::extended : Format::original;
  request.resource =
      std::string(as_text(input.take(std::min<std::size_t>(input.remaining(), 300))));

  const Result<Metadata> planned = plan_create(request);
  if (!planned) {
    HAST_ASSERT(!planned.error().detail.empty());
    return 0;
  }
  std::array<std::byte, kMetadataBytes> block;
  HAST_ASSERT(encode(*planned, request.format, block));
  HAST_ASSERT(*decode(block) == *planned);
  const Result<Layout> layout = layout_of(*planned, request.component_bytes, request.sector_bytes);
  HAST_ASSERT(layout.has_value());
  HAST_ASSERT(layout->second_copy.has_value() == (request.format == Format::extended));
  if (!layout->second_copy) return 0;
  HAST_ASSERT(*layout->second_copy == kMapOffset + layout->map_bytes);
  HAST_ASSERT(layout->map_bytes >=
              map_bytes_for(request.component_bytes, planned->extentsize, request.sector_bytes));
  const auto candidates = second_copy_candidates(request.component_bytes);
  HAST_ASSERT(std::binary_search(candidates.begin(), candidates.end(), *layout->second_copy));
  return 0;
}
