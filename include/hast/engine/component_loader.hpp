// Reads what a core needs from a freshly opened disk: metadata (the better of two copies), layout
// and map. Refuses what is not this resource's component, in words an operator can act on.
#pragma once

#include <string>

#include "hast/base/log.hpp"
#include "hast/core/component.hpp"
#include "hast/port/disk.hpp"
#include "hast/port/net.hpp"

namespace hast::engine {

/// Errors: component_too_small, component_unformatted, component_foreign, metadata_damaged,
/// io_failed. `path` is for messages.
port::Awaitable<Result<core::Component>> load_component(port::Disk* disk, std::string resource,
                                                        std::string path, Log log);

}  // namespace hast::engine
