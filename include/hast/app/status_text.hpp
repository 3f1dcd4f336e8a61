// From what a resource knows of itself to what the control socket says of it.
#pragma once

#include "hast/config/config.hpp"
#include "hast/control/status.hpp"
#include "hast/engine/resource.hpp"

namespace hast::app {

control::ResourceStatus control_status(const config::ResourceConfig& config,
                                       const engine::ResourceStatus& status, std::int64_t pid);

}  // namespace hast::app
