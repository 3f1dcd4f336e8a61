// The control socket: JSON-RPC lines in, JSON-RPC lines out (docs/control-api.md). Every client is
// a coroutine of its own, so a silent or slow one blocks nobody; their number and their lines are
// bounded. Owned by the daemon, on the main executor.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "hast/app/node.hpp"

namespace hast::app {

class ControlServer {
 public:
  static constexpr std::size_t kMaxClients = 64;

  ControlServer(engine::Executor executor, port::Net& net, port::Clock& clock, Node& node);
  ~ControlServer();

  /// Errors: those of port::Net::listen(). May be called again after close() with another address.
  Result<void> listen(const Address& address);
  /// Switches to another socket; clients of the old one stay.
  Result<void> move_to(const Address& address);
  engine::Awaitable<void> stop();

 private:
  struct Client {
    std::unique_ptr<port::Stream> stream;
    port::TimePoint last_used;
    bool working = false;  // a command of it is being carried out
  };
  using ClientPlace = std::list<Client>::iterator;

  engine::Awaitable<void> accept(std::shared_ptr<port::Listener> listener);
  engine::Awaitable<void> serve(ClientPlace client);
  engine::Awaitable<Result<void>> converse(ClientPlace client);
  engine::Awaitable<std::string> answer(std::string line);
  engine::Awaitable<std::string> carry_out(control::RequestId id, control::Command command);
  bool make_room();

  engine::Executor executor_;
  port::Net& net_;
  port::Clock& clock_;
  Node& node_;
  Log log_;
  engine::TaskGroup tasks_;
  std::shared_ptr<port::Listener> listener_;
  std::list<Client> clients_;
  bool stopping_ = false;
};

}  // namespace hast::app
