#include "hast/adapter/net.hpp"

#include <fcntl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <optional>

#include "hast/adapter/listening_socket.hpp"
#include "hast/base/log.hpp"
#include "net_dialer.hpp"
#include "net_stream.hpp"

namespace hast::adapter {

namespace {

namespace asio = boost::asio;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr auto kPause = std::chrono::milliseconds(100);

/// The connection that would have been accepted is gone; there may be another.
bool lost_connection(const boost::system::error_code& error) {
  return error == asio::error::connection_aborted || error == asio::error::interrupted;
}

class AsioListener final : public port::Listener {
 public:
  AsioListener(ListeningSocket socket, const port::Executor& executor)
      : local_(to_string(socket.address())),
        socket_(std::move(socket)),
        acceptor_(executor),
        pause_(executor) {}

  Result<void> start() {
    // The acceptor closes its own descriptor; the other one guards the socket's file.
    const int fd = ::fcntl(socket_->fd(), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return Error{Errc::io_failed, errno, local_};
    boost::system::error_code error;
    acceptor_.assign(Protocol(socket_->family(), 0), fd, error);
    if (error) return Error{Errc::io_failed, error.value(), local_};
    return {};
  }

  port::Awaitable<Result<std::unique_ptr<port::Stream>>> accept() override {
    while (acceptor_.is_open()) {
      auto [error, socket] = co_await acceptor_.async_accept(kToken);
      if (!error) {
        starved_ = false;
        ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
        co_return make_stream(std::move(socket));
      }
      if (acceptor_.is_open() && !lost_connection(error)) co_await pause_after(error);
    }
    co_return Errc::cancelled;
  }
  void close() override {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    socket_.reset();  // the address is free again
  }
  std::string local() const override { return local_; }

 private:
  // Out of descriptors, say: the connection stays in the queue, and trying at once would spin. Said
  // once until it is over.
  port::Awaitable<void> pause_after(boost::system::error_code error) {
    if (!starved_)
      log_.warning("Connections to {} have to wait: {}. Raise the limit or close connections.",
                   local_, error.message());
    starved_ = true;
    pause_.expires_after(kPause);
    (void)co_await pause_.async_wait(kToken);
  }

  std::string local_;
  std::optional<ListeningSocket> socket_;
  asio::basic_socket_acceptor<Protocol, port::Executor> acceptor_;
  asio::steady_timer pause_;
  Log log_;
  bool starved_ = false;
};

}  // namespace

std::unique_ptr<port::Dialer> AsioNet::make_dialer(port::Executor executor) {
  return adapter::make_dialer(std::move(executor));
}

Result<std::unique_ptr<port::Listener>> AsioNet::listen(const Address& address,
                                                        port::Executor executor) {
  Result<ListeningSocket> socket = ListeningSocket::open(address);
  if (!socket) return std::move(socket).error();
  auto listener = std::make_unique<AsioListener>(std::move(socket).value(), executor);
  if (Result<void> started = listener->start(); !started) return std::move(started).error();
  return std::unique_ptr<port::Listener>(std::move(listener));
}

}  // namespace hast::adapter
