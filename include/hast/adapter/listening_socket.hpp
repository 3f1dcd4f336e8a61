// The socket an export listens on. For UNIX sockets also the file: a stale one, on which nobody
// listens, is replaced; one in use is an error; ours goes away with us, but not a successor's.
// Plain POSIX calls, blocking but brief; the export owns it.
#pragma once

#include <sys/types.h>

#include <string>

#include "hast/base/address.hpp"
#include "hast/base/result.hpp"

namespace hast::adapter {

class ListeningSocket {
 public:
  /// Errors: address_invalid, address_in_use, io_failed; the detail names the address.
  static Result<ListeningSocket> open(const Address& address);

  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  ~ListeningSocket();

  int fd() const { return fd_; }
  /// The address family of fd(): AF_UNIX, AF_INET or AF_INET6.
  int family() const { return family_; }
  /// With the port the kernel chose if the address had none.
  const Address& address() const { return address_; }

 private:
  ListeningSocket(int fd, int family, Address address);
  static Result<ListeningSocket> open_unix(const Address& address);
  static Result<ListeningSocket> open_tcp(const Address& address);

  int fd_;
  int family_;
  Address address_;
  dev_t device_ = 0;  // of the socket's file, to recognise it
  ino_t inode_ = 0;
};

}  // namespace hast::adapter
