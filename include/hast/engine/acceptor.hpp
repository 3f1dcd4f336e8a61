// The listening side of a node: takes connections, checks who they are, reads their first message
// and hands them to the resource they name. A silent or hostile connection costs one coroutine with
// a deadline and blocks nobody; their number is bounded. Owned by app::Node, on the main executor.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "hast/base/log.hpp"
#include "hast/engine/repeat_filter.hpp"
#include "hast/engine/resource.hpp"
#include "hast/engine/task_group.hpp"

namespace hast::engine {

/// The resources there are, looked up by the name a peer gives. On the main executor.
class ResourceDirectory {
 public:
  /// Shared: a reload may drop the resource while a connection is on its way to it.
  virtual std::shared_ptr<Resource> find_resource(std::string_view name) = 0;
  /// Every configured peer address, resource by resource.
  virtual std::vector<Address> peer_addresses() = 0;

 protected:
  ~ResourceDirectory() = default;
};

class Acceptor {
 public:
  static constexpr std::size_t kMaxPending = 256;

  Acceptor(Executor executor, port::Net& net, port::Clock& clock, ResourceDirectory& directory);
  ~Acceptor();

  /// Errors: those of port::Net::listen().
  Result<void> listen(const Address& address);
  /// Stops listening there; connections that already reached a resource go on.
  void unlisten(const Address& address);
  std::vector<Address> listening() const;
  Awaitable<void> stop();

 private:
  struct Door {
    Address address;
    std::unique_ptr<port::Listener> listener;
    std::unique_ptr<port::Timer> pause;  // after a failed accept
    bool closed = false;
    bool ended = false;  // its coroutine has
  };
  /// A connection that has not said yet what it wants.
  struct Visitor {
    std::unique_ptr<port::Stream> stream;
    port::TimePoint deadline;
    bool expired = false;
  };
  using VisitorPlace = std::list<Visitor>::iterator;

  static void close(Door& door);
  Awaitable<void> accept(Door* door);
  Awaitable<void> serve(VisitorPlace place);
  Awaitable<Result<void>> receive(VisitorPlace place);
  Awaitable<Result<void>> hand_over(VisitorPlace place, Frame frame);
  Awaitable<Result<void>> refuse(port::Stream* stream, wire::Refusal refusal);
  Awaitable<bool> is_peer(std::string host, std::vector<Address> peers);
  Awaitable<void> watch();

  Executor executor_;
  port::Net& net_;
  port::Clock& clock_;
  ResourceDirectory& directory_;
  Log log_;
  TaskGroup tasks_;
  std::unique_ptr<port::Timer> watch_timer_;
  std::list<Door> doors_;
  std::list<Visitor> visitors_;
  RepeatFilter complaints_;
  bool stopping_ = false;
  bool watching_ = false;
};

}  // namespace hast::engine
