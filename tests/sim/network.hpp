// The cables of a world and what may go wrong with them: delays, tiny reads, partial writes, paths
// that are cut in one direction or both, resets, refused connections, hosts without power. Bytes
// can be counted so that something happens after exactly the n-th. Everything runs on the virtual
// clock, driven by the world.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "clock.hpp"
#include "connection.hpp"
#include "random.hpp"
#include "trace.hpp"

namespace hast::sim {

/// What a send that does not wait finds: as in a kernel, all there is room for, less, or no room.
enum class AtOnce { nothing, any_part, whole };

struct NetworkOptions {
  port::Duration min_delay = std::chrono::microseconds(50);
  port::Duration max_delay = std::chrono::microseconds(500);
  std::size_t max_read = 0;  // bytes a read returns at most, drawn anew each time; 0: all
  std::size_t max_write = 0;
  std::size_t window_bytes = 512 * 1024;  // under way or unread in one direction
  AtOnce at_once = AtOnce::whole;
};

/// Someone who takes connections to a port of a host.
class Door {
 public:
  virtual void arrived(std::shared_ptr<Connection> connection) = 0;

 protected:
  ~Door() = default;
};

class Network {
 public:
  Network(VirtualClock& clock, Trace& trace, SeededRandom random, NetworkOptions options);

  // Faults. A cut path carries nothing, connections included, until it heals.
  void cut(const std::string& from, const std::string& to);
  void cut_both(const std::string& one, const std::string& other);
  void heal();
  void reset(const std::string& one, const std::string& other);
  /// Half-open: a box in between forgets its connections. They carry nothing any more, and nobody
  /// is told; new ones work.
  void forget(const std::string& one, const std::string& other);
  /// Longer ways from now on.
  void set_delay(port::Duration least, port::Duration most);
  void refuse(const std::string& host);  // no new connections, until heal()
  /// All connections of a host vanish without a word; nothing reaches it until power_on().
  void power_off(const std::string& host);
  void power_on(const std::string& host);
  /// Once, when `bytes` have passed that way, counted from the beginning of the world.
  void when_passed(const std::string& from, const std::string& to, std::uint64_t bytes,
                   VirtualClock::Action action);
  std::uint64_t passed(const std::string& from, const std::string& to) const;
  std::uint64_t dials() const { return dials_; }
  std::uint64_t dials_from(const std::string& host) const;

  // For the ends.
  /// False if the port is taken.
  bool open(const EndPoint& at, Door& door);
  void close(const EndPoint& at);
  enum class Dialled { connected, refused, unanswered };
  using DialDone = std::function<void(Dialled, std::shared_ptr<Connection>)>;
  /// `done` runs once, after a while; not at all when nobody answers: the dialler gives up itself.
  void dial(const std::string& from, const EndPoint& to, DialDone done);

  // For connections.
  VirtualClock& clock() { return clock_; }
  const NetworkOptions& options() const { return options_; }
  bool passes(const std::string& from, const std::string& to) const;
  port::TimePoint arrival();
  std::size_t piece(std::size_t whole, std::size_t limit);
  std::size_t part_at_once(std::size_t whole);
  std::size_t may_pass(const std::string& from, const std::string& to, std::size_t bytes) const;
  void passed(const std::string& from, const std::string& to, std::size_t bytes);

 private:
  using Path = std::pair<std::string, std::string>;
  struct Planned {
    std::uint64_t at = 0;
    VirtualClock::Action action;
  };

  void pump_all();
  void forget_finished();

  VirtualClock& clock_;
  Trace& trace_;
  SeededRandom random_;
  NetworkOptions options_;
  std::set<Path> cuts_;
  std::set<std::string> refusing_;
  std::set<std::string> powerless_;
  std::map<Path, std::uint64_t> passed_;
  std::map<Path, Planned> planned_;
  std::map<std::pair<std::string, std::uint16_t>, Door*> doors_;
  std::map<std::string, std::uint64_t> dials_from_;
  std::vector<std::shared_ptr<Connection>> connections_;
  std::uint64_t dials_ = 0;
  std::uint16_t next_port_ = 20000;
};

}  // namespace hast::sim
