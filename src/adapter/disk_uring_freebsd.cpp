// FreeBSD has no io_uring: components take the pool of threads.
#include "hast/adapter/disk_uring.hpp"

namespace hast::adapter {

struct UringDisk::Ring {};
Result<std::unique_ptr<UringDisk>> UringDisk::start(std::unique_ptr<DiskPool>&,
                                                    const DiskPool::Executor&) {
  return Errc::unsupported;
}
UringDisk::~UringDisk() = default;
void UringDisk::submit(port::DiskOp&) {}
void UringDisk::kick() {}

}  // namespace hast::adapter
