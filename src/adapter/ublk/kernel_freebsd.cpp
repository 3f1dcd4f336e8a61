#include "hast/adapter/ublk/kernel.hpp"

namespace hast::adapter::ublk {

Result<std::unique_ptr<UblkKernel>> ublk_kernel(boost::asio::any_io_executor) {
  return Error{Errc::unsupported, 0, "ublk devices are Linux's; set frontend: {type: ggate}"};
}

}  // namespace hast::adapter::ublk
