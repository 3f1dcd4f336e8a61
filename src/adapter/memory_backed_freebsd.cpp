#include <sys/mount.h>
#include <sys/param.h>

#include <string_view>

#include "memory_backed.hpp"

namespace hast::adapter {

bool is_memory_backed(int fd) {
  struct statfs status {};
  return ::fstatfs(fd, &status) == 0 && std::string_view(status.f_fstypename) == "tmpfs";
}

}  // namespace hast::adapter
