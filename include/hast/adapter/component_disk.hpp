// Opens components as disks, with the way of I/O that suits each: inline calls for files in memory,
// io_uring where the kernel has it, a pool of threads otherwise. Owned by whoever owns the resource
// it opens for.
#pragma once

#include <memory>
#include <string>

#include "hast/adapter/component.hpp"
#include "hast/adapter/disk_pool.hpp"
#include "hast/port/disk.hpp"

namespace hast::adapter {

struct DiskOptions {
  ComponentOptions component;
  unsigned threads = 4;  // of a pool; at least 1; what the kernel may reorder and merge at once
  bool ring = true;      // try io_uring
  /// Components are closed on threads of their own (aside.hpp).
#ifdef __FreeBSD__
  bool closes_aside = true;
#else
  bool closes_aside = false;
#endif
};

class ComponentDiskOpener final : public port::DiskOpener {
 public:
  /// Disks complete on `owner`, so an opener belongs to one resource.
  explicit ComponentDiskOpener(DiskPool::Executor owner, DiskOptions options = {});
  /// On a thread of its own: it may wait (aside.hpp), for a lock as well. The opener outlives it.
  void open(const std::string& path, Opened opened) override;
  void when_closed(std::function<void()> closed) override;
  Result<std::unique_ptr<port::Disk>> create_sparse(const std::string& path,
                                                    std::uint64_t size_bytes) override;
  void remove(const std::string& path) override;
  /// For components opened from now on.
  void set_io(IoMode io) { options_.component.io = io; }

 private:
  struct Closings;
  Result<std::unique_ptr<port::Disk>> disk_over(Result<std::unique_ptr<Component>> opened);
  std::unique_ptr<port::Disk> with_ring(std::unique_ptr<DiskPool> pool) const;

  DiskPool::Executor owner_;
  DiskOptions options_;
  std::shared_ptr<Closings> closings_;  // with those that are under way
};

}  // namespace hast::adapter
