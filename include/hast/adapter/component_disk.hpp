// Opens components as disks, with the way of I/O that suits each: inline calls for files in memory,
// a pool of threads otherwise. Owned by whoever owns the resource it opens for.
#pragma once

#include <memory>
#include <string>

#include "hast/adapter/component.hpp"
#include "hast/adapter/disk_pool.hpp"
#include "hast/port/disk.hpp"

namespace hast::adapter {

class ComponentDiskOpener final : public port::DiskOpener {
 public:
  /// Disks complete on `owner`, so an opener belongs to one resource.
  explicit ComponentDiskOpener(DiskPool::Executor owner, DiskPoolOptions options = {})
      : owner_(std::move(owner)), options_(options) {}
  Result<std::unique_ptr<port::Disk>> open(const std::string& path) override;

 private:
  DiskPool::Executor owner_;
  DiskPoolOptions options_;
};

}  // namespace hast::adapter
