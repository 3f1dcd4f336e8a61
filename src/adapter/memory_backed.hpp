// Private to the disks: whether a file's bytes are in memory and nowhere else, so that no call on
// it ever waits for a device. One definition a platform.
#pragma once

namespace hast::adapter {

bool is_memory_backed(int fd);

}  // namespace hast::adapter
