#include "network.hpp"

#include <algorithm>

namespace hast::sim {

Network::Network(VirtualClock& clock, Trace& trace, SeededRandom random, NetworkOptions options)
    : clock_(clock), trace_(trace), random_(random), options_(options) {}

// Faults ------------------------------------------------------------------------------------------

void Network::cut(const std::string& from, const std::string& to) {
  trace_.note("net cut", from + ">" + to);
  cuts_.insert({from, to});
}

void Network::cut_both(const std::string& one, const std::string& other) {
  cut(one, other);
  cut(other, one);
}

void Network::heal() {
  trace_.note("net heal", "net");
  cuts_.clear();
  refusing_.clear();
  pump_all();
}

void Network::reset(const std::string& one, const std::string& other) {
  trace_.note("net reset", one);
  const std::vector<std::shared_ptr<Connection>> present = connections_;
  for (const std::shared_ptr<Connection>& connection : present) {
    if (connection->between(one, other)) connection->reset();
  }
}

void Network::forget(const std::string& one, const std::string& other) {
  trace_.note("net forget", one);
  for (const std::shared_ptr<Connection>& connection : connections_) {
    if (connection->between(one, other)) connection->fall_silent();
  }
}

void Network::set_delay(port::Duration least, port::Duration most) {
  options_.min_delay = least;
  options_.max_delay = most;
}

void Network::refuse(const std::string& host) { refusing_.insert(host); }

void Network::power_off(const std::string& host) {
  powerless_.insert(host);
  for (const std::shared_ptr<Connection>& connection : connections_) {
    for (const int end : {0, 1}) {
      if (connection->point(end).host == host) connection->vanish(end);
    }
  }
}

void Network::power_on(const std::string& host) {
  powerless_.erase(host);
  pump_all();  // what was sent to the former life of the host is answered with resets
}

void Network::when_passed(const std::string& from, const std::string& to, std::uint64_t bytes,
                          VirtualClock::Action action) {
  HAST_ASSERT(bytes > passed(from, to));
  Planned planned{bytes, std::move(action)};
  planned_.insert_or_assign({from, to}, std::move(planned));
}

std::uint64_t Network::passed(const std::string& from, const std::string& to) const {
  const auto found = passed_.find({from, to});
  return found == passed_.end() ? 0 : found->second;
}

std::uint64_t Network::dials_from(const std::string& host) const {
  const auto found = dials_from_.find(host);
  return found == dials_from_.end() ? 0 : found->second;
}

void Network::pump_all() {
  const std::vector<std::shared_ptr<Connection>> present = connections_;
  for (const std::shared_ptr<Connection>& connection : present) {
    connection->pump(0);
    connection->pump(1);
  }
}

void Network::forget_finished() {
  std::erase_if(connections_, [](const auto& connection) { return connection->over(); });
}

// The ends ----------------------------------------------------------------------------------------

bool Network::open(const EndPoint& at, Door& door) {
  return doors_.emplace(std::pair{at.host, at.port}, &door).second;
}

void Network::close(const EndPoint& at) { doors_.erase({at.host, at.port}); }

void Network::dial(const std::string& from, const EndPoint& to, DialDone done) {
  ++dials_;
  ++dials_from_[from];
  trace_.note("dial", from, dials_);
  const EndPoint caller{from, next_port_++};
  clock_.at(arrival(), [this, caller, to, done = std::move(done)] {
    if (!passes(caller.host, to.host) || !passes(to.host, caller.host))
      return done(Dialled::unanswered, nullptr);
    const auto door = doors_.find({to.host, to.port});
    if (door == doors_.end() || refusing_.contains(to.host)) return done(Dialled::refused, nullptr);
    auto connection = std::make_shared<Connection>(*this, caller, to);
    forget_finished();
    connections_.push_back(connection);
    door->second->arrived(connection);
    clock_.at(arrival(), [connection, done] { done(Dialled::connected, connection); });
  });
}

// Connections -------------------------------------------------------------------------------------

bool Network::passes(const std::string& from, const std::string& to) const {
  return !cuts_.contains({from, to}) && !powerless_.contains(from) && !powerless_.contains(to);
}

port::TimePoint Network::arrival() {
  return clock_.now() + random_.between(options_.min_delay, options_.max_delay);
}

/// At most `limit` of `whole`, the exact number drawn: streams promise nothing about pieces.
std::size_t Network::piece(std::size_t whole, std::size_t limit) {
  if (limit == 0) return whole;
  return std::min<std::size_t>(whole, random_.between(1, limit));
}

/// How much of `whole`, more than 0, a send takes that does not wait.
std::size_t Network::part_at_once(std::size_t whole) {
  if (options_.at_once == AtOnce::whole) return whole;
  if (options_.at_once == AtOnce::nothing || random_.chance(25)) return 0;
  return random_.chance(50) ? whole : random_.between(1, whole);
}

std::size_t Network::may_pass(const std::string& from, const std::string& to,
                              std::size_t bytes) const {
  const auto planned = planned_.find({from, to});
  if (planned == planned_.end()) return bytes;
  return std::min<std::uint64_t>(bytes, planned->second.at - passed(from, to));
}

void Network::passed(const std::string& from, const std::string& to, std::size_t bytes) {
  const std::uint64_t total = passed_[{from, to}] += bytes;
  trace_.note("passed", from, total);
  const auto planned = planned_.find({from, to});
  if (planned == planned_.end() || total < planned->second.at) return;
  const VirtualClock::Action action = std::move(planned->second.action);
  planned_.erase(planned);
  action();
}

}  // namespace hast::sim
