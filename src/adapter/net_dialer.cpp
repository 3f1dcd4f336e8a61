#include "net_dialer.hpp"

#include <sys/un.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net_stream.hpp"

namespace hast::adapter {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Family = Address::Family;

constexpr auto kResolveLimit = std::chrono::seconds(30);

// One attempt. getaddrinfo(3) cannot be interrupted, so the coroutine does not wait for it: it
// waits for the timer, which the answer, the connection or cancel() ends early. What comes too late
// finds the attempt, which it keeps alive itself, and nobody who waits.
struct Attempt {
  Attempt(const port::Executor& executor, std::chrono::milliseconds limit)
      : resolver(executor), socket(executor), timer(executor) {
    timer.expires_after(limit);
  }
  void arrive(const boost::system::error_code& result) {
    arrived = true;
    error = result;
    timer.cancel();
  }
  void cancel() {
    cancelled = true;
    end();
  }
  void end() {
    timer.cancel();
    resolver.cancel();
    boost::system::error_code ignored;
    socket.close(ignored);
  }

  tcp::resolver resolver;
  Socket socket;
  asio::steady_timer timer;
  tcp::resolver::results_type found;
  boost::system::error_code error;
  bool arrived = false;
  bool cancelled = false;
};
using AttemptPointer = std::shared_ptr<Attempt>;

bool fits(Family family, const asio::ip::address& address) {
  return family == Family::any || (family == Family::v4) == address.is_v4();
}

Error wrong_family(const Address& address) {
  return {Errc::address_invalid, 0, to_string(address) + " has no address of the wanted family"};
}

/// What needs no resolver: paths and literals. nullopt: a name.
std::optional<Result<Protocol::endpoint>> literal_endpoint(const Address& address) {
  if (address.family == Family::unix_socket) {
    if (address.host.size() >= sizeof(sockaddr_un{}.sun_path))
      return Error{Errc::address_invalid, 0, to_string(address) + ": the path is too long"};
    return Protocol::endpoint(asio::local::stream_protocol::endpoint(address.host));
  }
  boost::system::error_code error;
  const asio::ip::address literal = asio::ip::make_address(address.host, error);
  if (error) return std::nullopt;
  if (!fits(address.family, literal)) return wrong_family(address);
  return Protocol::endpoint(tcp::endpoint(literal, address.port));
}

class AsioDialer final : public port::Dialer {
 public:
  explicit AsioDialer(port::Executor executor) : executor_(std::move(executor)) {}
  ~AsioDialer() override { cancel(); }

  port::Awaitable<Result<std::unique_ptr<port::Stream>>> dial(
      Address to, std::optional<Address> source, std::chrono::milliseconds timeout) override;
  port::Awaitable<Result<std::string>> resolve(Address address) override;
  void cancel() override {
    if (attempt_) attempt_->cancel();
  }

 private:
  AttemptPointer begin(std::chrono::milliseconds limit) {
    cancel();
    return attempt_ = std::make_shared<Attempt>(executor_, limit);
  }
  static port::Awaitable<Result<Protocol::endpoint>> find(AttemptPointer attempt, Address address);
  static port::Awaitable<Result<tcp::endpoint>> look_up(AttemptPointer attempt, Address address);
  static port::Awaitable<Result<void>> wait(AttemptPointer attempt, std::string what);
  static port::Awaitable<Result<void>> bind(AttemptPointer attempt, Address source, Family family);
  static port::Awaitable<Result<void>> connect(AttemptPointer attempt, Protocol::endpoint to,
                                               std::string what);

  port::Executor executor_;
  AttemptPointer attempt_;
};

/// Until the attempt's operation arrived; everything else ends the attempt.
port::Awaitable<Result<void>> AsioDialer::wait(AttemptPointer attempt, std::string what) {
  (void)co_await attempt->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (attempt->cancelled) co_return Errc::cancelled;
  if (!attempt->arrived) {
    attempt->end();
    co_return Error{Errc::timed_out, 0, std::move(what)};
  }
  if (attempt->error) co_return net_error(attempt->error, std::move(what));
  co_return Result<void>{};
}

/// The first address of the wanted family (wire-protocol §9).
port::Awaitable<Result<tcp::endpoint>> AsioDialer::look_up(AttemptPointer attempt,
                                                           Address address) {
  const auto flags = tcp::resolver::numeric_service | tcp::resolver::address_configured;
  attempt->arrived = false;
  attempt->resolver.async_resolve(
      address.host, std::to_string(address.port), flags,
      [attempt](const boost::system::error_code& error, tcp::resolver::results_type found) {
        attempt->found = std::move(found);
        attempt->arrive(error);
      });
  Result<void> waited = co_await wait(attempt, "resolving " + to_string(address));
  if (!waited) co_return std::move(waited).error();
  for (const auto& entry : attempt->found)
    if (fits(address.family, entry.endpoint().address())) co_return entry.endpoint();
  co_return wrong_family(address);
}

port::Awaitable<Result<Protocol::endpoint>> AsioDialer::find(AttemptPointer attempt,
                                                             Address address) {
  if (auto literal = literal_endpoint(address)) co_return std::move(*literal);
  Result<tcp::endpoint> found = co_await look_up(std::move(attempt), std::move(address));
  if (!found) co_return std::move(found).error();
  co_return Protocol::endpoint(*found);
}

/// A source name is looked up in the family that the connection has.
port::Awaitable<Result<void>> AsioDialer::bind(AttemptPointer attempt, Address source,
                                               Family family) {
  const std::string text = "source address " + to_string(source);
  if (source.family == Family::any) source.family = family;
  Result<Protocol::endpoint> from = co_await find(attempt, std::move(source));
  if (!from) co_return Error{from.error().code, from.error().os_error, text};
  boost::system::error_code error;
  attempt->socket.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) attempt->socket.bind(*from, error);
  if (error) co_return net_error(error, text);
  co_return Result<void>{};
}

port::Awaitable<Result<void>> AsioDialer::connect(AttemptPointer attempt, Protocol::endpoint to,
                                                  std::string what) {
  attempt->arrived = false;
  attempt->socket.async_connect(
      to, [attempt](const boost::system::error_code& error) { attempt->arrive(error); });
  Result<void> waited = co_await wait(attempt, what);
  if (!waited) co_return waited;
  // With nobody listening on a port of the ephemeral range, TCP may connect a socket to itself.
  boost::system::error_code ignored;
  if (to.protocol().family() != AF_UNIX && attempt->socket.local_endpoint(ignored) == to)
    co_return Error{Errc::unreachable, ECONNREFUSED, std::move(what)};
  co_return waited;
}

port::Awaitable<Result<std::unique_ptr<port::Stream>>> AsioDialer::dial(
    Address to, std::optional<Address> source, std::chrono::milliseconds timeout) {
  const AttemptPointer attempt = begin(timeout);
  const std::string what = "connecting to " + to_string(to);
  Result<Protocol::endpoint> target = co_await find(attempt, to);
  if (!target) co_return std::move(target).error();

  boost::system::error_code error;
  attempt->socket.open(target->protocol(), error);
  if (error) co_return net_error(error, what);
  const int family = target->protocol().family();
  if (source && family != AF_UNIX) {
    Result<void> bound =
        co_await bind(attempt, *source, family == AF_INET ? Family::v4 : Family::v6);
    if (!bound) co_return std::move(bound).error();
  }
  Result<void> connected = co_await connect(attempt, *target, what);
  if (!connected) co_return std::move(connected).error();
  co_return make_stream(std::move(attempt->socket));
}

port::Awaitable<Result<std::string>> AsioDialer::resolve(Address address) {
  if (address.family == Family::unix_socket) co_return std::string();
  boost::system::error_code error;
  const asio::ip::address literal = asio::ip::make_address(address.host, error);
  if (!error && fits(address.family, literal)) co_return host_text(literal);
  if (!error) co_return wrong_family(address);
  const AttemptPointer attempt = begin(kResolveLimit);
  Result<tcp::endpoint> found = co_await look_up(attempt, std::move(address));
  if (!found) co_return std::move(found).error();
  co_return host_text(found->address());
}

}  // namespace

std::unique_ptr<port::Dialer> make_dialer(port::Executor executor) {
  return std::make_unique<AsioDialer>(std::move(executor));
}

}  // namespace hast::adapter
