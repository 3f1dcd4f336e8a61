#include "hast/ondisk/layout.hpp"

#include <limits>
#include <random>

#include "hast/base/units.hpp"
#include "support/catch.hpp"

using namespace hast;
using namespace hast::ondisk;

namespace {

constexpr std::uint64_t kTiB = 1024 * kGiB;
constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

CreateRequest request(std::uint64_t component_bytes, Format format = Format::extended) {
  CreateRequest wanted;
  wanted.resource = "shared";
  wanted.component_bytes = component_bytes;
  wanted.format = format;
  return wanted;
}

Error refusal(const CreateRequest& wanted) {
  const Result<Metadata> planned = plan_create(wanted);
  REQUIRE_FALSE(planned);
  return planned.error();
}

Metadata planned(const CreateRequest& wanted) {
  const Result<Metadata> metadata = plan_create(wanted);
  if (!metadata) FAIL(metadata.error().message());
  return *metadata;
}

Metadata with(std::uint64_t offset, std::uint64_t datasize, std::uint32_t extentsize) {
  Metadata metadata;
  metadata.resource = "shared";
  metadata.offset = offset;
  metadata.datasize = datasize;
  metadata.extentsize = extentsize;
  metadata.keepdirty = 64;
  return metadata;
}

}  // namespace

TEST_CASE("the original's layout follows its arithmetic") {
  struct Row {
    std::uint64_t component, extents, map, offset, datasize;
  };
  for (const Row& row :
       {Row{kGiB, 512, 512, 4608, 1073737216}, Row{kTiB, 524288, 65536, 69632, 1099511558144},
        Row{500 * kGiB, 256000, 32256, 36352, 536870875648}}) {
    const Metadata metadata = planned(request(row.component, Format::original));
    CHECK(metadata.offset == row.offset);
    CHECK(metadata.datasize == row.datasize);
    CHECK(metadata.extentsize == 2097152);
    CHECK(metadata.keepdirty == 64);
    CHECK(metadata.sequence == 0);
    const Result<Layout> layout = layout_of(metadata, row.component, 512);
    REQUIRE(layout);
    CHECK(layout->map_bytes == row.map);
    CHECK(layout->image_bytes == row.map);
    CHECK(layout->extents == row.extents);
    CHECK_FALSE(layout->second_copy);
  }
}

TEST_CASE("our layout puts data on a boundary of 1 MiB and a second copy right before them") {
  const Metadata metadata = planned(request(kGiB));
  CHECK(metadata.offset == kMiB);
  CHECK(metadata.datasize == kGiB - kMiB);
  CHECK(metadata.sequence == 1);
  const Result<Layout> layout = layout_of(metadata, kGiB, 512);
  REQUIRE(layout);
  CHECK(layout->second_copy == kMiB - 4096);
  CHECK(layout->map_bytes == kMiB - 2 * 4096);
  CHECK(layout->image_bytes == 512);
  CHECK(layout->extents == 512);
  CHECK(layout->data_bytes == metadata.datasize);
}

TEST_CASE("a map that fills the first MiB moves the data to the next") {
  // 65 Ki extents of 2 MiB take 8 KiB: at 16 TiB the map alone has 1 MiB.
  const Metadata metadata = planned(request(16 * kTiB));
  CHECK(metadata.offset == 2 * kMiB);
  CHECK(layout_of(metadata, 16 * kTiB, 512)->second_copy == 2 * kMiB - 4096);
}

TEST_CASE("our layout has room for the map that an original computes from the whole component") {
  CreateRequest wanted = request(16 * kTiB);
  wanted.media_bytes = kGiB;
  const Metadata metadata = planned(wanted);
  CHECK(metadata.offset + metadata.datasize == kGiB);
  const Result<Layout> layout = layout_of(metadata, wanted.component_bytes, 512);
  REQUIRE(layout);
  CHECK(layout->map_bytes >= map_bytes_for(wanted.component_bytes, metadata.extentsize, 512));
}

TEST_CASE("any layout of ours is recognised again, whatever sector size the component shows then") {
  std::mt19937_64 random(11);
  int tried = 0;
  for (int i = 0; i < 20000; ++i) {
    CreateRequest wanted = request(random() >> (20 + random() % 24));
    wanted.sector_bytes = 512U << random() % 4;
    wanted.extent_bytes = std::uint64_t{512} << random() % 20;
    if (random() % 2 == 0) wanted.media_bytes = wanted.component_bytes / 2;
    const Result<Metadata> metadata = plan_create(wanted);
    if (!metadata) continue;
    ++tried;
    const Result<Layout> layout = layout_of(*metadata, wanted.component_bytes, wanted.sector_bytes);
    REQUIRE(layout);
    REQUIRE(layout->second_copy == metadata->offset - kMetadataBytes);
    REQUIRE(kMapOffset + layout->map_bytes == *layout->second_copy);
    REQUIRE(metadata->offset % kDataAlignment == 0);
    REQUIRE(metadata->datasize % wanted.sector_bytes == 0);
    REQUIRE(map_bytes_for(wanted.component_bytes, metadata->extentsize, wanted.sector_bytes) <=
            layout->map_bytes);
    const Result<Layout> finer = layout_of(*metadata, wanted.component_bytes, 512);
    REQUIRE(finer);
    REQUIRE(finer->second_copy == layout->second_copy);
  }
  CHECK(tried > 5000);
}

TEST_CASE("no layout of an original is taken for one with a second copy") {
  std::mt19937_64 random(12);
  int tried = 0;
  for (int i = 0; i < 20000; ++i) {
    CreateRequest wanted = request(random() >> (20 + random() % 24), Format::original);
    wanted.sector_bytes = 512U << random() % 4;
    wanted.component_bytes -= wanted.component_bytes % wanted.sector_bytes;
    wanted.extent_bytes = std::uint64_t{512} << random() % 20;
    const Result<Metadata> metadata = plan_create(wanted);
    if (!metadata) continue;
    ++tried;
    const Result<Layout> layout = layout_of(*metadata, wanted.component_bytes, wanted.sector_bytes);
    REQUIRE(layout);
    REQUIRE_FALSE(layout->second_copy);
    REQUIRE(layout->map_bytes == metadata->offset - kMapOffset);
  }
  CHECK(tried > 5000);
}

TEST_CASE("an original's layout whose data happen to lie on 1 MiB has no second copy either") {
  for (std::uint32_t sector : {512U, 4096U}) {
    // A map of 1 MiB - 4 KiB.
    const std::uint64_t extents = (kMiB - 4096) * 8;
    CreateRequest wanted = request(4096 + extents * 131072, Format::original);
    wanted.extent_bytes = 131072;
    wanted.sector_bytes = sector;
    const Metadata metadata = planned(wanted);
    REQUIRE(metadata.offset == kMiB);
    const Result<Layout> layout = layout_of(metadata, wanted.component_bytes, sector);
    REQUIRE(layout);
    CHECK_FALSE(layout->second_copy);
    CHECK(layout->map_bytes == kMiB - 4096);
  }
}

TEST_CASE("the data area is whole sectors in our layout") {
  CreateRequest wanted = request(kGiB + 777);
  wanted.sector_bytes = 4096;
  CHECK(planned(wanted).datasize == kGiB - kMiB);
  wanted.media_bytes = kGiB - 1;
  CHECK(planned(wanted).datasize == kGiB - kMiB - 4096);
}

TEST_CASE("a size the original could not serve is refused in its layout") {
  const Error error = refusal(request(kGiB + 777, Format::original));
  CHECK(error.code == Errc::usage);
  CHECK(error.detail == "Mediasize (1073742601) is not multiple of sector size (512).");
}

TEST_CASE("an extent size must be a power of two of at least a sector") {
  const auto detail_of = [](std::uint64_t extent_bytes) {
    CreateRequest wanted = request(kGiB);
    wanted.extent_bytes = extent_bytes;
    const Error error = refusal(wanted);
    CHECK(error.code == Errc::usage);
    return error.detail;
  };
  CHECK(detail_of(100) == "Extent size (100) is less than sector size (512).");
  CHECK(detail_of(1000) == "Extent size (1000) is not multiple of sector size (512).");
  CHECK(detail_of(3 * kMiB) == "Extent size (3145728) is not a power of two.");
  CHECK(detail_of(4 * kGiB) == "Extent size (4294967296) is more than 2147483648.");
  CHECK(detail_of(kMax - 511) == "Extent size (18446744073709551104) is not a power of two.");
  CreateRequest wanted = request(8 * kGiB);
  wanted.extent_bytes = 2 * kGiB;
  CHECK(planned(wanted).extentsize == 2147483648U);
}

TEST_CASE("sizes and names that break a rule are refused in words") {
  CreateRequest wanted = request(kGiB);
  wanted.media_bytes = kGiB + 512;
  CHECK(refusal(wanted).detail == "Provided mediasize is larger than provider size.");
  wanted = request(kGiB);
  wanted.resource = "";
  CHECK(refusal(wanted).code == Errc::usage);
  wanted.resource = std::string(255, 'r');
  CHECK(refusal(wanted).code == Errc::usage);
  wanted.resource = std::string("a\0b", 3);
  CHECK(refusal(wanted).code == Errc::usage);
  wanted = request(kGiB);
  wanted.keepdirty = std::uint64_t{1} << 32;
  CHECK(refusal(wanted).code == Errc::usage);
}

TEST_CASE("keepdirty may be 1") {
  CreateRequest wanted = request(kGiB);
  wanted.keepdirty = 1;
  CHECK(planned(wanted).keepdirty == 1);
}

TEST_CASE("a map that would need too much memory is refused at create and at use") {
  CreateRequest wanted = request(kTiB);
  wanted.extent_bytes = 4096;
  CHECK(refusal(wanted).detail ==
        "Extent size (4096) is too small for 1099511627776 bytes: at most 134217728 extents are "
        "possible.");
  const Result<Layout> layout = layout_of(with(kGiB, kTiB, 4096), 2 * kTiB, 512);
  REQUIRE_FALSE(layout);
  CHECK(layout.error().code == Errc::too_large);
}

TEST_CASE("a component without room for one sector of data is too small") {
  for (std::uint64_t bytes :
       {std::uint64_t{0}, std::uint64_t{512}, std::uint64_t{4096}, std::uint64_t{4608}}) {
    CHECK(refusal(request(bytes, Format::original)).code == Errc::component_too_small);
  }
  CHECK(planned(request(4608 + 512, Format::original)).datasize == 512);
  CHECK(refusal(request(kMiB)).detail ==
        "1048576 bytes are needed for metadata and map, and there are 1048576");
  CHECK(refusal(request(kMiB + 511)).code == Errc::component_too_small);
  CHECK(planned(request(kMiB + 512)).datasize == 512);
}

TEST_CASE("sector sizes outside 512 to 4096 are refused") {
  for (std::uint32_t sector : {0U, 1U, 256U, 513U, 1536U, 8192U}) {
    CreateRequest wanted = request(kGiB);
    wanted.sector_bytes = sector;
    CHECK(refusal(wanted).code == Errc::component_unsupported);
    const Result<Layout> layout = layout_of(planned(request(kGiB)), kGiB, sector);
    REQUIRE_FALSE(layout);
    CHECK(layout.error().code == Errc::component_unsupported);
  }
}

TEST_CASE("metadata that want more than the component has say so") {
  const Metadata metadata = planned(request(kGiB));
  const Result<Layout> layout = layout_of(metadata, kGiB - 512, 512);
  REQUIRE_FALSE(layout);
  CHECK(layout.error().code == Errc::component_too_small);
  CHECK(layout.error().detail ==
        "its metadata want 1072693248 bytes of data at 1048576, and it has 1073741312");
}

TEST_CASE("numbers that contradict each other are damaged metadata") {
  const auto code_of = [](const Metadata& metadata, std::uint32_t sector) {
    const Result<Layout> layout = layout_of(metadata, kGiB, sector);
    REQUIRE_FALSE(layout);
    return layout.error().code;
  };
  CHECK(code_of(with(4608, 512, 0), 512) == Errc::metadata_damaged);
  CHECK(code_of(with(4608, 512, 3000), 512) == Errc::metadata_damaged);
  CHECK(code_of(with(8192, 4096, 512), 4096) == Errc::metadata_damaged);
  CHECK(code_of(with(4608, 0, 512), 512) == Errc::metadata_damaged);
  CHECK(code_of(with(4608, 513, 512), 512) == Errc::metadata_damaged);
  CHECK(code_of(with(4608, 8192, 4096), 4096) == Errc::metadata_damaged);
  CHECK(code_of(with(4096, 512, 512), 512) == Errc::metadata_damaged);
  CHECK(code_of(with(0, 512, 512), 512) == Errc::metadata_damaged);
  CHECK(code_of(with(4608, kMiB * 512, 512), 512) == Errc::metadata_damaged);  // map: 128 KiB
}

TEST_CASE("numbers that would wrap around are errors, too") {
  CHECK(layout_of(with(4608, kMax - 511, 2097152), kGiB, 512).error().code ==
        Errc::component_too_small);
  CHECK(layout_of(with(kMax - 511, 512, 2097152), kMax, 512).error().code ==
        Errc::component_too_small);
  CHECK(layout_of(with(4608, kMax / 512 * 512 - 8192, 512), kMax, 512).error().code ==
        Errc::too_large);
  CHECK(refusal(request(kMax)).code == Errc::usage);
}

TEST_CASE("the second copy of every layout of ours is among the candidates") {
  for (std::uint64_t component : {2 * kMiB, kGiB, 16 * kTiB, 200 * kTiB}) {
    const Metadata metadata = planned(request(component));
    const auto candidates = second_copy_candidates(component);
    const std::uint64_t second = metadata.offset - kMetadataBytes;
    CHECK(std::count(candidates.begin(), candidates.end(), second) == 1);
    CHECK(candidates.size() <= 17);
    CHECK(std::is_sorted(candidates.begin(), candidates.end()));
  }
}

TEST_CASE("candidates stay within the component") {
  CHECK(second_copy_candidates(0).empty());
  CHECK(second_copy_candidates(kMiB - 1).empty());
  CHECK(second_copy_candidates(kMiB + 5) == std::vector<std::uint64_t>{kMiB - 4096});
}

TEST_CASE("the largest map there can be still has its second copy among the candidates") {
  CreateRequest wanted = request(kMaxExtents * 512);
  wanted.extent_bytes = 512;
  const Metadata metadata = planned(wanted);
  const auto candidates = second_copy_candidates(wanted.component_bytes);
  CHECK(candidates.size() == 17);
  CHECK(candidates.back() == metadata.offset - kMetadataBytes);
}
