#include "hast/adapter/component_disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "aside.hpp"
#include "hast/adapter/disk_inline.hpp"
#include "hast/adapter/disk_uring.hpp"

namespace hast::adapter {

struct ComponentDiskOpener::Closings {
  std::size_t under_way = 0;
  std::vector<std::function<void()>> waiting;  // to be told when there are none
};

ComponentDiskOpener::ComponentDiskOpener(DiskPool::Executor owner, DiskOptions options)
    : owner_(std::move(owner)), options_(options), closings_(std::make_shared<Closings>()) {}

void ComponentDiskOpener::open(const std::string& path, Opened opened) {
  const auto component = std::make_shared<std::optional<Result<std::unique_ptr<Component>>>>();
  aside(
      owner_,
      [component, path, options = options_.component] {
        component->emplace(Component::open(path, options));
      },
      [this, component, opened = std::move(opened)] {
        opened(disk_over(std::move(component->value())));
      });
}

void ComponentDiskOpener::when_closed(std::function<void()> closed) {
  if (closings_->under_way == 0) return closed();
  closings_->waiting.push_back(std::move(closed));
}

Result<std::unique_ptr<port::Disk>> ComponentDiskOpener::disk_over(
    Result<std::unique_ptr<Component>> component) {
  if (!component) return std::move(component).error();
  if (options_.closes_aside) {
    (*component)->close_by([closings = closings_, owner = owner_](int fd) {
      ++closings->under_way;
      aside(
          owner, [fd] { ::close(fd); },
          [closings] {
            if (--closings->under_way > 0) return;
            for (const std::function<void()>& closed : std::exchange(closings->waiting, {}))
              closed();
          });
    });
  }
  if (InlineDisk::suits(**component))
    return std::unique_ptr<port::Disk>(std::make_unique<InlineDisk>(std::move(*component)));
  Result<std::unique_ptr<DiskPool>> pool =
      DiskPool::start(std::move(*component), owner_, options_.threads);
  if (!pool) return std::move(pool).error();
  return with_ring(std::move(*pool));
}

Result<std::unique_ptr<port::Disk>> ComponentDiskOpener::create_sparse(const std::string& path,
                                                                       std::uint64_t size_bytes) {
  std::error_code ignored;  // a folder that cannot be made is seen when the file is
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) return Error{Errc::io_failed, errno, path};
  const int error = ::ftruncate(fd, static_cast<off_t>(size_bytes)) == 0 ? 0 : errno;
  ::close(fd);
  if (error != 0) {
    remove(path);
    return Error{Errc::io_failed, error, path};
  }
  Result<std::unique_ptr<port::Disk>> disk = disk_over(Component::open(path, options_.component));
  if (!disk) remove(path);
  return disk;
}

void ComponentDiskOpener::remove(const std::string& path) { ::unlink(path.c_str()); }

/// The pool alone where there is no io_uring, or where it is forbidden (containers do that).
std::unique_ptr<port::Disk> ComponentDiskOpener::with_ring(std::unique_ptr<DiskPool> pool) const {
  if (!options_.ring) return pool;
  Result<std::unique_ptr<UringDisk>> ring = UringDisk::start(pool, owner_);
  if (ring) return std::move(*ring);
  static std::atomic<bool> said{false};
  if (ring.error().code != Errc::unsupported && !said.exchange(true))
    Log().info("io_uring cannot be used ({}): components are read and written by threads.",
               errno_text(ring.error().os_error));
  return pool;
}

}  // namespace hast::adapter
