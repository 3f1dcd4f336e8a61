#include <fcntl.h>
#include <sys/disk.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "component_os.hpp"

namespace hast::adapter::os {

namespace {

// fspacectl(2), FreeBSD 14 and later: the range reads as zeros, on file systems without holes too.
int zero_file_range([[maybe_unused]] int fd, [[maybe_unused]] std::uint64_t offset_bytes,
                    [[maybe_unused]] std::uint64_t length_bytes) {
#ifdef SPACECTL_DEALLOC
  spacectl_range range{static_cast<off_t>(offset_bytes), static_cast<off_t>(length_bytes)};
  while (range.r_len > 0) {
    if (::fspacectl(fd, SPACECTL_DEALLOC, &range, 0, &range) != 0 && errno != EINTR) return errno;
  }
  return 0;
#else
  return EOPNOTSUPP;
#endif
}

// The kernel ends a long delete early, with success, when a signal is pending; the pool's threads
// block all signals.
int delete_device_range(int fd, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  off_t range[2] = {static_cast<off_t>(offset_bytes), static_cast<off_t>(length_bytes)};
  return ::ioctl(fd, DIOCGDELETE, range) == 0 ? 0 : errno;
}

}  // namespace

std::optional<ComponentKind> component_kind(mode_t mode) {
  if (S_ISREG(mode)) return ComponentKind::file;
  if (S_ISCHR(mode)) return ComponentKind::device;
  return std::nullopt;
}

// GEOM has no exclusive use to ask for here: devfs(5) ignores O_EXCL on providers. It needs none:
// whoever mounts a provider, or builds another one on it, asks for exclusive use and is refused
// while this descriptor may write; flock(2) keeps other programs of ours away.
int open_flags(ComponentKind, const ComponentOptions&) { return 0; }

// ZFS and UFS take O_DIRECT as a hint at best.
bool make_direct(int) { return false; }

// EPERM is GEOM's answer to a writer beside somebody with exclusive use, a mounted file system for
// one; missing permissions are EACCES.
bool is_held(ComponentKind kind, int open_error) {
  return open_error == EBUSY || open_error == ETXTBSY ||
         (kind == ComponentKind::device && open_error == EPERM);
}

Result<port::DiskGeometry> device_geometry(int fd) {
  off_t size_bytes = 0;
  u_int sector_bytes = 0;
  if (::ioctl(fd, DIOCGMEDIASIZE, &size_bytes) != 0 ||
      ::ioctl(fd, DIOCGSECTORSIZE, &sector_bytes) != 0) {
    const bool no_disk = errno == ENOTTY || errno == ENODEV;
    return Error{no_disk ? Errc::component_unsupported : Errc::io_failed, errno};
  }
  return port::DiskGeometry{static_cast<std::uint64_t>(size_bytes), sector_bytes};
}

int discard(int fd, ComponentKind kind, DeviceDelete trust, std::uint64_t offset_bytes,
            std::uint64_t length_bytes) {
  if (kind == ComponentKind::file) return zero_file_range(fd, offset_bytes, length_bytes);
  if (trust == DeviceDelete::refused) return EOPNOTSUPP;
  return delete_device_range(fd, offset_bytes, length_bytes);
}

int write_zeroes(int fd, ComponentKind kind, std::uint64_t offset_bytes,
                 std::uint64_t length_bytes) {
  if (kind == ComponentKind::device) return EOPNOTSUPP;  // DIOCGDELETE promises no zeros
  return zero_file_range(fd, offset_bytes, length_bytes);
}

int flush(int fd, ComponentKind kind) {
  for (;;) {
    const int result = kind == ComponentKind::device ? ::ioctl(fd, DIOCGFLUSH) : ::fdatasync(fd);
    if (result == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

ssize_t write_durably(int, std::uint64_t, ConstByteSpan) {
  errno = EOPNOTSUPP;
  return -1;
}

}  // namespace hast::adapter::os
