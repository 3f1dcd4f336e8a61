#include "hast/adapter/listening_socket.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

namespace hast::adapter {

namespace {

constexpr int kBacklog = 64;
constexpr mode_t kSocketMode = 0660;

Error failure(Errc code, const Address& address, std::string what, int os_error = 0) {
  return {code, os_error, to_string(address) + ": " + std::move(what)};
}

/// Closes what it holds unless released: for the ways out of functions that may fail.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int open_socket(int family) {
  const int fd = ::socket(family, SOCK_STREAM, 0);
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
}

bool listens(const sockaddr_un& name) {
  const Descriptor probe(open_socket(AF_UNIX));
  if (probe.get() < 0) return true;  // unknown: better an error than a stolen socket
  ::fcntl(probe.get(), F_SETFL, O_NONBLOCK);
  const auto* address = reinterpret_cast<const sockaddr*>(&name);
  return ::connect(probe.get(), address, sizeof name) == 0 ||
         (errno != ECONNREFUSED && errno != ENOENT);
}

/// Makes way at the path, or says why it may not.
Result<void> clear_path(const Address& address, const sockaddr_un& name) {
  struct stat found;
  if (::lstat(name.sun_path, &found) != 0) return {};
  if (!S_ISSOCK(found.st_mode))
    return failure(Errc::address_invalid, address, "the path exists and is not a socket");
  if (listens(name)) return failure(Errc::address_in_use, address, "another process listens there");
  if (::unlink(name.sun_path) != 0 && errno != ENOENT)
    return failure(Errc::io_failed, address, "the stale socket cannot be removed", errno);
  return {};
}

Errc bind_error(int os_error) {
  switch (os_error) {
    case EADDRINUSE:
      return Errc::address_in_use;
    case EADDRNOTAVAIL:
    case ENOENT:
    case ENOTDIR:
      return Errc::address_invalid;
    default:
      return Errc::io_failed;
  }
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Result<Addresses> resolve(const Address& address) {
  addrinfo hints{};
  hints.ai_family = address.family == Address::Family::v4   ? AF_INET
                    : address.family == Address::Family::v6 ? AF_INET6
                                                            : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port);
  const char* host = address.host.empty() ? nullptr : address.host.c_str();
  const int error = ::getaddrinfo(host, port.c_str(), &hints, &list);
  if (error != 0) return failure(Errc::address_invalid, address, ::gai_strerror(error));
  return Addresses(list);
}

std::uint16_t bound_port(int fd) {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0) return 0;
  return ntohs(name.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&name)->sin6_port
                                          : reinterpret_cast<sockaddr_in*>(&name)->sin_port);
}

}  // namespace

ListeningSocket::ListeningSocket(int fd, int family, Address address)
    : fd_(fd), family_(family), address_(std::move(address)) {}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      family_(other.family_),
      address_(std::move(other.address_)),
      device_(other.device_),
      inode_(other.inode_) {}

ListeningSocket::~ListeningSocket() {
  if (fd_ < 0) return;
  ::close(fd_);
  struct stat found;
  if (family_ == AF_UNIX && ::lstat(address_.host.c_str(), &found) == 0 &&
      found.st_dev == device_ && found.st_ino == inode_)
    ::unlink(address_.host.c_str());
}

Result<ListeningSocket> ListeningSocket::open(const Address& address) {
  return address.family == Address::Family::unix_socket ? open_unix(address) : open_tcp(address);
}

Result<ListeningSocket> ListeningSocket::open_unix(const Address& address) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.host.empty() || address.host.size() >= sizeof name.sun_path)
    return failure(Errc::address_invalid, address, "the path is empty or too long for a socket");
  std::memcpy(name.sun_path, address.host.data(), address.host.size());

  std::error_code ignored;  // bind() says it better
  const auto parent = std::filesystem::path(address.host).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, ignored);
  if (Result<void> cleared = clear_path(address, name); !cleared) return cleared.error();

  Descriptor fd(open_socket(AF_UNIX));
  if (fd.get() < 0) return failure(Errc::io_failed, address, "no socket can be made", errno);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
    return failure(bind_error(errno), address, "the socket cannot be bound", errno);
  ListeningSocket socket(fd.release(), AF_UNIX, address);
  struct stat made;
  if (::lstat(name.sun_path, &made) == 0) {
    socket.device_ = made.st_dev;
    socket.inode_ = made.st_ino;
  }
  // Before listen(): until then nobody can connect, whatever the umask was.
  if (::chmod(name.sun_path, kSocketMode) != 0 || ::listen(socket.fd_, kBacklog) != 0)
    return failure(Errc::io_failed, address, "the socket cannot be opened to clients", errno);
  return socket;
}

Result<ListeningSocket> ListeningSocket::open_tcp(const Address& address) {
  Result<Addresses> resolved = resolve(address);
  if (!resolved) return resolved.error();
  const addrinfo& first = **resolved;  // as everywhere in HAST: only the first result is used

  Descriptor fd(open_socket(first.ai_family));
  if (fd.get() < 0) return failure(Errc::io_failed, address, "no socket can be made", errno);
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (first.ai_family == AF_INET6)
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(fd.get(), first.ai_addr, first.ai_addrlen) != 0 || ::listen(fd.get(), kBacklog) != 0)
    return failure(bind_error(errno), address, "nobody can listen there", errno);
  Address bound = address;
  bound.port = bound_port(fd.get());
  return ListeningSocket(fd.release(), first.ai_family, std::move(bound));
}

}  // namespace hast::adapter
