#include <sys/types.h>
// Behind sys/types.h.
#include <sys/sysctl.h>
#include <sys/time.h>

#include <cstddef>

#include "hast/adapter/boot_id.hpp"

namespace hast::adapter {

// The time of the start. It moves with a clock that is set, not with one that is slewed: then a
// restart is seen that was none, which costs one flush (INV-12).
std::uint64_t boot_id() {
  timeval started{};
  std::size_t size = sizeof started;
  if (::sysctlbyname("kern.boottime", &started, &size, nullptr, 0) != 0) return 0;
  return static_cast<std::uint64_t>(started.tv_sec);
}

}  // namespace hast::adapter
