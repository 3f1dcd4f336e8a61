#include "net_stream.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "hast/adapter/busy_poll.hpp"
#include "receive_at_once.hpp"

namespace hast::adapter {

namespace asio = boost::asio;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMaxVectors = 128;  // of one gathered send

Errc meaning_of(int os_error) {
  switch (os_error) {
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
      return Errc::connection_closed;
    case ETIMEDOUT:
      return Errc::timed_out;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case EAGAIN:  // a UNIX socket whose queue is full
    case ENOENT:
    case ENOTSOCK:  // FreeBSD of a file that is no socket
      return Errc::unreachable;
    case EADDRINUSE:
      return Errc::address_in_use;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case EINVAL:
      return Errc::address_invalid;
    default:
      return Errc::io_failed;  // EMFILE, EACCES, ENOBUFS: this host's own trouble
  }
}

struct Names {
  std::string text;
  std::string host;  // numeric, without scope; "" for UNIX
};

Names names_of(const Protocol::endpoint& endpoint) {
  if (endpoint.protocol().family() == AF_UNIX) {
    const auto* name = reinterpret_cast<const sockaddr_un*>(endpoint.data());
    const std::size_t length = endpoint.size() > offsetof(sockaddr_un, sun_path)
                                   ? endpoint.size() - offsetof(sockaddr_un, sun_path)
                                   : 0;
    return {"uds://" + std::string(name->sun_path, ::strnlen(name->sun_path, length)), ""};
  }
  asio::ip::tcp::endpoint tcp;
  if (endpoint.size() > tcp.capacity()) return {"N/A", ""};
  std::memcpy(tcp.data(), endpoint.data(), endpoint.size());
  tcp.resize(endpoint.size());
  Address shown;
  shown.host = host_text(tcp.address());
  shown.port = tcp.port();
  return {to_string(shown), shown.host};
}

class SocketStream final : public port::Stream {
 public:
  explicit SocketStream(Socket socket)
      : socket_(std::move(socket)), arrivals_(socket_.get_executor()) {
    boost::system::error_code error;
    const Protocol::endpoint local = socket_.local_endpoint(error);
    if (!error) local_ = names_of(local);
    const Protocol::endpoint remote = socket_.remote_endpoint(error);
    if (!error) peer_ = names_of(remote);
    // Frames are small and somebody waits for each of them.
    if (local.protocol().family() != AF_UNIX)
      socket_.set_option(asio::ip::tcp::no_delay(true), error);
  }

  port::Awaitable<Result<std::size_t>> read_some(ByteSpan into) override {
    HAST_ASSERT(!into.empty());  // zero bytes would look like progress
    // Asio waits for news after an end of stream, and none will come.
    if (ended_) co_return Error{Errc::connection_closed, 0, peer_.text};
    const auto [error, bytes] =
        co_await socket_.async_read_some(asio::buffer(into.data(), into.size()), kToken);
    arrivals_.note();
    ended_ = error == asio::error::eof;
    if (error) co_return net_error(error, peer_.text);
    co_return bytes;
  }
  port::Awaitable<Result<std::size_t>> read_into(ByteSpan into, ByteSpan surplus) override {
    HAST_ASSERT(!into.empty());
    if (ended_) co_return Error{Errc::connection_closed, 0, peer_.text};
    const std::array<asio::mutable_buffer, 2> places{
        asio::mutable_buffer(into.data(), into.size()),
        asio::mutable_buffer(surplus.data(), surplus.size())};
    const auto [error, bytes] = co_await socket_.async_read_some(places, kToken);
    arrivals_.note();
    ended_ = error == asio::error::eof;
    if (error) co_return net_error(error, peer_.text);
    co_return bytes;
  }
  std::size_t try_read(ByteSpan into, ByteSpan surplus) override {
    if (ended_) return 0;
    const std::array<iovec, 2> places{iovec{into.data(), into.size()},
                                      iovec{surplus.data(), surplus.size()}};
    return receive_at_once(socket_.native_handle(), places);
  }
  Result<std::size_t> try_write(std::span<const asio::const_buffer> from) override {
    std::array<iovec, kMaxVectors> vectors;
    const std::size_t count = std::min(from.size(), vectors.size());
    for (std::size_t i = 0; i < count; ++i)
      vectors[i] = {const_cast<void*>(from[i].data()), from[i].size()};
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t bytes = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (bytes >= 0) return static_cast<std::size_t>(bytes);
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == EINTR)
      return std::size_t{0};
    return net_error({errno, boost::system::system_category()}, peer_.text);
  }
  port::Awaitable<Result<std::size_t>> write_some(
      std::span<const asio::const_buffer> from) override {
    const auto [error, bytes] = co_await socket_.async_write_some(from, kToken);
    if (error) co_return net_error(error, peer_.text);
    co_return bytes;
  }
  void close() override {
    boost::system::error_code ignored;
    ended_ = false;  // from now on reads are cancelled
    socket_.close(ignored);
  }
  std::string local() const override { return local_.text; }
  std::string peer() const override { return peer_.text; }
  std::string peer_host() const override { return peer_.host; }

 private:
  Socket socket_;
  Arrivals arrivals_;
  Names local_{"N/A", ""};
  Names peer_{"N/A", ""};
  bool ended_ = false;
};

}  // namespace

Error net_error(const boost::system::error_code& error, std::string detail) {
  // A closed socket is one that its owner closed: waits that begin afterwards say the same.
  if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor)
    return Error{Errc::cancelled};
  if (error == asio::error::eof) return Error{Errc::connection_closed, 0, std::move(detail)};
  if (error.category() != boost::system::system_category())  // the resolver's
    return Error{Errc::address_invalid, 0, detail + ": " + error.message()};
  return Error{meaning_of(error.value()), error.value(), std::move(detail)};
}

std::string host_text(asio::ip::address address) {
  if (!address.is_v6()) return address.to_string();
  asio::ip::address_v6 v6 = address.to_v6();
  v6.scope_id(0);
  return v6.to_string();
}

std::unique_ptr<port::Stream> make_stream(Socket socket) {
  return std::make_unique<SocketStream>(std::move(socket));
}

}  // namespace hast::adapter
