// Private to the adapters of kernel devices: /dev/hast/NAME, a link to the device of that resource.
#pragma once

#include <string_view>

#include "hast/base/result.hpp"

namespace hast::adapter {

/// Whatever had the name before has it no more. `device` is its name in /dev.
Result<void> link_device(std::string_view name, std::string_view device);
/// Only if it stands for that device.
void unlink_device(std::string_view name, std::string_view device);

}  // namespace hast::adapter
