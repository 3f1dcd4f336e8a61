// Components that the original HAST wrote (tests/golden/ondisk, and $HAST_VECTORS/ondisk if set)
// decode to what was recorded of them, and we would have written the same bytes.
#include <boost/json.hpp>
#include <boost/json/src.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "hast/base/bitmap.hpp"
#include "hast/base/units.hpp"
#include "hast/ondisk/layout.hpp"
#include "hast/ondisk/metadata.hpp"
#include "support/catch.hpp"

namespace fs = std::filesystem;
namespace json = boost::json;
using namespace hast;
using namespace hast::ondisk;

namespace {

constexpr std::uint32_t kSector = 512;  // the components were regular files

struct Vector {
  std::string name;
  std::vector<std::byte> bytes;  // the first of the component
  json::object facts;
};

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) FAIL("cannot read " << path);
  return {std::istreambuf_iterator<char>(in), {}};
}

Vector read_vector(const fs::path& bin) {
  const std::string bytes = read_file(bin);
  const ConstByteSpan span = as_bytes(bytes);
  fs::path facts = bin;
  facts.replace_extension(".json");
  return {
      bin.stem().string(), {span.begin(), span.end()}, json::parse(read_file(facts)).as_object()};
}

std::vector<Vector> read_folder(const fs::path& folder) {
  std::vector<Vector> vectors;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".bin") vectors.push_back(read_vector(entry.path()));
  return vectors;
}

const std::vector<Vector>& all_vectors() {
  static const std::vector<Vector> vectors = [] {
    std::vector<Vector> found = read_folder(fs::path(HAST_GOLDEN_DIR) / "ondisk");
    const char* more = std::getenv("HAST_VECTORS");
    if (more != nullptr && fs::is_directory(fs::path(more) / "ondisk"))
      for (Vector& v : read_folder(fs::path(more) / "ondisk")) found.push_back(std::move(v));
    return found;
  }();
  return vectors;
}

std::uint64_t number(const json::value& value) { return value.to_number<std::uint64_t>(); }

ConstByteSpan block_of(const Vector& v) {
  REQUIRE(v.bytes.size() > kMetadataBytes);
  return ConstByteSpan(v.bytes).first(kMetadataBytes);
}

Metadata decoded(const Vector& v) {
  const Result<Metadata> metadata = decode(block_of(v));
  if (!metadata) FAIL(v.name << ": " << metadata.error().message());
  return *metadata;
}

Layout layout_in(const Vector& v) {
  const Result<Layout> layout =
      layout_of(decoded(v), number(v.facts.at("provider_bytes")), kSector);
  if (!layout) FAIL(v.name << ": " << layout.error().message());
  return *layout;
}

const json::value& field(const Vector& v, std::string_view name) {
  for (const json::value& element : v.facts.at("metadata_nv").as_array())
    if (element.at("name").as_string() == name) return element.at("value");
  FAIL(v.name << " has no field " << name);
  std::abort();
}

// The padding behind names holds whatever the original's memory held.
std::vector<std::byte> without_name_padding(const Vector& v, ConstByteSpan block) {
  std::vector<std::byte> masked(block.begin(), block.end());
  for (const json::value& element : v.facts.at("metadata_nv").as_array()) {
    const std::uint64_t name_end =
        number(element.at("offset")) + 6 + number(element.at("name_size"));
    for (std::uint64_t at = name_end; at < number(element.at("data_offset")); ++at)
      masked.at(at) = std::byte{0};
  }
  return masked;
}

std::string dump_of(const Metadata& m) {
  const auto sized = [](std::uint64_t n) {
    return std::to_string(n) + " (" + humanize_bytes(n) + ")";
  };
  return "resource: " + m.resource + "\n    datasize: " + sized(m.datasize) +
         "\n    extentsize: " + sized(m.extentsize) +
         "\n    keepdirty: " + std::to_string(m.keepdirty) +
         "\n    localoff: " + std::to_string(m.offset) +
         "\n    resuid: " + std::to_string(m.resuid) +
         "\n    localcnt: " + std::to_string(m.localcnt) +
         "\n    remotecnt: " + std::to_string(m.remotecnt) +
         "\n    prevrole: " + std::string(to_string(m.prevrole)) + "\n";
}

CreateRequest request_of(const Vector& v) {
  const json::object& params = v.facts.at("params").as_object();
  CreateRequest request;
  request.resource = std::string(field(v, "resource").as_string());
  request.component_bytes = number(params.at("provider_bytes"));
  request.sector_bytes = kSector;
  request.format = Format::original;
  const json::array& args = params.at("hastctl_create_args").as_array();
  for (std::size_t i = 0; i + 1 < args.size(); i += 2) {
    const auto size = parse_size(std::string_view(args[i + 1].as_string()));
    REQUIRE(size);
    if (args[i].as_string() == "-e") request.extent_bytes = *size;
    if (args[i].as_string() == "-k") request.keepdirty = *size;
    if (args[i].as_string() == "-m") request.media_bytes = *size;
  }
  return request;
}

}  // namespace

TEST_CASE("the golden folder holds the components it should") {
  CHECK(read_folder(fs::path(HAST_GOLDEN_DIR) / "ondisk").size() == 48);
}

TEST_CASE("an original's metadata decode to what was recorded") {
  for (const Vector& v : all_vectors()) {
    INFO(v.name);
    const Metadata m = decoded(v);
    CHECK(m.resource == std::string_view(field(v, "resource").as_string()));
    CHECK(m.datasize == number(field(v, "datasize")));
    CHECK(m.extentsize == number(field(v, "extentsize")));
    CHECK(m.keepdirty == number(field(v, "keepdirty")));
    CHECK(m.offset == number(field(v, "offset")));
    CHECK(m.resuid == number(field(v, "resuid")));
    CHECK(m.localcnt == number(field(v, "localcnt")));
    CHECK(m.remotecnt == number(field(v, "remotecnt")));
    CHECK(to_string(m.prevrole) == std::string_view(field(v, "prevrole").as_string()));
    CHECK(m.sequence == 0);
    CHECK_FALSE(m.inconsistent);
    CHECK(dump_of(m) == std::string_view(v.facts.at("hastctl_dump").as_string()));
  }
}

TEST_CASE("we write an original's metadata as the original did, but for its garbage") {
  for (const Vector& v : all_vectors()) {
    INFO(v.name);
    std::vector<std::byte> block(kMetadataBytes);
    REQUIRE(encode(decoded(v), Format::original, block));
    CHECK(block == without_name_padding(v, block_of(v)));
  }
}

TEST_CASE("an original's component is laid out as recorded") {
  for (const Vector& v : all_vectors()) {
    INFO(v.name);
    const Layout layout = layout_in(v);
    const json::object& recorded = v.facts.at("layout").as_object();
    CHECK(number(recorded.at("activemap").at(0)) == kMapOffset);
    CHECK(number(recorded.at("activemap").at(1)) == kMapOffset + layout.map_bytes);
    CHECK(number(recorded.at("data_starts_at")) == layout.data_offset);
    const json::object& map = v.facts.at("activemap").as_object();
    CHECK(number(map.at("extents")) == layout.extents);
    CHECK(number(map.at("ondisk_bytes")) == layout.map_bytes);
    CHECK(layout.image_bytes <= layout.map_bytes);
    CHECK_FALSE(layout.second_copy);
  }
}

TEST_CASE("an original's activemap has the bits that were recorded, and exports to its bytes") {
  for (const Vector& v : all_vectors()) {
    INFO(v.name);
    const Layout layout = layout_in(v);
    const ConstByteSpan area = ConstByteSpan(v.bytes).subspan(kMapOffset, layout.map_bytes);
    Bitmap map(layout.extents);
    map.import_bytes(area);
    std::vector<std::uint64_t> bits;
    for (auto at = map.find_next(0); at != Bitmap::npos; at = map.find_next(at + 1))
      bits.push_back(at);
    std::vector<std::uint64_t> recorded;
    for (const json::value& bit : v.facts.at("activemap").at("set_bits").as_array())
      recorded.push_back(number(bit));
    CHECK(bits == recorded);
    std::vector<std::byte> image(area.size());
    map.export_bytes(0, image);
    CHECK(std::equal(image.begin(), image.end(), area.begin()));
  }
}

TEST_CASE("create with the same parameters plans what the original planned") {
  for (const Vector& v : all_vectors()) {
    INFO(v.name);
    const Result<Metadata> planned = plan_create(request_of(v));
    REQUIRE(planned);
    Metadata expected = decoded(v);
    expected.resuid = expected.localcnt = expected.remotecnt = 0;  // what life added
    expected.prevrole = Role::init;
    CHECK(*planned == expected);
  }
}

TEST_CASE("a freshly created component equals the original's from its first byte to the data") {
  int compared = 0;
  for (const Vector& v : all_vectors()) {
    if (v.name.rfind("create-", 0) != 0) continue;
    INFO(v.name);
    const Result<Metadata> planned = plan_create(request_of(v));
    REQUIRE(planned);
    std::vector<std::byte> front(planned->offset);
    REQUIRE(encode(*planned, Format::original, ByteSpan(front).first(kMetadataBytes)));
    const std::vector<std::byte> theirs =
        without_name_padding(v, ConstByteSpan(v.bytes).first(planned->offset));
    CHECK(front == theirs);
    ++compared;
  }
  CHECK(compared >= 7);
}
