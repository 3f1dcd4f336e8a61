// Configuration text from anyone: a Config or an error with a place, never anything else (INV-9).
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hast/config/diff.hpp"
#include "hast/config/parse.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool begins_with_place(std::string_view detail) {
  return detail.starts_with("f:") && detail.size() > 4 && detail[2] >= '0' && detail[2] <= '9';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hast::config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const NodeIdentity node{"nodea", {}, {}, {}};
  const hast::Result<Config> config = parse_config(text, "f", node);
  if (!config) {
    require(begins_with_place(config.error().detail));
    return 0;
  }
  require(config->resources.size() <= kMaxResources);
  require(!config->listen.empty() && config->threads >= 1 && config->threads <= kMaxThreads);
  for (const ResourceConfig& resource : config->resources) {
    require(!resource.name.empty() && resource.name.size() <= kMaxNameBytes);
    require(!resource.local.empty() && resource.timeout_s >= 1);
    require(config->find(resource.name) == &resource);
    require((resource.frontend.type == FrontendType::nbd) == resource.frontend.listen.has_value());
  }
  require(diff(*config, *parse_config(text, "f", node)).empty());
  for (const Change& change : diff(*config, Config{})) require(!to_string(change).empty());
  return 0;
}
