// Any activemap image from a disk or a peer, and any sequence of operations on it, against a plain
// vector of flags.
#include <algorithm>
#include <vector>

#include "hast/base/assert.hpp"
#include "hast/base/bitmap.hpp"

using hast::Bitmap;

namespace {

using Model = std::vector<bool>;

std::uint64_t next_in(const Model& model, std::uint64_t from) {
  for (std::uint64_t bit = from; bit < model.size(); ++bit)
    if (model[bit]) return bit;
  return Bitmap::npos;
}

void check_equal(const Bitmap& map, const Model& model) {
  HAST_ASSERT(map.count() ==
              static_cast<std::uint64_t>(std::count(model.begin(), model.end(), true)));
  std::vector<std::byte> image(model.size() / 8 + 9);
  map.export_bytes(0, image);
  for (std::size_t bit = 0; bit < image.size() * 8; ++bit) {
    const bool exported = (std::to_integer<unsigned>(image[bit / 8]) >> (bit % 8) & 1) != 0;
    HAST_ASSERT(exported == (bit < model.size() && model[bit]));
  }
}

void operate(Bitmap& map, Model& model, std::uint8_t kind, std::uint64_t bit) {
  switch (kind % 4) {
    case 0:
      HAST_ASSERT(map.set(bit) != model[bit]);
      model[bit] = true;
      break;
    case 1:
      HAST_ASSERT(map.reset(bit) == model[bit]);
      model[bit] = false;
      break;
    case 2:
      HAST_ASSERT(map.find_next(bit) == next_in(model, bit));
      break;
    default:
      HAST_ASSERT(map.any_in(bit, model.size() - 1) == (next_in(model, bit) != Bitmap::npos));
  }
}

}  // namespace

// Input: bits u16, length of the image u16, the image, then pairs of operation u8 and bit u16.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hast::ByteReader input(hast::ConstByteSpan(reinterpret_cast<const std::byte*>(data), size));
  const std::uint64_t bits = input.le<std::uint16_t>() % 4096;
  const std::size_t wanted = input.le<std::uint16_t>();
  const hast::ConstByteSpan image = input.take(std::min(wanted, input.remaining()));
  Bitmap map(bits);
  map.import_bytes(image);
  Model model(bits);
  for (std::uint64_t bit = 0; bit < std::min<std::uint64_t>(bits, image.size() * 8); ++bit)
    model[bit] = (std::to_integer<unsigned>(image[bit / 8]) >> (bit % 8) & 1) != 0;
  check_equal(map, model);
  if (bits == 0) return 0;
  for (int i = 0; i < 256 && input.remaining() >= 3; ++i) {
    const auto kind = input.le<std::uint8_t>();
    operate(map, model, kind, input.le<std::uint16_t>() % bits);
  }
  check_equal(map, model);
  return 0;
}
