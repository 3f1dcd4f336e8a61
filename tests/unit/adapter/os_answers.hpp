#pragma once
/// What the system answers where systems differ.

#include <fcntl.h>

#include <cerrno>

namespace hast::adapter::test {

/// To a discard of a part of a file: FreeBSD has had a call for it, fspacectl(2), since version 14.
#if defined(__FreeBSD__) && !defined(SPACECTL_DEALLOC)
inline constexpr int kFileDiscard = EOPNOTSUPP;
#else
inline constexpr int kFileDiscard = 0;
#endif

/// To a write to a component that was opened for reading: Capsicum answers first.
#ifdef __FreeBSD__
inline constexpr int kReadOnlyWrite = ENOTCAPABLE;
#else
inline constexpr int kReadOnlyWrite = EBADF;
#endif

}  // namespace hast::adapter::test
