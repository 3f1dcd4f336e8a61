#pragma once
/// What a discard of a part of a file answers on this system.

#include <fcntl.h>

#include <cerrno>

namespace hast::adapter::test {

/// FreeBSD has had a call for it, fspacectl(2), since version 14.
#if defined(__FreeBSD__) && !defined(SPACECTL_DEALLOC)
inline constexpr int kFileDiscard = EOPNOTSUPP;
#else
inline constexpr int kFileDiscard = 0;
#endif

}  // namespace hast::adapter::test
