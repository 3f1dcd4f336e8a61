#include "hast/adapter/component_disk.hpp"

#include <utility>

#include "hast/adapter/disk_inline.hpp"

namespace hast::adapter {

Result<std::unique_ptr<port::Disk>> ComponentDiskOpener::open(const std::string& path) {
  Result<std::unique_ptr<Component>> component = Component::open(path, options_.component);
  if (!component) return std::move(component).error();
  if (InlineDisk::suits(**component))
    return std::unique_ptr<port::Disk>(std::make_unique<InlineDisk>(std::move(*component)));
  Result<std::unique_ptr<DiskPool>> pool =
      DiskPool::start(std::move(*component), owner_, options_.threads);
  if (!pool) return std::move(pool).error();
  return std::unique_ptr<port::Disk>(std::move(*pool));
}

}  // namespace hast::adapter
