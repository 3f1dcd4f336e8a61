#include "hast/adapter/daemonize.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

namespace hast::adapter {

namespace {

constexpr int kExitOsError = 71;

/// Whatever the file holds, only a number is repeated. It is empty while the holder starts.
std::string holder_of(int fd) {
  char text[16] = {};
  const ssize_t got = ::pread(fd, text, sizeof text - 1, 0);
  const std::string_view written(text, got > 0 ? static_cast<std::size_t>(got) : 0);
  const std::string_view pid = written.substr(0, written.find_first_not_of("0123456789"));
  return pid.empty() ? "a process that has not written its pid yet" : "pid " + std::string(pid);
}

bool same_file(int fd, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

[[noreturn]] void exit_like_child(int fd, pid_t child) {
  char byte = 0;
  ssize_t got = 0;
  while ((got = ::read(fd, &byte, 1)) < 0 && errno == EINTR) {
  }
  if (got == 1) ::_exit(0);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : kExitOsError);
}

}  // namespace

void occupy_standard_descriptors() {
  int fd = 0;
  do fd = ::open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) ::close(fd);
}

Result<Pidfile> Pidfile::open(const std::string& path) {
  for (;;) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return Error{Errc::io_failed, errno, "pidfile " + path};
    const int error = ::flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (error == 0 && same_file(fd, path)) return Pidfile(fd, path);
    std::string holder = path;
    holder.append(", ").append(holder_of(fd));
    ::close(fd);
    if (error == EWOULDBLOCK) return Error{Errc::already_running, 0, std::move(holder)};
    if (error != 0) return Error{Errc::io_failed, error, "pidfile " + path};
    // A daemon that ended removed the file between our open and our lock: there is a newer one.
  }
}

Pidfile::Pidfile(Pidfile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Pidfile& Pidfile::operator=(Pidfile&& other) noexcept {
  if (this != &other) {
    remove();
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

Pidfile::~Pidfile() { remove(); }

void Pidfile::remove() {
  if (fd_ < 0) return;
  // Only the file that is locked: somebody may have put another one in its place.
  if (same_file(fd_, path_)) ::unlink(path_.c_str());
  ::close(std::exchange(fd_, -1));
}

Result<void> Pidfile::write() {
  if (fd_ < 0) return {};
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd_, 0) != 0 ||
      ::pwrite(fd_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return Error{Errc::io_failed, errno, "pidfile " + path_};
  return {};
}

Result<Detachment> Detachment::begin() {
  occupy_standard_descriptors();
  int ends[2];
  if (::pipe(ends) != 0) return Error{Errc::io_failed, errno, "a pipe to the daemon"};
  const pid_t child = ::fork();
  if (child < 0) {
    const int error = errno;
    for (const int end : ends) ::close(end);
    return Error{Errc::io_failed, error, "fork"};
  }
  if (child > 0) {
    ::close(ends[1]);
    exit_like_child(ends[0], child);
  }
  ::close(ends[0]);
  ::fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  ::setsid();
  return Detachment(ends[1]);
}

Result<void> Detachment::ready() {
  const int null = ::open("/dev/null", O_RDWR);
  if (null < 0) return Error{Errc::io_failed, errno, "/dev/null"};
  for (int fd = 0; fd <= 2; ++fd) ::dup2(null, fd);
  if (null > 2) ::close(null);
  if (::chdir("/") != 0) return Error{Errc::io_failed, errno, "/"};
  const char byte = 0;
  const bool told = ::write(fd_, &byte, 1) == 1;
  ::close(std::exchange(fd_, -1));
  if (!told) return Error{Errc::io_failed, EPIPE, "the process that started the daemon is gone"};
  return {};
}

}  // namespace hast::adapter
