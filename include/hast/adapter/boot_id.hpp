// Whether this machine was started anew since somebody asked: what it had not flushed is lost then.
#pragma once

#include <cstdint>

namespace hast::adapter {

/// Differs after every start of the machine, not of hastd. 0: the kernel does not tell.
std::uint64_t boot_id();

}  // namespace hast::adapter
