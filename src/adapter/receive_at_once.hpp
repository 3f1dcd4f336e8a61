// Private to those who read sockets: what is there without waiting.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>

namespace hast::adapter {

/// 0 when nothing is there, or when there is something else to be told: whoever waits learns it.
inline std::size_t receive_at_once(int fd, std::span<const iovec> into) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(into.data());
  message.msg_iovlen = into.size();
  const ssize_t bytes = ::recvmsg(fd, &message, MSG_DONTWAIT);
  return bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

}  // namespace hast::adapter
