#include "hast/adapter/nbd_device/frontend.hpp"

namespace hast::adapter::nbd_device {

Result<std::unique_ptr<port::Frontend>> open_nbd_device(boost::asio::any_io_executor,
                                                        NbdDeviceOptions) {
  return Error{Errc::unsupported, 0, "NBD devices are Linux's; set frontend: {type: ggate}"};
}

}  // namespace hast::adapter::nbd_device
