// What kern.geom.confxml tells of a gate device.
#pragma once

#include <optional>
#include <string_view>

namespace hast::adapter::ggate {

/// Its number; nullopt: there is no such gate device.
std::optional<int> unit_of(std::string_view tree, std::string_view name);

/// The gate device of that name holds a provider open that it reads from, or still waits for such a
/// read.
bool reads_component(std::string_view tree, std::string_view name);

}  // namespace hast::adapter::ggate
