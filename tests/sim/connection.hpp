// One simulated TCP connection: two pipes of bytes under way. End 0 dialled, end 1 accepted. What
// an end writes flies for a while and arrives in order; where the path is cut or the host is down
// it waits (TCP would send it again) and goes on when the path heals. Closing sends an
// end-of-stream behind the data; bytes for an end that is gone are answered with a reset, if its
// host is up to answer. Kept by the ends and by the Network; knows no coroutines.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hast/base/bytes.hpp"
#include "hast/port/clock.hpp"

namespace hast::sim {

class Network;

struct EndPoint {
  std::string host;
  std::uint16_t port = 0;
  std::string text() const { return "tcp://" + host + ":" + std::to_string(port); }
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Network& network, EndPoint dialer, EndPoint acceptor);

  const EndPoint& point(int end) const { return points_[static_cast<std::size_t>(end)]; }

  /// Bytes moved, 0 when there are none to read or no room to write.
  std::size_t read(int end, ByteSpan into);
  std::size_t write(int end, std::span<const boost::asio::const_buffer> from);
  /// What goes without waiting for room.
  std::size_t write_at_once(int end, std::span<const boost::asio::const_buffer> from);
  /// Nothing more will come: the other end closed, or the connection was reset.
  bool finished(int end) const { return side(end).eof && side(end).arrived.empty(); }
  bool broken(int end) const { return side(end).broken; }

  void close(int end);
  /// The host of this end lost power: nothing leaves any more, not even a goodbye.
  void vanish(int end);
  /// Nothing arrives any more, in either direction, not even an end or a reset.
  void fall_silent() { silent_ = true; }
  /// A reset that both ends see at once.
  void reset();
  /// Called whenever read(), write() or finished() of that end may have another answer.
  void watch(int end, std::function<void()> changed);

  /// Delivers what may arrive by now.
  void pump(int to_end);
  bool over() const { return side(0).gone && side(1).gone; }
  bool between(const std::string& one, const std::string& other) const;

 private:
  struct Segment {
    port::TimePoint at{};
    std::vector<std::byte> bytes;  // empty: end of stream
  };
  /// What one end knows: the pipe towards it, and whether it still cares.
  struct Side {
    std::deque<Segment> flying;
    std::size_t flying_bytes = 0;
    std::deque<std::byte> arrived;
    std::function<void()> changed;
    bool eof = false;
    bool broken = false;
    bool gone = false;  // closed or vanished
  };

  Side& side(int end) { return sides_[static_cast<std::size_t>(end)]; }
  const Side& side(int end) const { return sides_[static_cast<std::size_t>(end)]; }
  std::size_t room(int end, std::span<const boost::asio::const_buffer> from) const;
  void launch(int to_end, std::span<const boost::asio::const_buffer> from, std::size_t count);
  void launch(int to_end, std::vector<std::byte> bytes);
  void arrive(int to_end, Segment& segment);
  void break_side(int end);
  void tell(int end);

  Network& network_;
  std::array<EndPoint, 2> points_;
  std::array<Side, 2> sides_;
  bool silent_ = false;
};

}  // namespace hast::sim
