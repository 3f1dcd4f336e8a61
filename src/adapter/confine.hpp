// Capsicum for single descriptors (docs/decisions, confinement): one that is confined can do for
// whoever gets hold of it only what hastd does with it. Best effort: a kernel without it, and
// Linux, go on without. Before the descriptor is shared with other threads.
#pragma once

#include <span>

namespace hast::adapter {

/// Reads, writes and flushes at offsets, and these ioctls. `writable` descriptors may be written.
enum class Writing : bool { refused, allowed };
void confine_component(int fd, Writing writing);

/// Only these ioctls.
void confine_to_ioctls(int fd, std::span<const unsigned long> commands);

}  // namespace hast::adapter
