#include "net_stream.hpp"

#include <netinet/in.h>
#include <sys/un.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hast::adapter {

namespace asio = boost::asio;

Error net_error(const boost::system::error_code& error, std::string detail) {
  const auto make = [&](Errc code) { return Error{code, error.value(), std::move(detail)}; };
  if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor)
    return Error{Errc::cancelled};
  if (error == asio::error::eof) return Error{Errc::connection_closed, 0, std::move(detail)};
  if (error == asio::error::connection_reset || error == asio::error::broken_pipe ||
      error == asio::error::connection_aborted)
    return make(Errc::connection_closed);
  if (error == asio::error::timed_out) return make(Errc::timed_out);
  if (error.category() != boost::system::system_category())
    return Error{Errc::address_invalid, 0, detail + ": " + error.message()};
  return make(Errc::unreachable);
}

namespace {

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
  asio::ip::address address = tcp.address();
  if (address.is_v6()) {
    asio::ip::address_v6 v6 = address.to_v6();
    v6.scope_id(0);
    address = v6;
  }
  Address shown;
  shown.host = address.to_string();
  shown.port = tcp.port();
  return {to_string(shown), shown.host};
}

class SocketStream final : public port::Stream {
 public:
  explicit SocketStream(Socket socket) : socket_(std::move(socket)) {
    boost::system::error_code ignored;
    const Protocol::endpoint local = socket_.local_endpoint(ignored);
    if (!ignored) local_ = names_of(local);
    const Protocol::endpoint remote = socket_.remote_endpoint(ignored);
    if (!ignored) peer_ = names_of(remote);
    // Frames are small and somebody waits for each of them. Not an option of UNIX sockets.
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  }

  port::Awaitable<Result<std::size_t>> read_some(ByteSpan into) override {
    const auto [error, bytes] = co_await socket_.async_read_some(
        asio::buffer(into.data(), into.size()), asio::as_tuple(asio::use_awaitable));
    if (error) co_return net_error(error, peer_.text);
    co_return bytes;
  }
  port::Awaitable<Result<std::size_t>> write_some(
      std::span<const asio::const_buffer> from) override {
    const auto [error, bytes] =
        co_await socket_.async_write_some(from, asio::as_tuple(asio::use_awaitable));
    if (error) co_return net_error(error, peer_.text);
    co_return bytes;
  }
  void close() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }
  std::string local() const override { return local_.text; }
  std::string peer() const override { return peer_.text; }
  std::string peer_host() const override { return peer_.host; }

 private:
  Socket socket_;
  Names local_{"N/A", ""};
  Names peer_{"N/A", ""};
};

}  // namespace

std::unique_ptr<port::Stream> make_stream(Socket socket) {
  return std::make_unique<SocketStream>(std::move(socket));
}

}  // namespace hast::adapter
