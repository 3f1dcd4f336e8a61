#include "hast/app/control_server.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "hast/app/version.hpp"
#include "hast/engine/frame_writer.hpp"
#include "hast/wire/frame.hpp"

namespace hast::app {

using engine::Awaitable;

ControlServer::ControlServer(engine::Executor executor, port::Net& net, port::Clock& clock,
                             Node& node)
    : executor_(executor), net_(net), clock_(clock), node_(node), tasks_(executor) {}

ControlServer::~ControlServer() { HAST_ASSERT(clients_.empty()); }

Result<void> ControlServer::listen(const Address& address) {
  Result<std::unique_ptr<port::Listener>> listener = net_.listen(address, executor_);
  if (!listener) return std::move(listener).error();
  // Whoever may write to the socket commands the node: its owner and its group, as set up by the
  // operator.
  if (address.family == Address::Family::unix_socket) (void)::chmod(address.host.c_str(), 0660);
  listener_ = std::move(listener).value();
  tasks_.spawn(accept(listener_));
  return {};
}

Result<void> ControlServer::move_to(const Address& address) {
  const std::shared_ptr<port::Listener> old = listener_;
  Result<void> listening = listen(address);
  if (listening && old) old->close();
  return listening;
}

Awaitable<void> ControlServer::stop() {
  stopping_ = true;
  if (listener_) listener_->close();
  for (Client& client : clients_) {
    if (!client.working) client.stream->close();
  }
  co_await tasks_.join();
}

Awaitable<void> ControlServer::accept(std::shared_ptr<port::Listener> listener) {
  for (;;) {
    Result<std::unique_ptr<port::Stream>> stream = co_await listener->accept();
    if (!stream) {
      if (stopping_ || stream.error().code == Errc::cancelled) break;
      log_.error("Cannot accept clients on {}: {}", listener->local(), stream.error().message());
      continue;
    }
    if (!make_room()) {
      log_.warning("A control client was turned away: {} clients have commands under way.",
                   kMaxClients);
      continue;
    }
    Client client;
    client.stream = std::move(stream).value();
    client.last_used = clock_.now();
    clients_.push_back(std::move(client));
    tasks_.spawn(serve(std::prev(clients_.end())));
  }
}

/// Closes the client that has been silent longest when there are too many.
bool ControlServer::make_room() {
  if (clients_.size() < kMaxClients) return true;
  auto longest = clients_.end();
  for (auto it = clients_.begin(); it != clients_.end(); ++it) {
    if (!it->working && (longest == clients_.end() || it->last_used < longest->last_used))
      longest = it;
  }
  if (longest == clients_.end() || clients_.size() >= 2 * kMaxClients) return false;
  longest->working = true;  // not a candidate again while it closes
  longest->stream->close();
  return true;
}

Awaitable<void> ControlServer::serve(ClientPlace client) {
  Result<void> done = co_await converse(client);
  if (!done && done.error().code == Errc::too_large)
    log_.warning("A control client was disconnected: {}", done.error().message());
  clients_.erase(client);
}

Awaitable<Result<void>> ControlServer::converse(ClientPlace client) {
  std::string buffered;
  std::vector<std::byte> piece(4096);
  while (!stopping_) {
    const std::size_t end = buffered.find('\n');
    if (end == std::string::npos) {
      if (buffered.size() > control::kMaxRequestBytes)
        co_return Error{Errc::too_large, 0, "a request line is longer than 64 KiB"};
      Result<std::size_t> got = co_await client->stream->read_some(piece);
      if (!got) co_return std::move(got).error();
      buffered.append(as_text(ConstByteSpan(piece).first(*got)));
      continue;
    }
    std::string line = buffered.substr(0, end);
    buffered.erase(0, end + 1);
    client->working = true;
    client->last_used = clock_.now();
    std::string reply = co_await answer(std::move(line));
    std::vector<boost::asio::const_buffer> buffers{boost::asio::buffer(reply)};
    Result<void> sent = co_await engine::write_all(client->stream.get(), &buffers);
    client->working = false;
    if (!sent) co_return sent;
  }
  co_return Result<void>{};
}

Awaitable<std::string> ControlServer::answer(std::string line) {
  control::Request request = control::decode_request(line);
  if (!request.command) co_return control::encode_error(request.id, request.command.error());
  co_return co_await carry_out(std::move(request.id), std::move(request.command).value());
}

Awaitable<std::string> ControlServer::carry_out(control::RequestId id, control::Command command) {
  if (auto* role = std::get_if<control::RoleRequest>(&command)) {
    control::RoleReply reply = co_await node_.set_role(std::move(*role));
    co_return control::encode_result(id, reply);
  }
  if (auto* status = std::get_if<control::StatusRequest>(&command)) {
    control::StatusReply reply = co_await node_.status(std::move(*status));
    co_return control::encode_result(id, reply);
  }
  if (auto* attach = std::get_if<control::AttachRequest>(&command)) {
    control::AttachReply reply = co_await node_.attach(std::move(*attach));
    co_return control::encode_result(id, reply);
  }
  if (auto* resolve = std::get_if<control::ResolveRequest>(&command)) {
    control::ResolveReply reply = co_await node_.resolve(std::move(*resolve));
    co_return control::encode_result(id, reply);
  }
  if (std::holds_alternative<control::VersionRequest>(command)) {
    control::VersionReply reply;
    reply.version = kVersion;
    reply.pid = ::getpid();
    reply.peer_protocol = wire::kProtocolVersion;
    co_return control::encode_result(id, reply);
  }
  control::PingReply ping;
  co_return control::encode_result(id, ping);
}

}  // namespace hast::app
