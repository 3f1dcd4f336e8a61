// port::Net over Asio: TCP and UNIX streams between nodes and to the control socket. Everything is
// non-blocking on the given executor, except that listen() may look up a name. Names to dial are
// looked up by Asio's resolver thread: a wait for it ends when it is cancelled or its time is up,
// but the io_context runs until the system's resolver has answered.
#pragma once

#include "hast/port/net.hpp"

namespace hast::adapter {

class AsioNet final : public port::Net {
 public:
  std::unique_ptr<port::Dialer> make_dialer(port::Executor executor) override;
  /// A UNIX socket's path is removed again by close(); a stale one is replaced.
  Result<std::unique_ptr<port::Listener>> listen(const Address& address,
                                                 port::Executor executor) override;
};

}  // namespace hast::adapter
