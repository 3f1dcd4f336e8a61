#include "hast/ondisk/metadata.hpp"

#include <array>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "hast/base/nv.hpp"
#include "hast/base/units.hpp"
#include "hast/ondisk/layout.hpp"
#include "support/catch.hpp"

using namespace hast;
using namespace hast::ondisk;

namespace {

using Block = std::array<std::byte, kMetadataBytes>;

Metadata example() {
  Metadata metadata;
  metadata.resource = "shared";
  metadata.datasize = 1073737216;
  metadata.extentsize = 2097152;
  metadata.keepdirty = 64;
  metadata.offset = 4608;
  return metadata;
}

Metadata busy_example() {
  Metadata metadata = example();
  metadata.offset = 1048576;
  metadata.datasize = 1072693248;
  metadata.resuid = 0xfedcba9876543210;
  metadata.localcnt = 7;
  metadata.remotecnt = std::numeric_limits<std::uint64_t>::max();
  metadata.prevrole = Role::secondary;
  metadata.sequence = 41;
  metadata.inconsistent = true;
  return metadata;
}

Block encoded(const Metadata& metadata, Format format) {
  Block block;
  block.fill(std::byte{0xee});
  REQUIRE(encode(metadata, format, block));
  return block;
}

Errc error_of(const Block& block) {
  const Result<Metadata> decoded = decode(block);
  REQUIRE_FALSE(decoded);
  return decoded.error().code;
}

// A block as some other program may write it: the fields `change` makes of the original's nine.
template <class F>
Block written_by(F change) {
  Block block{};
  NvWriter out(block);
  change(out);
  REQUIRE_FALSE(out.failed());
  return block;
}

// `before` with those 512-byte sectors of `after` whose bit is set in `arrived`.
Block torn_block(const Block& before, const Block& after, unsigned arrived) {
  Block torn = before;
  for (std::size_t at = 0; at < torn.size(); ++at)
    if ((arrived >> (at / 512) & 1) != 0) torn[at] = after[at];
  return torn;
}

std::vector<std::byte> bytes_of(std::string_view hex) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); ++i) {
    if (hex[i] == ' ' || hex[i] == '\n') continue;
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
    ++i;
  }
  return bytes;
}

// Written from the definition, so that it checks what the library under test computes.
std::uint32_t crc32_of(ConstByteSpan bytes) {
  std::uint32_t crc = 0xffffffff;
  for (std::byte b : bytes) {
    crc ^= std::to_integer<std::uint32_t>(b);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
  }
  return ~crc;
}

std::size_t checksum_place(const Block& block) {
  const Result<NvReader> nv = NvReader::parse(block);
  REQUIRE(nv);
  return static_cast<std::size_t>(nv->find("hast_checksum")->data.data() - block.data());
}

// The block that docs/on-disk.md shows behind the mark `golden: NAME`.
std::vector<std::byte> documented_block(const std::string& name) {
  std::ifstream file(HAST_SOURCE_DIR "/docs/on-disk.md");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const std::size_t mark = text.find("<!-- golden: " + name + " -->\n```\n");
  REQUIRE(mark != std::string::npos);
  const std::size_t begin = text.find("```\n", mark) + 4;
  return bytes_of(std::string_view(text).substr(begin, text.find("```", begin) - begin));
}

// `hastctl create` of the original for "shared" on 1 GiB with 512-byte sectors and defaults.
constexpr std::string_view kGolden = R"(
11 09 07 00 00 00 72 65 73 6f 75 72 63 65 00 00 00 00 00 00 00 00 73 68 61 72 65 64 00 00
08 09 08 00 00 00 64 61 74 61 73 69 7a 65 00 00 00 00 00 00 00 00 00 ee ff 3f 00 00 00 00
06 0b 04 00 00 00 65 78 74 65 6e 74 73 69 7a 65 00 00 00 00 00 00 00 00 20 00 00 00 00 00
06 0a 04 00 00 00 6b 65 65 70 64 69 72 74 79 00 00 00 00 00 00 00 40 00 00 00 00 00 00 00
08 07 08 00 00 00 6f 66 66 73 65 74 00 00 00 12 00 00 00 00 00 00
08 07 08 00 00 00 72 65 73 75 69 64 00 00 00 00 00 00 00 00 00 00
08 09 08 00 00 00 6c 6f 63 61 6c 63 6e 74 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
08 0a 08 00 00 00 72 65 6d 6f 74 65 63 6e 74 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
11 09 05 00 00 00 70 72 65 76 72 6f 6c 65 00 00 00 00 00 00 00 00 69 6e 69 74 00 00 00 00
)";

}  // namespace

TEST_CASE("the original's format is written byte for byte, with zeros behind it") {
  const std::vector<std::byte> golden = bytes_of(kGolden);
  REQUIRE(golden.size() == 254);
  const Block block = encoded(example(), Format::original);
  CHECK(std::equal(golden.begin(), golden.end(), block.begin()));
  for (std::size_t i = golden.size(); i < block.size(); ++i) REQUIRE(block[i] == std::byte{0});
  CHECK(*decode(block) == example());
}

TEST_CASE("docs/on-disk.md shows the blocks as create writes them") {
  for (const Format format : {Format::original, Format::extended}) {
    CreateRequest request;
    request.resource = "shared";
    request.component_bytes = kGiB;
    request.format = format;
    const bool extended = format == Format::extended;
    std::vector<std::byte> shown = documented_block(extended ? "extended" : "original");
    CHECK(shown.size() == (extended ? 522 : 254));
    shown.resize(kMetadataBytes);
    const Block block = encoded(*plan_create(request), format);
    CHECK(std::equal(shown.begin(), shown.end(), block.begin(), block.end()));
  }
}

TEST_CASE("our fields follow the original's nine, which stay where they are") {
  const Block original = encoded(busy_example(), Format::original);
  const Block extended = encoded(busy_example(), Format::extended);
  const Result<NvReader> nv = NvReader::parse(extended);
  REQUIRE(nv);
  REQUIRE(nv->elements().size() == 15);
  CHECK(nv->elements()[9].name == "hast_sequence");
  CHECK(nv->elements()[10].name == "hast_inconsistent");
  CHECK(nv->elements()[14].name == "hast_checksum");
  const auto ours = nv->elements()[8].data.data() - extended.data() + 16;  // behind "secondary"
  CHECK(std::equal(extended.begin(), extended.begin() + ours, original.begin()));
}

TEST_CASE("both formats give back what was encoded, the original's without our fields") {
  CHECK(*decode(encoded(busy_example(), Format::extended)) == busy_example());
  Metadata expected = busy_example();
  expected.sequence = 0;
  expected.inconsistent = false;
  CHECK(*decode(encoded(busy_example(), Format::original)) == expected);
}

TEST_CASE("the longest resource name fits, a longer one is an error") {
  Metadata metadata = busy_example();
  metadata.resource = std::string(kMaxResourceName, 'x');
  CHECK(*decode(encoded(metadata, Format::extended)) == metadata);
  metadata.resource = std::string(5000, 'x');
  Block block;
  const Result<void> result = encode(metadata, Format::extended, block);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::too_large);
}

TEST_CASE("INV-10: no single flipped bit of an extended block goes unnoticed") {
  Block block = encoded(busy_example(), Format::extended);
  for (std::size_t bit = 0; bit < block.size() * 8; ++bit) {
    const std::byte mask{static_cast<unsigned char>(1U << (bit % 8))};
    block[bit / 8] ^= mask;
    if (decode(block)) FAIL("bit " << bit << " was flipped unnoticed");
    block[bit / 8] ^= mask;
  }
  CHECK(decode(block));
}

TEST_CASE("INV-10: a torn write is noticed, or shows the old block or the new one") {
  for (const Format older_format : {Format::original, Format::extended}) {
    for (std::size_t length = 1; length <= kMaxResourceName; ++length) {
      Metadata older = busy_example();
      older.resource = std::string(length, 'n');  // a long one puts the fields into two sectors
      older.inconsistent = false;
      older.prevrole = Role::primary;
      if (older_format == Format::original) older.sequence = 0;
      Metadata newer = older;
      newer.sequence = older.sequence + 1;
      newer.inconsistent = true;
      ++newer.localcnt;
      const Block before = encoded(older, older_format);
      const Block after = encoded(newer, Format::extended);
      for (unsigned arrived = 0; arrived < 8; ++arrived) {  // which of the first sectors are new
        const Result<Metadata> decoded = decode(torn_block(before, after, arrived));
        const bool whole = decoded && (*decoded == older || *decoded == newer);
        REQUIRE((whole || !decoded));
      }
    }
  }
}

TEST_CASE("a component that never held metadata is unformatted, not damaged") {
  CHECK(error_of(Block{}) == Errc::component_unformatted);
  Block block;
  block.fill(std::byte{0xff});
  CHECK(error_of(block) == Errc::component_unformatted);
  std::mt19937_64 random(3);
  for (std::byte& b : block) b = static_cast<std::byte>(random());
  CHECK(error_of(block) == Errc::component_unformatted);
  CHECK(error_of(written_by([](NvWriter& out) { out.u64("hello", 1); })) ==
        Errc::component_unformatted);
  CHECK(decode(ConstByteSpan(block).first(512)).error().code == Errc::component_unformatted);
}

TEST_CASE("metadata that lost their beginning or their end are damaged") {
  Block block = encoded(busy_example(), Format::extended);
  block[0] = std::byte{0};
  CHECK(error_of(block) == Errc::metadata_damaged);
  block = encoded(busy_example(), Format::extended);
  std::fill(block.begin() + 100, block.end(), std::byte{0});
  CHECK(error_of(block) == Errc::metadata_damaged);
  block = encoded(example(), Format::original);
  block[2] = std::byte{0xff};  // the length of the resource name
  block[5] = std::byte{0xff};
  CHECK(error_of(block) == Errc::metadata_damaged);
}

TEST_CASE("a field that is missing or has another type is named") {
  const Block missing = written_by([](NvWriter& out) {
    out.string("resource", "r0");
    out.u64("datasize", 4096);
  });
  CHECK(error_of(missing) == Errc::metadata_damaged);
  CHECK(decode(missing).error().detail == "extentsize: a required field is absent");
  const Block wrong = written_by([](NvWriter& out) { out.u32("resource", 1); });
  CHECK(decode(wrong).error().detail == "resource: a field has the wrong type");
}

TEST_CASE("our fields without a checksum are damaged metadata") {
  const Block block = written_by([](NvWriter& out) {
    out.string("resource", "r0");
    out.u64("hast_sequence", 9);
  });
  CHECK(decode(block).error().detail == "the checksum is absent");
}

TEST_CASE("values that no HAST writes are damaged metadata, with the value in words") {
  const auto detail_of = [](auto change) {
    Metadata metadata = example();
    change(metadata);
    const Result<Metadata> decoded = decode(encoded(metadata, Format::original));
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error().code == Errc::metadata_damaged);
    return decoded.error().detail;
  };
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  CHECK(detail_of([](Metadata& m) { m.extentsize = 0; }) == "extentsize 0 is no extent size");
  CHECK(detail_of([](Metadata& m) { m.extentsize = 3145728; }) ==
        "extentsize 3145728 is no extent size");
  CHECK(detail_of([](Metadata& m) { m.extentsize = 256; }) == "extentsize 256 is no extent size");
  CHECK(detail_of([](Metadata& m) { m.keepdirty = 0; }) == "keepdirty is 0");
  CHECK(detail_of([](Metadata& m) { m.datasize = 0; }) == "datasize is 0");
  CHECK(detail_of([](Metadata& m) { m.offset = 4096; }) == "offset 4096 is no place for data");
  CHECK(detail_of([](Metadata& m) { m.offset = 4609; }) == "offset 4609 is no place for data");
  CHECK(detail_of([](Metadata& m) { m.datasize = kMax; }) ==
        "offset and datasize exceed what a device can have");
  CHECK(detail_of([](Metadata& m) { m.resource = ""; }) ==
        "the resource name has an impossible length");
  CHECK(detail_of([](Metadata& m) { m.resource = std::string(255, 'a'); }) ==
        "the resource name has an impossible length");
}

TEST_CASE("an unknown word as previous role is no reason to refuse a component") {
  Block block = encoded(example(), Format::original);
  block[246] = std::byte{'X'};  // "init" becomes "Xnit"
  REQUIRE(decode(block));
  CHECK(decode(block)->prevrole == Role::init);
}

TEST_CASE("the checksum is zlib's CRC-32 of the block, its own four bytes counted as zero") {
  Block block = encoded(busy_example(), Format::extended);
  const std::size_t sum_at = checksum_place(block);
  const auto stored = load_le<std::uint32_t>(&block[sum_at]);
  store_le<std::uint32_t>(&block[sum_at], 0);
  CHECK(stored == crc32_of(block));
  CHECK(crc32_of(as_bytes("123456789")) == 0xcbf43926);
}

TEST_CASE("fields of a later version are ignored as long as the checksum is right") {
  const Block plain = encoded(busy_example(), Format::extended);
  Block block{};
  NvWriter out(block);
  out.string("hast_of_tomorrow", "whatever");
  std::copy_n(plain.begin(), kMetadataBytes - out.size(),
              block.begin() + static_cast<std::ptrdiff_t>(out.size()));
  CHECK(decode(block).error().detail == "the checksum does not match");
  const std::size_t sum_at = checksum_place(block);
  store_le<std::uint32_t>(&block[sum_at], 0);
  store_le(&block[sum_at], crc32_of(block));
  REQUIRE(decode(block));
  CHECK(*decode(block) == busy_example());
}

TEST_CASE(
    "INV-10: of two good copies the newer is believed, of one good and one bad the good one") {
  Metadata older = busy_example();
  Metadata newer = busy_example();
  newer.sequence = older.sequence + 1;
  newer.localcnt = 8;
  const Result<Metadata> unreadable = Errc::io_failed;
  CHECK(*choose(older, newer) == newer);
  CHECK(*choose(newer, older) == newer);
  CHECK(*choose(older, unreadable) == older);
  CHECK(*choose(unreadable, newer) == newer);
}

TEST_CASE("without a readable copy the first one's error is told") {
  const Result<Metadata> first = Error{Errc::metadata_damaged, 0, "one"};
  const Result<Metadata> second = Error{Errc::component_unformatted, 0, "two"};
  CHECK(choose(first, second).error().detail == "one");
}

TEST_CASE("a first copy that an original wrote wins, and our next write is newer than both") {
  Metadata by_original = busy_example();
  by_original.sequence = 0;
  by_original.inconsistent = false;
  by_original.localcnt = 9;
  Metadata stale = busy_example();
  stale.inconsistent = false;
  const Result<Metadata> chosen = choose(by_original, stale);
  REQUIRE(chosen);
  CHECK(chosen->localcnt == 9);
  CHECK(chosen->sequence == stale.sequence);
}

TEST_CASE("INV-5: an original that drops the inconsistent mark does not make the data whole") {
  Metadata by_original = busy_example();
  by_original.sequence = 0;
  by_original.inconsistent = false;
  CHECK(choose(by_original, busy_example())->inconsistent);
}

TEST_CASE("a second copy left over from another life of the component is ignored") {
  const Metadata first = busy_example();
  const auto chosen_over = [&](auto change) {
    Metadata second = busy_example();
    second.sequence = first.sequence + 100;
    change(second);
    return *choose(first, second) == first;
  };
  CHECK(chosen_over([](Metadata& m) { m.resource = "other"; }));
  CHECK(chosen_over([](Metadata& m) { m.datasize -= 512; }));
  CHECK(chosen_over([](Metadata& m) { m.extentsize *= 2; }));
  CHECK(chosen_over([](Metadata& m) { m.offset += 1048576; }));
  CHECK_FALSE(chosen_over([](Metadata&) {}));
}
