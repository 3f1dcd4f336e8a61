#include "hast/adapter/net.hpp"

#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "hast/adapter/nbd/listening_socket.hpp"
#include "net_stream.hpp"

namespace hast::adapter {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

class AsioListener final : public port::Listener {
 public:
  AsioListener(nbd::ListeningSocket socket, port::Executor executor)
      : socket_(std::move(socket)), acceptor_(executor), pause_(executor) {}

  Result<void> start() {
    const int fd = ::dup(socket_.fd());  // the acceptor closes its own; ours guards the file
    if (fd < 0) return Error{Errc::io_failed, errno, local()};
    boost::system::error_code error;
    acceptor_.assign(Protocol(socket_.family(), 0), fd, error);
    if (error) return Error{Errc::io_failed, error.value(), local()};
    return {};
  }

  port::Awaitable<Result<std::unique_ptr<port::Stream>>> accept() override {
    if (!acceptor_.is_open()) co_return Errc::cancelled;
    auto [error, socket] = co_await acceptor_.async_accept(kToken);
    if (!error) co_return make_stream(std::move(socket));
    if (!acceptor_.is_open()) co_return Errc::cancelled;
    // Out of descriptors, say: the connection stays in the queue, and trying at once would spin.
    pause_.expires_after(100ms);
    co_await pause_.async_wait(kToken);
    co_return Error{Errc::limit_reached, error.value(), "accepting on " + local()};
  }
  void close() override {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  }
  std::string local() const override { return to_string(socket_.address()); }

 private:
  nbd::ListeningSocket socket_;
  asio::basic_socket_acceptor<Protocol, port::Executor> acceptor_;
  asio::steady_timer pause_;
};

class AsioDialer final : public port::Dialer {
 public:
  explicit AsioDialer(port::Executor executor)
      : executor_(executor), resolver_(executor), timer_(executor) {}

  port::Awaitable<Result<std::unique_ptr<port::Stream>>> dial(
      Address to, std::optional<Address> source, std::chrono::milliseconds timeout) override;

  port::Awaitable<Result<std::string>> resolve(Address address) override {
    Result<Protocol::endpoint> endpoint = co_await find(std::move(address));
    if (!endpoint) co_return std::move(endpoint).error();
    tcp::endpoint found;
    std::memcpy(found.data(), endpoint->data(), endpoint->size());
    found.resize(endpoint->size());
    co_return found.address().to_string();
  }

  void cancel() override {
    cancelled_ = true;
    resolver_.cancel();
    timer_.cancel();
    boost::system::error_code ignored;
    if (socket_) socket_->close(ignored);
  }

 private:
  port::Awaitable<Result<Protocol::endpoint>> find(Address address);
  Result<void> prepare(const Protocol::endpoint& to, const std::optional<Protocol::endpoint>& from);

  port::Executor executor_;
  tcp::resolver resolver_;
  asio::steady_timer timer_;
  std::optional<Socket> socket_;
  bool cancelled_ = false;
};

/// The first address of the wanted family (wire-protocol §9). Literals need no resolver.
port::Awaitable<Result<Protocol::endpoint>> AsioDialer::find(Address address) {
  const std::string text = to_string(address);
  if (address.family == Address::Family::unix_socket) {
    boost::system::error_code error;
    if (address.host.size() > 103) co_return Error{Errc::address_invalid, 0, text};
    co_return Protocol::endpoint(asio::local::stream_protocol::endpoint(address.host));
  }
  boost::system::error_code error;
  if (const asio::ip::address literal = asio::ip::make_address(address.host, error); !error)
    co_return Protocol::endpoint(tcp::endpoint(literal, address.port));
  const auto flags = tcp::resolver::numeric_service | tcp::resolver::address_configured;
  const std::string port = std::to_string(address.port);
  auto [failed, found] = co_await resolver_.async_resolve(address.host, port, flags, kToken);
  if (failed) co_return net_error(failed, text);
  for (const auto& entry : found) {
    const bool v4 = entry.endpoint().address().is_v4();
    if (address.family == Address::Family::v4 && !v4) continue;
    if (address.family == Address::Family::v6 && v4) continue;
    co_return Protocol::endpoint(entry.endpoint());
  }
  co_return Error{Errc::address_invalid, 0, text + " has no address of the wanted family"};
}

Result<void> AsioDialer::prepare(const Protocol::endpoint& to,
                                 const std::optional<Protocol::endpoint>& from) {
  boost::system::error_code error;
  socket_.emplace(executor_);
  socket_->open(to.protocol(), error);
  if (!error && from) {
    socket_->set_option(asio::socket_base::reuse_address(true), error);
    socket_->bind(*from, error);
  }
  if (error) return net_error(error, from ? "the source address" : "opening a socket");
  return {};
}

port::Awaitable<Result<std::unique_ptr<port::Stream>>> AsioDialer::dial(
    Address to, std::optional<Address> source, std::chrono::milliseconds timeout) {
  using namespace asio::experimental::awaitable_operators;
  cancelled_ = false;
  Result<Protocol::endpoint> target = co_await find(to);
  if (!target) co_return std::move(target).error();
  std::optional<Protocol::endpoint> from;
  if (source) {
    Result<Protocol::endpoint> bound = co_await find(*source);
    if (!bound) co_return std::move(bound).error();
    from = *bound;
  }
  if (cancelled_) co_return Errc::cancelled;
  if (Result<void> ready = prepare(*target, from); !ready) co_return std::move(ready).error();
  timer_.expires_after(timeout);
  auto outcome = co_await (socket_->async_connect(*target, kToken) || timer_.async_wait(kToken));
  Socket socket = std::move(*socket_);
  socket_.reset();
  if (cancelled_) co_return Errc::cancelled;
  if (outcome.index() == 1) co_return Error{Errc::timed_out, 0, "connecting to " + to_string(to)};
  const boost::system::error_code error = std::get<0>(std::get<0>(outcome));
  if (error) co_return net_error(error, to_string(to));
  co_return make_stream(std::move(socket));
}

}  // namespace

std::unique_ptr<port::Dialer> AsioNet::make_dialer(port::Executor executor) {
  return std::make_unique<AsioDialer>(std::move(executor));
}

Result<std::unique_ptr<port::Listener>> AsioNet::listen(const Address& address,
                                                        port::Executor executor) {
  Result<nbd::ListeningSocket> socket = nbd::ListeningSocket::open(address);
  if (!socket) return std::move(socket).error();
  auto listener = std::make_unique<AsioListener>(std::move(socket).value(), std::move(executor));
  if (Result<void> started = listener->start(); !started) return std::move(started).error();
  return std::unique_ptr<port::Listener>(std::move(listener));
}

}  // namespace hast::adapter
