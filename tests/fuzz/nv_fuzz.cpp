// Any bytes as a name/value list: refused, or a list whose elements lie within the bytes, that the
// getters read, and that comes out again as it went in (INV-9).
#include <algorithm>
#include <vector>

#include "hast/base/assert.hpp"
#include "hast/base/nv.hpp"

using namespace hast;

namespace {

bool lies_within(ConstByteSpan part, ConstByteSpan whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

void append(const NvReader& nv, const NvElement& element, NvWriter& out) {
  // The getters find the first of a name; later ones of it are not read through them.
  if (nv.find(element.name) != &element) return;
  const std::string_view name = element.name;
  switch (element.type) {
    case NvType::uint8:
      return out.u8(name, *nv.u8(name));
    case NvType::int8:
      return out.i8(name, *nv.i8(name));
    case NvType::int16:
      return out.i16(name, *nv.i16(name));
    case NvType::uint32:
      return out.u32(name, *nv.u32(name));
    case NvType::int32:
      return out.i32(name, *nv.i32(name));
    case NvType::uint64:
      return out.u64(name, *nv.u64(name));
    case NvType::int64:
      return out.i64(name, *nv.i64(name));
    case NvType::string:
      return out.string(name, *nv.string(name));
    case NvType::uint8_array:
      return out.u8_array(name, *nv.u8_array(name));
    default:
      return;  // nothing writes the rest
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ConstByteSpan block(reinterpret_cast<const std::byte*>(data), size);
  const Result<NvReader> nv = NvReader::parse(block);
  if (!nv) return 0;
  std::vector<std::byte> written(size);
  NvWriter out(written);
  for (const NvElement& element : nv->elements()) {
    HAST_ASSERT(lies_within(element.data, block));
    HAST_ASSERT(lies_within(as_bytes(element.name), block));
    HAST_ASSERT(nv->contains(element.name));
    append(*nv, element, out);
  }
  HAST_ASSERT(!out.failed());
  const Result<NvReader> again = NvReader::parse(ConstByteSpan(written).first(out.size()));
  HAST_ASSERT(again.has_value());
  for (const NvElement& element : again->elements()) {
    const NvElement* original = nv->find(element.name);
    HAST_ASSERT(original != nullptr && original->type == element.type);
    HAST_ASSERT(std::ranges::equal(original->data, element.data));
  }
  return 0;
}
