// What the engine needs to know of a resource: the part of the configuration that is not the
// front-end's. A plain value; app fills it from hast.yaml.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "hast/base/address.hpp"
#include "hast/base/types.hpp"

namespace hast::engine {

struct ResourceSettings {
  std::string name;
  std::string local;
  std::optional<Address> remote;  // none: there is no peer yet
  std::optional<Address> source;
  Replication replication = Replication::memsync;
  Checksum checksum = Checksum::none;
  Compression compression = Compression::hole;
  std::chrono::seconds timeout{20};
  bool metaflush = true;
  std::string exec;  // hook, empty: none

  bool operator==(const ResourceSettings&) const = default;
};

}  // namespace hast::engine
