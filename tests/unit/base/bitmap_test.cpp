#include "hast/base/bitmap.hpp"

#include <array>
#include <random>
#include <set>
#include <vector>

#include "support/catch.hpp"

using hast::Bitmap;

namespace {

std::vector<std::byte> image_of(const Bitmap& map, std::size_t bytes) {
  std::vector<std::byte> image(bytes, std::byte{0xee});
  map.export_bytes(0, image);
  return image;
}

std::set<std::uint64_t> bits_of(const Bitmap& map) {
  std::set<std::uint64_t> bits;
  for (std::uint64_t at = map.find_next(0); at != Bitmap::npos; at = map.find_next(at + 1))
    bits.insert(at);
  return bits;
}

}  // namespace

TEST_CASE("a new bitmap is clean") {
  const Bitmap map(130);
  CHECK(map.size() == 130);
  CHECK_FALSE(map.any());
  CHECK(map.count() == 0);
  CHECK(map.find_next(0) == Bitmap::npos);
}

TEST_CASE("an empty bitmap has nothing to find, import or export") {
  Bitmap map;
  map.set_all();
  CHECK(map.count() == 0);
  CHECK(map.find_next(0) == Bitmap::npos);
  const std::array<std::byte, 2> ones{std::byte{0xff}, std::byte{0xff}};
  map.import_bytes(ones);
  CHECK_FALSE(map.any());
  CHECK(image_of(map, 2) == std::vector<std::byte>(2, std::byte{0}));
}

TEST_CASE("setting and clearing tell whether the bit changed, and the count follows") {
  Bitmap map(65);
  CHECK(map.set(64));
  CHECK_FALSE(map.set(64));
  CHECK(map.test(64));
  CHECK(map.count() == 1);
  CHECK(map.reset(64));
  CHECK_FALSE(map.reset(64));
  CHECK_FALSE(map.any());
}

TEST_CASE("all bits set are exactly the bits there are") {
  for (std::uint64_t size : {1, 63, 64, 65, 128, 1000}) {
    Bitmap map(size);
    map.set_all();
    CHECK(map.count() == size);
    CHECK(bits_of(map).size() == size);
    map.reset_all();
    CHECK_FALSE(map.any());
    CHECK(map.find_next(0) == Bitmap::npos);
  }
}

TEST_CASE("the search finds the first set bit at or after a place, across words") {
  Bitmap map(300);
  for (std::uint64_t bit : {0, 63, 64, 255, 299}) map.set(bit);
  CHECK(map.find_next(0) == 0);
  CHECK(map.find_next(1) == 63);
  CHECK(map.find_next(64) == 64);
  CHECK(map.find_next(65) == 255);
  CHECK(map.find_next(256) == 299);
  CHECK(map.find_next(300) == Bitmap::npos);
  CHECK(map.find_next(Bitmap::npos) == Bitmap::npos);
}

TEST_CASE("a range is asked with both its ends") {
  Bitmap map(200);
  map.set(100);
  CHECK(map.any_in(100, 100));
  CHECK(map.any_in(0, 199));
  CHECK(map.any_in(64, 100));
  CHECK_FALSE(map.any_in(0, 99));
  CHECK_FALSE(map.any_in(101, 199));
}

TEST_CASE("merging is the union, and the count is right where both have a bit") {
  Bitmap one(70);
  Bitmap two(70);
  one.set(1);
  one.set(69);
  two.set(69);
  two.set(3);
  one.merge(two);
  CHECK(bits_of(one) == std::set<std::uint64_t>{1, 3, 69});
  CHECK(one.count() == 3);
  CHECK(two.count() == 2);
}

TEST_CASE("bit n is byte n/8, bit n%8 from the least significant") {
  Bitmap map(80);
  for (std::uint64_t bit : {0, 9, 18, 63, 64, 79}) map.set(bit);
  const std::vector<std::byte> expected{
      std::byte{0x01}, std::byte{0x02}, std::byte{0x04}, std::byte{0},    std::byte{0},
      std::byte{0},    std::byte{0},    std::byte{0x80}, std::byte{0x01}, std::byte{0x80}};
  CHECK(image_of(map, 10) == expected);
}

TEST_CASE("an export past the end of the image is zeros") {
  Bitmap map(12);
  map.set_all();
  const std::vector<std::byte> image = image_of(map, 512);
  CHECK(image[0] == std::byte{0xff});
  CHECK(image[1] == std::byte{0x0f});
  for (std::size_t i = 2; i < image.size(); ++i) REQUIRE(image[i] == std::byte{0});
  std::array<std::byte, 4> far{};
  far.fill(std::byte{0xee});
  map.export_bytes(1000, far);
  CHECK(far == std::array<std::byte, 4>{});
}

TEST_CASE("any window of the export equals the same window of the whole image") {
  std::mt19937_64 random(7);
  Bitmap map(777);
  for (int i = 0; i < 300; ++i) map.set(random() % map.size());
  const std::vector<std::byte> whole = image_of(map, 128);
  for (std::size_t first = 0; first < 110; ++first) {
    std::vector<std::byte> part(17, std::byte{0xee});
    map.export_bytes(first, part);
    REQUIRE(
        std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first)));
  }
}

TEST_CASE("an import replaces all bits and is the inverse of the export") {
  std::mt19937_64 random(8);
  for (std::uint64_t size : {1, 7, 8, 9, 64, 65, 71, 72, 200}) {
    Bitmap map(size);
    for (std::uint64_t i = 0; i < size; ++i)
      if (random() % 2 == 0) map.set(i);
    Bitmap copy(size);
    copy.set_all();
    copy.import_bytes(image_of(map, (size + 7) / 8));
    CHECK(bits_of(copy) == bits_of(map));
    CHECK(copy.count() == map.count());
  }
}

TEST_CASE("an import ignores what lies past the size and takes missing bytes for zero") {
  const std::vector<std::byte> ones(64, std::byte{0xff});
  Bitmap map(13);
  map.import_bytes(ones);
  CHECK(map.count() == 13);
  Bitmap longer(200);
  longer.set_all();
  longer.import_bytes(hast::ConstByteSpan(ones).first(9));
  CHECK(longer.count() == 72);
  CHECK_FALSE(longer.any_in(72, 199));
}
