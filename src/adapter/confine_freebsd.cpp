#include "confine.hpp"

#include <sys/capsicum.h>
#include <sys/disk.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include <cerrno>

#include "hast/base/error.hpp"
#include "hast/base/log.hpp"

namespace hast::adapter {

namespace {

/// ENOSYS: a kernel without Capsicum, which is as good as this system gets.
void complain(int result, const char* what) {
  if (result == 0 || errno == ENOSYS) return;
  Log().warning("The rights of {} cannot be limited: {}. Going on without.", what,
                errno_text(errno));
}

}  // namespace

void confine_component(int fd, Writing writing) {
  // CAP_PWRITE covers fspacectl(2), CAP_FSYNC fdatasync(2); the lock was taken before.
  cap_rights_t rights;
  cap_rights_init(&rights, CAP_PREAD, CAP_FSTAT, CAP_FSTATFS, CAP_IOCTL);
  if (writing == Writing::allowed) cap_rights_set(&rights, CAP_PWRITE, CAP_FSYNC);
  complain(::cap_rights_limit(fd, &rights), "a local component");
  const unsigned long commands[] = {DIOCGMEDIASIZE, DIOCGSECTORSIZE, DIOCGDELETE, DIOCGFLUSH};
  complain(::cap_ioctls_limit(fd, commands, std::size(commands)), "a local component");
}

void confine_to_ioctls(int fd, std::span<const unsigned long> commands) {
  cap_rights_t rights;
  cap_rights_init(&rights, CAP_IOCTL);
  complain(::cap_rights_limit(fd, &rights), "the gate's control device");
  complain(::cap_ioctls_limit(fd, commands.data(), commands.size()), "the gate's control device");
}

}  // namespace hast::adapter
