#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "component_os.hpp"

namespace hast::adapter::os {

namespace {

constexpr std::size_t kProbeBytes = 512;

int allocate(int fd, int mode, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  while (::fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset_bytes),
                     static_cast<off_t>(length_bytes)) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

std::optional<ComponentKind> component_kind(mode_t mode) {
  if (S_ISREG(mode)) return ComponentKind::file;
  if (S_ISBLK(mode)) return ComponentKind::device;
  return std::nullopt;
}

int open_flags(ComponentKind kind, const ComponentOptions& options) {
  if (kind == ComponentKind::file) return 0;
  // O_EXCL without O_CREAT claims a block device: file systems, md, dm and swap then get EBUSY.
  int flags = options.access == Access::exclusive ? O_EXCL : 0;
  if (options.io != IoMode::buffered) flags |= O_DIRECT;
  return flags;
}

bool make_direct(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_DIRECT) != 0) return false;
  // Where the smallest transfer is larger than hast's sectors of files, this one is refused.
  alignas(port::kBufferAlignment) std::array<std::byte, kProbeBytes> probe;
  if (::pread(fd, probe.data(), probe.size(), kProbeBytes) >= 0) return true;
  (void)::fcntl(fd, F_SETFL, flags);
  return false;
}

bool is_held(ComponentKind, int open_error) { return open_error == EBUSY || open_error == ETXTBSY; }

Result<port::DiskGeometry> device_geometry(int fd) {
  port::DiskGeometry geometry;
  int sector_bytes = 0;
  if (::ioctl(fd, BLKGETSIZE64, &geometry.size_bytes) != 0 ||
      ::ioctl(fd, BLKSSZGET, &sector_bytes) != 0)
    return Error{Errc::io_failed, errno};
  geometry.sector_bytes = static_cast<std::uint32_t>(sector_bytes);
  return geometry;
}

// On block devices PUNCH_HOLE is a write-zeroes command that may unmap and fails where the device
// has none. BLKDISCARD promises nothing about what is read afterwards, so it is not used.
int discard(int fd, ComponentKind, DeviceDelete, std::uint64_t offset_bytes,
            std::uint64_t length_bytes) {
  return allocate(fd, FALLOC_FL_PUNCH_HOLE, offset_bytes, length_bytes);
}

int write_zeroes(int fd, ComponentKind, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  return allocate(fd, FALLOC_FL_ZERO_RANGE, offset_bytes, length_bytes);
}

int flush(int fd, ComponentKind) {
  while (::fdatasync(fd) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

ssize_t write_durably(int fd, std::uint64_t offset_bytes, ConstByteSpan from) {
  const iovec all = {const_cast<std::byte*>(from.data()), from.size()};
  return ::pwritev2(fd, &all, 1, static_cast<off_t>(offset_bytes), RWF_DSYNC);
}

}  // namespace hast::adapter::os
