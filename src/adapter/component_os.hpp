// What component.cpp needs of a platform, one function a kernel service: component_linux.cpp and
// component_freebsd.cpp. Results are errno, 0 for success; EOPNOTSUPP (or ENOTTY, ENOSYS) means
// that this descriptor will never support the call.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "hast/adapter/component.hpp"

namespace hast::adapter::os {

/// nullopt: hast cannot use this type of file.
std::optional<ComponentKind> component_kind(mode_t mode);

/// Flags for open(2) beyond access mode and O_CLOEXEC.
int open_flags(ComponentKind kind, const ComponentOptions& options);

/// Takes a file past the page cache, if the file system can do that at any multiple of 512 bytes.
/// False: it stays as it is.
bool make_direct(int fd);

/// Whether open(2) failed with that because somebody else uses it.
bool is_held(ComponentKind kind, int open_error);

/// component_unsupported if the device is no disk, io_failed if it does not tell.
Result<port::DiskGeometry> device_geometry(int fd);

int discard(int fd, ComponentKind kind, DeviceDelete trust, std::uint64_t offset_bytes,
            std::uint64_t length_bytes);
int write_zeroes(int fd, ComponentKind kind, std::uint64_t offset_bytes,
                 std::uint64_t length_bytes);
int flush(int fd, ComponentKind kind);
/// As pwrite(2), on stable storage when it returns. EOPNOTSUPP where the platform has no such call.
ssize_t write_durably(int fd, std::uint64_t offset_bytes, ConstByteSpan from);

}  // namespace hast::adapter::os
