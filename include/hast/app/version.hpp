// The version of hast, as hastd --version and the control socket say it.
#pragma once

namespace hast::app {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace hast::app
