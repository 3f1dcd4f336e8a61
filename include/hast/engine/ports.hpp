// The outside world as a resource gets it: real adapters or simulated ones, the only switch there
// is.
#pragma once

#include "hast/port/clock.hpp"
#include "hast/port/disk.hpp"
#include "hast/port/hook.hpp"
#include "hast/port/net.hpp"
#include "hast/port/random.hpp"

namespace hast::engine {

struct Ports {
  port::Net& net;
  port::Clock& clock;
  port::Random& random;
  port::DiskOpener& disks;
  port::HookRunner& hooks;
  std::uint64_t boot = 0;  // differs after every start of this machine; 0: unknown
};

}  // namespace hast::engine
