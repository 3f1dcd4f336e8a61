#include "hast/adapter/nbd/export.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

namespace hast::adapter::nbd {

namespace {

constexpr auto deferred_tuple = asio::as_tuple(asio::deferred);
constexpr std::chrono::seconds kAcceptRetry{1};
constexpr std::chrono::seconds kReportPeriod{10};
constexpr std::size_t kReportsPerPeriod = 30;

bool is_tcp(const Connection::Socket& socket) {
  boost::system::error_code error;
  const auto family = socket.local_endpoint(error).protocol().family();
  return !error && (family == AF_INET || family == AF_INET6);
}

/// Replies leave at once, and a client whose machine died is noticed within minutes.
void tune(Connection::Socket& socket) {
  boost::system::error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
#ifdef TCP_KEEPIDLE
  const int idle_s = 60, interval_s = 10, probes = 6;
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
#endif
}

std::string peer_of(const Connection::Socket& socket) {
  boost::system::error_code error;
  const auto generic = socket.remote_endpoint(error);
  if (error) return {};
  asio::ip::tcp::endpoint peer;
  if (generic.size() > peer.capacity()) return {};
  std::memcpy(peer.data(), generic.data(), generic.size());
  const std::string host = peer.address().to_string();
  return peer.address().is_v6() ? fmt::format(" (tcp://[{}]:{})", host, peer.port())
                                : fmt::format(" (tcp://{}:{})", host, peer.port());
}

/// RFC 3986: everything that is not unreserved is escaped; `/` may stay in a query and a path.
std::string escaped(std::string_view text) {
  std::string uri;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    if (plain) {
      uri += c;
    } else {
      uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return uri;
}

}  // namespace

NbdExport::NbdExport(asio::any_io_executor executor, NbdOptions options)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      acceptor_(executor_),
      retry_(executor_) {}

NbdExport::~NbdExport() { HAST_ASSERT(!accepting_ && connections_.empty()); }

// Life ------------------------------------------------------------------------------------------

Result<void> NbdExport::start() {
  Result<ListeningSocket> opened = ListeningSocket::open(options_.listen);
  if (!opened) return opened.error();
  listening_.emplace(std::move(*opened));
  const int fd = ::dup(listening_->fd());
  boost::system::error_code error(fd < 0 ? errno : 0, boost::system::system_category());
  if (!error) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    acceptor_.assign(asio::generic::stream_protocol(listening_->family(), 0), fd, error);
  }
  if (error) {
    listening_.reset();
    return Error{Errc::io_failed, error.value(), to_string(options_.listen)};
  }
  accepting_ = true;
  asio::co_spawn(executor_, accept_loop(), [this](const std::exception_ptr& exception) {
    if (exception) std::rethrow_exception(exception);
    accepting_ = false;
    check_stopped();
  });
  return {};
}

Result<void> NbdExport::serve(port::RequestSink& sink) {
  if (!listening_) return Error{Errc::internal, 0, "the NBD export was not started"};
  sink_ = &sink;
  ++serial_;
  return {};
}

void NbdExport::withdraw(std::string reason, std::function<void()> done) {
  sink_ = nullptr;
  ++serial_;
  reason_ = std::move(reason);
  withdrawn_.push_back(std::move(done));
  for (const auto& connection : connections_) connection->withdraw();
  check_withdrawn();
}

void NbdExport::stop(std::function<void()> done) {
  stopped_ = std::move(done);
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  retry_.cancel();
  listening_.reset();
  for (const auto& connection : connections_) connection->close();
  check_stopped();
}

/// `done` is posted: whoever called us is not called back from inside.
void NbdExport::check_withdrawn() {
  if (withdrawn_.empty()) return;
  const auto transmits = [](const auto& connection) { return connection->is_transmitting(); };
  if (std::any_of(connections_.begin(), connections_.end(), transmits)) return;
  for (Done& done : std::exchange(withdrawn_, {})) asio::post(executor_, std::move(done));
}

void NbdExport::check_stopped() {
  if (!stopped_ || accepting_ || !connections_.empty()) return;
  asio::post(executor_, std::exchange(stopped_, nullptr));
}

std::string NbdExport::location() const {
  const Address& address = listening_ ? listening_->address() : options_.listen;
  const std::string name = escaped(options_.export_name);
  if (address.family == Address::Family::unix_socket)
    return fmt::format("nbd+unix:///{}?socket={}", name, escaped(address.host));
  const bool is_v6 = address.host.find(':') != std::string::npos;
  const std::string host = is_v6 ? "[" + address.host + "]" : address.host;
  return fmt::format("nbd://{}:{}/{}", host, address.port, name);
}

// Connections -----------------------------------------------------------------------------------

asio::awaitable<void> NbdExport::accept_loop() {
  while (acceptor_.is_open()) {
    auto [error, socket] = co_await acceptor_.async_accept(deferred_tuple);
    if (!acceptor_.is_open()) break;
    if (!error) {
      admit(std::move(socket));
    } else if (error != boost::system::errc::connection_aborted) {
      // Out of descriptors or memory: others may give some back.
      options_.log.warning("No NBD client can be accepted: {}. Trying again.", error.message());
      retry_.expires_after(kAcceptRetry);
      co_await retry_.async_wait(deferred_tuple);
    }
  }
}

void NbdExport::admit(Connection::Socket socket) {
  if (connections_.size() >= options_.limits.connections) return refuse_surplus();
  surplus_reported_ = false;
  std::string name = fmt::format("NBD client {}", ++clients_);
  if (is_tcp(socket)) {
    tune(socket);
    name += peer_of(socket);
  }
  connections_.push_back(std::make_unique<Connection>(std::move(socket), std::move(name),
                                                      static_cast<Connection::Owner&>(*this)));
  connections_.back()->start();
}

void NbdExport::refuse_surplus() {
  if (std::exchange(surplus_reported_, true)) return;
  options_.log.warning(
      "An NBD client was disconnected because {} others are connected already. Close one of them.",
      connections_.size());
}

Connection::Service NbdExport::service() const {
  Connection::Service service;
  service.offer.name = options_.export_name;
  service.offer.description = options_.description;
  service.offer.reason = reason_;
  service.sink = sink_;
  service.serial = serial_;
  if (sink_ != nullptr) service.offer.volume = sink_->volume();
  return service;
}

void NbdExport::report(LogLevel level, const Connection& connection, std::string_view text) {
  const auto now = std::chrono::steady_clock::now();
  if (now - reports_since_ > kReportPeriod) {
    reports_since_ = now;
    reports_ = 0;
  }
  if (++reports_ > kReportsPerPeriod) return;
  switch (level) {
    case LogLevel::warning:
    case LogLevel::error:
      return options_.log.warning("{} {}.", connection.name(), text);
    case LogLevel::info:
      return options_.log.info("{} {}.", connection.name(), text);
    default:
      return options_.log.debug("{} {}.", connection.name(), text);
  }
}

void NbdExport::ended(Connection& connection) {
  connections_.remove_if([&](const auto& owned) { return owned.get() == &connection; });
  check_withdrawn();
  check_stopped();
}

}  // namespace hast::adapter::nbd
