#include <linux/magic.h>
#include <sys/vfs.h>

#include "memory_backed.hpp"

namespace hast::adapter {

bool is_memory_backed(int fd) {
  struct statfs status {};
  // A block device's node lies on devtmpfs, which says TMPFS_MAGIC, too: the caller asks for files.
  return ::fstatfs(fd, &status) == 0 &&
         (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

}  // namespace hast::adapter
