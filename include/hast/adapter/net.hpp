// port::Net over Asio: TCP and UNIX streams between nodes and to the control socket. Names are
// resolved by the resolver's own thread; everything else is non-blocking on the given executor.
#pragma once

#include "hast/port/net.hpp"

namespace hast::adapter {

class AsioNet final : public port::Net {
 public:
  std::unique_ptr<port::Dialer> make_dialer(port::Executor executor) override;
  Result<std::unique_ptr<port::Listener>> listen(const Address& address,
                                                 port::Executor executor) override;
};

}  // namespace hast::adapter
