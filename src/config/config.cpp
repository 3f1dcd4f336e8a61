#include "hast/config/config.hpp"

namespace hast::config {

std::string_view to_string(FrontendType type) {
  switch (type) {
    case FrontendType::nbd:
      return "nbd";
    case FrontendType::ggate:
      return "ggate";
    case FrontendType::nbd_device:
      return "nbd-device";
    case FrontendType::ublk:
      return "ublk";
  }
  return "";
}

std::optional<FrontendType> parse_frontend_type(std::string_view word) {
  for (const FrontendType type :
       {FrontendType::nbd, FrontendType::ggate, FrontendType::nbd_device, FrontendType::ublk})
    if (word == to_string(type)) return type;
  return std::nullopt;
}

std::string remote_text(const ResourceConfig& resource) {
  return resource.remote ? resource.remote->text : "none";
}

const ResourceConfig* Config::find(std::string_view name) const {
  for (const ResourceConfig& resource : resources)
    if (resource.name == name) return &resource;
  return nullptr;
}

}  // namespace hast::config
