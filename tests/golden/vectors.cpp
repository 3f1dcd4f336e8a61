#include "golden/vectors.hpp"

#include <algorithm>
#include <boost/json/src.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "hast/base/nv.hpp"
#include "support/catch.hpp"

namespace fs = std::filesystem;
namespace json = boost::json;

namespace hast::golden {
namespace {

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) FAIL("cannot read " << path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::map<std::string, std::vector<std::byte>> read_streams(const fs::path& folder) {
  std::map<std::string, std::vector<std::byte>> streams;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".bin") continue;
    const std::string bytes = read_file(entry.path());
    const ConstByteSpan span = as_bytes(bytes);
    streams[entry.path().stem().string()].assign(span.begin(), span.end());
  }
  return streams;
}

ConstByteSpan part(const std::vector<std::byte>& stream, std::uint64_t offset, std::uint64_t size) {
  REQUIRE(offset <= stream.size());
  REQUIRE(size <= stream.size() - offset);
  return ConstByteSpan(stream).subspan(offset, size);
}

Message read_message(const Scenario& scenario, const json::object& entry) {
  Message message;
  message.connection = static_cast<int>(entry.at("conn").as_int64());
  const std::string direction(entry.at("dir").as_string());
  message.from_primary = direction == "c2s";
  message.offset = entry.at("offset").to_number<std::size_t>();
  const std::string name = "conn" + std::to_string(message.connection) + "." + direction;
  message.where = scenario.name + " " + name + " @" + std::to_string(message.offset);
  const std::vector<std::byte>& stream = scenario.streams.at(name);
  const auto nv_size = entry.at("main_header").at("nv_size").to_number<std::uint64_t>();
  message.header = part(stream, message.offset, 5);
  message.nv = part(stream, message.offset + 5, nv_size);
  if (const json::value* data = entry.if_contains("data"))
    message.payload = part(stream, data->at("offset").to_number<std::uint64_t>(),
                           data->at("bytes").to_number<std::uint64_t>());
  message.elements = entry.at("nv").as_array();
  message.fields = entry.at("fields").as_object();
  return message;
}

Scenario read_scenario(const fs::path& folder, Kind kind) {
  Scenario scenario;
  scenario.kind = kind;
  scenario.name = folder.filename().string();
  scenario.streams = read_streams(folder);
  const json::object index = json::parse(read_file(folder / "index.json")).as_object();
  if (const json::value* params = index.if_contains("params"))
    scenario.params = params->as_object();
  for (const json::value& entry : index.at("messages").as_array())
    scenario.messages.push_back(read_message(scenario, entry.as_object()));
  return scenario;
}

void read_root(const fs::path& root, std::vector<Scenario>& into) {
  for (const auto& [name, kind] :
       {std::pair("wire", Kind::wire), std::pair("probe", Kind::probe)}) {
    if (!fs::is_directory(root / name)) continue;
    for (const auto& entry : fs::directory_iterator(root / name))
      if (fs::exists(entry.path() / "index.json"))
        into.push_back(read_scenario(entry.path(), kind));
  }
}

}  // namespace

std::string Message::text(const char* field) const {
  return std::string(fields.at(field).as_string());
}

std::uint64_t Message::number(const char* field) const {
  const json::value* value = fields.if_contains(field);
  return value == nullptr ? 0 : value->to_number<std::uint64_t>();
}

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all = [] {
    std::vector<Scenario> found;
    read_root(HAST_GOLDEN_DIR, found);
    const std::size_t ours = found.size();
    if (const char* more = std::getenv("HAST_VECTORS")) read_root(more, found);
    for (std::size_t i = ours; i < found.size(); ++i) found[i].ours = false;
    return found;
  }();
  return all;
}

std::vector<std::byte> masked(ConstByteSpan nv) {
  std::vector<std::byte> copy(nv.begin(), nv.end());
  const auto list = NvReader::parse(nv);
  REQUIRE(list);
  for (const NvElement& element : list->elements()) {
    const auto offset_of = [&](const void* place) {
      return static_cast<const std::byte*>(place) - nv.data();
    };
    std::fill(copy.begin() + offset_of(element.name.data() + element.name.size()),
              copy.begin() + offset_of(element.data.data()), std::byte{0});
  }
  return copy;
}

}  // namespace hast::golden
