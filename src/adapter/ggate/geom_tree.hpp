// What kern.geom.confxml tells of a gate device.
#pragma once

#include <string_view>

namespace hast::adapter::ggate {

/// The gate device of that name holds a provider open that it reads from, or still waits for such a
/// read.
bool reads_component(std::string_view tree, std::string_view name);

}  // namespace hast::adapter::ggate
