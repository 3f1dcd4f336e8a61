#include "hast/adapter/component.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "component_os.hpp"
#include "confine.hpp"
#include "hast/base/units.hpp"

namespace hast::adapter {

namespace {

constexpr std::uint32_t kFileSectorBytes =
    512;  // the original treats files so, too (docs/on-disk.md)
constexpr int kLockAttempts = 5;
constexpr auto kLockPause = std::chrono::milliseconds(20);

constexpr std::size_t kZeroBytes = 256 * 1024;
alignas(port::kBufferAlignment) std::byte zero_bytes[kZeroBytes];  // never written

bool never_supported(int error) {
  return error == EOPNOTSUPP || error == ENOTSUP || error == ENOTTY || error == ENOSYS;
}

Error error_at(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return {Errc::component_not_found, error, path};
    case EISDIR:
      return {Errc::component_unsupported, error, path};
    default:
      return {Errc::io_failed, error, path};
  }
}

int open_descriptor(const std::string& path, ComponentKind kind, const ComponentOptions& options) {
  const int flags = (options.access == Access::read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC |
                    O_NOCTTY | os::open_flags(kind, options);
  return ::open(path.c_str(), flags);
}

// udev takes a short shared lock on a block device whenever one was closed after writing: a device
// gets a few attempts. Nothing but another hastd locks a file.
int lock(int fd, ComponentKind kind) {
  for (int attempt = 1;; ++attempt) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
    const int error = errno;
    const bool again = error == EINTR || (error == EWOULDBLOCK && kind == ComponentKind::device);
    if (!again || attempt == kLockAttempts) return error;
    std::this_thread::sleep_for(kLockPause);
  }
}

Result<port::DiskGeometry> geometry_of(int fd, ComponentKind kind, const struct stat& status) {
  if (kind == ComponentKind::device) return os::device_geometry(fd);
  return port::DiskGeometry{static_cast<std::uint64_t>(status.st_size), kFileSectorBytes};
}

/// `once` moves what it can of `bytes` at the offset and returns how much, -1 with errno otherwise;
/// called until all is moved. Nothing moved is EIO: the file was cut behind our back.
template <typename Span, typename Once>
int transfer(std::uint64_t offset_bytes, Span bytes, Once once) {
  while (!bytes.empty()) {
    const ssize_t count = once(offset_bytes, bytes);
    if (count == 0) return EIO;
    if (count < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset_bytes += static_cast<std::uint64_t>(count);
  }
  return 0;
}

}  // namespace

Component::Component(int fd, std::string path, ComponentKind kind, ComponentOptions options)
    : fd_(fd), path_(std::move(path)), kind_(kind), options_(options) {}

Component::~Component() {
  if (closer_)
    closer_(fd_);
  else
    ::close(fd_);
}

Result<std::unique_ptr<Component>> Component::open(const std::string& path,
                                                   ComponentOptions options) {
  // Looked at before it is opened: opening a FIFO waits for a writer, opening a tape winds it.
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return error_at(path, errno);
  const std::optional<ComponentKind> kind = os::component_kind(status.st_mode);
  if (!kind) return Error{Errc::component_unsupported, 0, path};

  const int fd = open_descriptor(path, *kind, options);
  if (fd < 0 && os::is_held(*kind, errno)) return Error{Errc::component_busy, errno, path};
  if (fd < 0) return error_at(path, errno);
  std::unique_ptr<Component> component(new Component(fd, path, *kind, options));
  if (::fstat(fd, &status) != 0) return error_at(path, errno);
  if (os::component_kind(status.st_mode) != kind)
    return Error{Errc::component_unsupported, 0, path};

  if (options.access == Access::exclusive) {
    const int error = lock(fd, *kind);
    if (error == EWOULDBLOCK) return Error{Errc::component_busy, error, path};
    if (never_supported(error))
      component->log_.warning("{} cannot be locked ({}): make sure that no one else uses it.", path,
                              errno_text(error));
    else if (error != 0)
      return error_at(path, error);
  }

  Result<port::DiskGeometry> geometry = geometry_of(fd, *kind, status);
  if (!geometry) return Error{geometry.error().code, geometry.error().os_error, path};
  component->geometry_ = *geometry;
  component->try_direct();
  confine_component(fd, options.access == Access::read_only ? Writing::refused : Writing::allowed);
  return component;
}

void Component::try_direct() {
  if (kind_ == ComponentKind::device) {
    direct_ = options_.io != IoMode::buffered;  // opened so
  } else if (options_.io == IoMode::direct) {
    direct_ = os::make_direct(fd_);
    if (!direct_)
      log_.warning("{} cannot be used with \"io: direct\" here; it is buffered instead.", path_);
  }
}

bool Component::contains(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
  return range_within(offset_bytes, length_bytes, geometry_.size_bytes);
}

int Component::read(std::uint64_t offset_bytes, ByteSpan into) {
  if (!contains(offset_bytes, into.size())) return EINVAL;
  return transfer(offset_bytes, into, [this](std::uint64_t at_bytes, ByteSpan rest) {
    return ::pread(fd_, rest.data(), rest.size(), static_cast<off_t>(at_bytes));
  });
}

int Component::write(std::uint64_t offset_bytes, ConstByteSpan from) {
  if (!contains(offset_bytes, from.size())) return EINVAL;  // a file would grow
  return transfer(offset_bytes, from, [this](std::uint64_t at_bytes, ConstByteSpan rest) {
    return ::pwrite(fd_, rest.data(), rest.size(), static_cast<off_t>(at_bytes));
  });
}

int Component::discard(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  if (!contains(offset_bytes, length_bytes)) return EINVAL;
  if (length_bytes == 0) return 0;
  if (discard_refused_.load(std::memory_order_relaxed)) return EOPNOTSUPP;
  const int error = os::discard(fd_, kind_, options_.device_delete, offset_bytes, length_bytes);
  return remember_refusal(discard_refused_, error, "discard");
}

int Component::write_zeroes(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  if (!contains(offset_bytes, length_bytes)) return EINVAL;
  if (length_bytes == 0) return 0;
  if (!zeroing_refused_.load(std::memory_order_relaxed)) {
    int error = os::write_zeroes(fd_, kind_, offset_bytes, length_bytes);
    error = remember_refusal(zeroing_refused_, error, "write-zeroes");
    if (error != EOPNOTSUPP) return error;
  }
  // A hole is a good second choice in a file; tmpfs, for one, has holes and no zeroing.
  if (kind_ == ComponentKind::file) {
    const int error = discard(offset_bytes, length_bytes);
    if (error != EOPNOTSUPP) return error;
  }
  return write_zero_bytes(offset_bytes, length_bytes);
}

int Component::write_zero_bytes(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  while (length_bytes > 0) {
    const std::size_t step = std::min<std::uint64_t>(length_bytes, kZeroBytes);
    if (const int error = write(offset_bytes, ConstByteSpan(zero_bytes, step))) return error;
    offset_bytes += step;
    length_bytes -= step;
  }
  return 0;
}

int Component::flush() {
  const std::lock_guard one_at_a_time(flush_mutex_);
  if (const int failed = flush_error_; failed != 0) return failed;
  if (flush_refused_.load(std::memory_order_relaxed)) return EOPNOTSUPP;
  const int error = remember_refusal(flush_refused_, os::flush(fd_, kind_), "flush");
  flush_error_ = port::flush_result(error);
  return error;
}

int Component::write_durably(std::uint64_t offset_bytes, ConstByteSpan from) {
  if (!contains(offset_bytes, from.size())) return EINVAL;
  if (!durable_writes_refused_.load(std::memory_order_relaxed)) {
    const std::lock_guard one_at_a_time(flush_mutex_);
    if (const int failed = flush_error_; failed != 0) return failed;
    const int error =
        transfer(offset_bytes, from, [this](std::uint64_t at_bytes, ConstByteSpan rest) {
          return os::write_durably(fd_, at_bytes, rest);
        });
    if (!never_supported(error)) return flush_error_ = error;
    durable_writes_refused_.store(true, std::memory_order_relaxed);
  }
  if (const int error = write(offset_bytes, from)) return error;
  return port::flush_result(flush());
}

int Component::remember_refusal(std::atomic<bool>& refused, int error, const char* what) {
  if (!never_supported(error)) return error;
  if (!refused.exchange(true, std::memory_order_relaxed))
    log_.info("{} does not support {} ({}).", path_, what, errno_text(error));
  return EOPNOTSUPP;
}

}  // namespace hast::adapter
