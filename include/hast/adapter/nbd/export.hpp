// The NBD front-end of one resource: a listening socket and the connections of its clients. Until
// serve(), and again after withdraw(), clients may connect and ask, and are told the reason why the
// export is refused. Everything on the executor given at birth (an io_context's or a strand); the
// resource owns it and calls stop(), and waits for its `done`, before destroying it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hast/adapter/listening_socket.hpp"
#include "hast/adapter/nbd/connection.hpp"
#include "hast/base/address.hpp"
#include "hast/base/log.hpp"
#include "hast/port/frontend.hpp"

namespace hast::adapter::nbd {

struct NbdLimits {
  std::size_t connections = 64;  // the next client is disconnected and logged
  ConnectionLimits connection;
};

struct NbdOptions {
  Address listen;
  std::string export_name;  // the empty name that clients may ask for means it too
  std::string description;  // for people: NBD_OPT_LIST, nbdinfo
  NbdLimits limits;
  Log log;
};

class NbdExport final : public port::Frontend, private Connection::Owner {
 public:
  NbdExport(asio::any_io_executor executor, NbdOptions options);
  ~NbdExport() override;

  /// Errors: address_invalid, address_in_use, io_failed. After an error nothing runs.
  Result<void> start() override;
  Result<void> serve(port::RequestSink& sink) override;
  void withdraw(std::string reason, std::function<void()> done) override;
  void stop(std::function<void()> done) override;
  std::string location() const override;

  std::size_t connections() const { return connections_.size(); }

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;
  using Done = std::function<void()>;

  asio::awaitable<void> accept_loop();
  void admit(Connection::Socket socket);
  void refuse_surplus();
  void check_withdrawn();
  void check_stopped();

  // Connection::Owner
  Connection::Service service() const override;
  const ConnectionLimits& connection_limits() const override { return options_.limits.connection; }
  void report(LogLevel level, const Connection& connection, std::string_view text) override;
  void ended(Connection& connection) override;

  asio::any_io_executor executor_;
  const NbdOptions options_;
  std::optional<ListeningSocket> listening_;  // owns the file, the acceptor a duplicate of the fd
  Acceptor acceptor_;
  asio::steady_timer retry_;  // of accept()
  bool accepting_ = false;
  bool surplus_reported_ = false;

  port::RequestSink* sink_ = nullptr;
  std::string reason_ = "the export is not open yet";
  std::uint64_t serial_ = 0;
  std::list<std::unique_ptr<Connection>> connections_;
  std::uint64_t clients_ = 0;    // ever, to number them
  std::vector<Done> withdrawn_;  // to be told
  Done stopped_;

  std::chrono::steady_clock::time_point reports_since_{};
  std::size_t reports_ = 0;
};

}  // namespace hast::adapter::nbd
