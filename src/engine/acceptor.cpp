#include "hast/engine/acceptor.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hast::engine {

namespace {

using namespace std::chrono_literals;

constexpr port::Duration kFirstMessageTime = 20s;  // wire-protocol §4
constexpr port::Duration kWatchInterval = 1s;
constexpr port::Duration kAcceptPause = 200ms;
constexpr std::size_t kShownBytes = 64;  // of a name that a stranger chose

}  // namespace

Acceptor::Acceptor(Executor executor, port::Net& net, port::Clock& clock,
                   ResourceDirectory& directory)
    : executor_(executor),
      net_(net),
      clock_(clock),
      directory_(directory),
      tasks_(executor),
      watch_timer_(clock.make_timer(executor)) {}

Acceptor::~Acceptor() { HAST_ASSERT(visitors_.empty()); }

Result<void> Acceptor::listen(const Address& address) {
  Result<std::unique_ptr<port::Listener>> listener = net_.listen(address, executor_);
  if (!listener) return std::move(listener).error();
  doors_.push_back(Door{address, std::move(listener).value(), clock_.make_timer(executor_)});
  tasks_.spawn(accept(&doors_.back()));
  if (!watching_) {
    watching_ = true;
    tasks_.spawn(watch());
  }
  return {};
}

void Acceptor::unlisten(const Address& address) {
  for (Door& door : doors_) {
    if (door.address != address || door.closed) continue;
    close(door);
  }
}

void Acceptor::close(Door& door) {
  door.closed = true;
  door.listener->close();
  door.pause->cancel();
}

std::vector<Address> Acceptor::listening() const {
  std::vector<Address> addresses;
  for (const Door& door : doors_) {
    if (!door.closed) addresses.push_back(door.address);
  }
  return addresses;
}

Awaitable<void> Acceptor::stop() {
  stopping_ = true;
  for (Door& door : doors_) close(door);
  for (Visitor& visitor : visitors_) {
    if (visitor.stream) visitor.stream->close();
  }
  watch_timer_->cancel();
  co_await tasks_.join();
  doors_.clear();
}

Awaitable<void> Acceptor::accept(Door* door) {
  while (!door->closed) {
    Result<std::unique_ptr<port::Stream>> stream = co_await door->listener->accept();
    if (!stream) {
      if (door->closed) break;
      const std::string why = stream.error().message();
      if (complaints_.passes(why, clock_.now()))
        log_.error("Cannot accept connections on {}: {}", door->listener->local(), why);
      // Out of descriptors or memory, as a rule: trying again at once would only burn the
      // processor.
      co_await door->pause->wait_for(kAcceptPause);
      continue;
    }
    if (visitors_.size() >= kMaxPending) {
      if (complaints_.passes("crowd", clock_.now()))
        log_.warning(
            "Connection from {} refused: {} connections have not identified themselves yet.",
            (*stream)->peer(), visitors_.size());
      continue;
    }
    Visitor visitor;
    visitor.stream = std::move(stream).value();
    visitor.deadline = clock_.now() + kFirstMessageTime;
    visitors_.push_back(std::move(visitor));
    tasks_.spawn(serve(std::prev(visitors_.end())));
  }
  door->ended = true;
}

Awaitable<void> Acceptor::serve(VisitorPlace place) {
  const std::string peer = place->stream->peer_host();
  Result<void> done = co_await receive(place);
  if (!done && !stopping_) {
    const bool expired = place->expired;
    const std::string line =
        fmt::format("Connection from {} closed: {}", peer.empty() ? "a UNIX socket" : peer,
                    expired ? "it said nothing for 20 seconds." : done.error().message());
    if (complaints_.passes(line, clock_.now())) log_.warning("{}", line);
  }
  visitors_.erase(place);
}

Awaitable<Result<void>> Acceptor::receive(VisitorPlace place) {
  const std::string host = place->stream->peer_host();
  const bool known = co_await is_peer(host, directory_.peer_addresses());
  if (!known) co_return Error{Errc::access_denied, 0, "it is no configured peer"};
  FrameReader reader(*place->stream, wire::kFrameHeaderBytes + wire::kMaxNvBytes);
  Result<Frame> frame = co_await reader.next();
  if (!frame) co_return std::move(frame).error();
  co_return co_await hand_over(place, *frame);
}

Awaitable<Result<void>> Acceptor::hand_over(VisitorPlace place, Frame frame) {
  const bool second = wire::is_second_hello(frame.nv);
  std::string name;
  wire::FirstHello first_hello;
  wire::SecondHello second_hello;
  if (second) {
    Result<wire::SecondHello> hello = wire::decode_second_hello(frame.nv);
    if (!hello) co_return std::move(hello).error();
    second_hello = *hello;
    name = second_hello.resource;
  } else {
    Result<wire::FirstHello> hello = wire::decode_first_hello(frame.nv);
    if (!hello) co_return std::move(hello).error();
    first_hello = *hello;
    name = first_hello.resource;
  }
  std::shared_ptr<Resource> resource = directory_.find_resource(name);
  if (resource == nullptr) {
    wire::Refusal refusal{"Resource not configured.", false};
    (void)co_await refuse(place->stream.get(), std::move(refusal));
    co_return Error{
        Errc::no_such_resource, 0,
        "it asks for resource \"" + name.substr(0, kShownBytes) + "\", which is not configured"};
  }
  const std::optional<Address> remote = resource->settings().remote;
  std::vector<Address> allowed;
  if (remote) allowed.push_back(*remote);
  const bool own_peer = co_await is_peer(place->stream->peer_host(), std::move(allowed));
  resource = directory_.find_resource(name);  // it may have gone while the name was resolved
  if (!own_peer || resource == nullptr) {
    wire::Refusal refusal{"No access to the resource.", false};
    (void)co_await refuse(place->stream.get(), std::move(refusal));
    co_return Error{Errc::access_denied, 0, "it is not the peer of resource " + name};
  }
  Arrival arrival;
  arrival.stream = std::move(place->stream);
  arrival.version = first_hello.version;
  // The rest happens where the resource lives.
  co_await boost::asio::post(
      boost::asio::bind_executor(resource->executor(), boost::asio::use_awaitable));
  std::optional<wire::Refusal> refused =
      second ? resource->adopt_second(arrival, std::move(second_hello))
             : resource->adopt_first(arrival);
  co_await boost::asio::post(boost::asio::bind_executor(executor_, boost::asio::use_awaitable));
  if (!refused) co_return Result<void>{};
  place->stream = std::move(arrival.stream);
  Error error{Errc::access_denied, 0, "resource " + name + ": " + refused->text};
  (void)co_await refuse(place->stream.get(), std::move(*refused));
  co_return error;
}

Awaitable<Result<void>> Acceptor::refuse(port::Stream* stream, wire::Refusal refusal) {
  std::vector<std::byte> frame(wire::kMaxEncodedBytes);
  Result<std::size_t> size = wire::encode(refusal, wire::kOriginalVersion, frame);
  if (!size) co_return std::move(size).error();
  std::vector<boost::asio::const_buffer> buffers{boost::asio::const_buffer(frame.data(), *size)};
  co_return co_await write_all(stream, &buffers);
}

/// Compares numbers, never text: every address of `peers` is resolved first. UNIX connections have
/// no address; who may open the socket is the file system's business.
Awaitable<bool> Acceptor::is_peer(std::string host, std::vector<Address> peers) {
  std::unique_ptr<port::Dialer> resolver = net_.make_dialer(executor_);
  for (const Address& peer : peers) {
    if (peer.family == Address::Family::unix_socket) {
      if (host.empty()) co_return true;
      continue;
    }
    if (peer.host == host) co_return true;
    Result<std::string> number = co_await resolver->resolve(peer);
    if (number && *number == host) co_return true;
  }
  co_return false;
}

Awaitable<void> Acceptor::watch() {
  while (!stopping_) {
    co_await watch_timer_->wait_for(kWatchInterval);
    const port::TimePoint now = clock_.now();
    for (Visitor& visitor : visitors_) {
      if (now < visitor.deadline || !visitor.stream) continue;
      visitor.expired = true;
      visitor.stream->close();
    }
    std::erase_if(doors_, [](const Door& door) { return door.ended; });
  }
}

}  // namespace hast::engine
