#include "connection.hpp"

#include <algorithm>

#include "network.hpp"

namespace hast::sim {

Connection::Connection(Network& network, EndPoint dialer, EndPoint acceptor)
    : network_(network), points_{std::move(dialer), std::move(acceptor)} {}

bool Connection::between(const std::string& one, const std::string& other) const {
  return (points_[0].host == one && points_[1].host == other) ||
         (points_[0].host == other && points_[1].host == one);
}

void Connection::watch(int end, std::function<void()> changed) {
  side(end).changed = std::move(changed);
}

void Connection::tell(int end) {
  if (side(end).changed) side(end).changed();
}

std::size_t Connection::read(int end, ByteSpan into) {
  Side& mine = side(end);
  std::size_t count = std::min(into.size(), mine.arrived.size());
  if (count == 0) return 0;
  count = network_.piece(count, network_.options().max_read);
  const auto stop = mine.arrived.begin() + static_cast<std::ptrdiff_t>(count);
  std::copy(mine.arrived.begin(), stop, into.begin());
  mine.arrived.erase(mine.arrived.begin(), stop);
  tell(1 - end);  // there is room again
  return count;
}

std::size_t Connection::room(int end, std::span<const boost::asio::const_buffer> from) const {
  const Side& other = side(1 - end);
  const std::size_t used = other.flying_bytes + other.arrived.size();
  const std::size_t window = network_.options().window_bytes;
  std::size_t wanted = 0;
  for (const boost::asio::const_buffer& buffer : from) wanted += buffer.size();
  return std::min(used < window ? window - used : 0, wanted);
}

std::size_t Connection::write(int end, std::span<const boost::asio::const_buffer> from) {
  const std::size_t whole = room(end, from);
  if (whole == 0) return 0;
  const std::size_t count = network_.piece(whole, network_.options().max_write);
  launch(1 - end, from, count);
  return count;
}

std::size_t Connection::write_at_once(int end, std::span<const boost::asio::const_buffer> from) {
  const std::size_t whole = room(end, from);
  if (whole == 0) return 0;
  const std::size_t count = network_.part_at_once(whole);
  if (count > 0) launch(1 - end, from, count);
  return count;
}

void Connection::launch(int to_end, std::span<const boost::asio::const_buffer> from,
                        std::size_t count) {
  std::vector<std::byte> bytes;
  bytes.reserve(count);
  for (const boost::asio::const_buffer& buffer : from) {
    const auto* data = static_cast<const std::byte*>(buffer.data());
    const std::size_t part = std::min(count - bytes.size(), buffer.size());
    bytes.insert(bytes.end(), data, data + part);
  }
  launch(to_end, std::move(bytes));
}

void Connection::launch(int to_end, std::vector<std::byte> bytes) {
  Side& side_there = side(to_end);
  Segment segment;
  segment.at = network_.arrival();
  if (!side_there.flying.empty()) segment.at = std::max(segment.at, side_there.flying.back().at);
  segment.bytes = std::move(bytes);
  side_there.flying_bytes += segment.bytes.size();
  const port::TimePoint at = segment.at;
  side_there.flying.push_back(std::move(segment));
  network_.clock().at(at, [self = weak_from_this(), to_end] {
    if (auto connection = self.lock()) connection->pump(to_end);
  });
}

void Connection::pump(int to_end) {
  if (silent_) return;
  Side& mine = side(to_end);
  const std::string& from = point(1 - to_end).host;
  const std::string& to = point(to_end).host;
  while (!mine.flying.empty() && mine.flying.front().at <= network_.clock().now()) {
    if (!network_.passes(from, to)) return;  // sent again when it heals
    Segment& segment = mine.flying.front();
    if (segment.bytes.empty()) {
      mine.flying.pop_front();
      mine.eof = true;
      tell(to_end);
      continue;
    }
    arrive(to_end, segment);
    if (mine.flying.empty() || mine.broken) return;
    if (mine.flying.front().bytes.empty()) mine.flying.pop_front();
  }
}

/// Delivers the segment, or the part of it that comes before a planned event.
void Connection::arrive(int to_end, Segment& segment) {
  Side& mine = side(to_end);
  const std::string& from = point(1 - to_end).host;
  const std::string& to = point(to_end).host;
  const std::size_t part = network_.may_pass(from, to, segment.bytes.size());
  const ConstByteSpan delivered = ConstByteSpan(segment.bytes).first(part);
  if (!mine.gone) mine.arrived.insert(mine.arrived.end(), delivered.begin(), delivered.end());
  segment.bytes.erase(segment.bytes.begin(),
                      segment.bytes.begin() + static_cast<std::ptrdiff_t>(part));
  mine.flying_bytes -= part;
  // Nobody is there: a reset comes back.
  if (mine.gone && part > 0 && network_.passes(to, from)) break_side(1 - to_end);
  tell(to_end);
  network_.passed(from, to, part);
}

void Connection::close(int end) {
  Side& mine = side(end);
  if (mine.gone) return;
  mine.gone = true;
  mine.arrived.clear();
  mine.changed = nullptr;
  if (!mine.broken) launch(1 - end, {});
}

void Connection::vanish(int end) {
  Side& mine = side(end);
  mine.gone = true;
  mine.arrived.clear();
  mine.changed = nullptr;
  Side& other = side(1 - end);
  other.flying.clear();  // what was under way dies with the host's buffers
  other.flying_bytes = 0;
}

void Connection::reset() {
  break_side(0);
  break_side(1);
}

void Connection::break_side(int end) {
  Side& mine = side(end);
  if (mine.broken) return;
  mine.broken = mine.eof = true;
  mine.arrived.clear();
  mine.flying.clear();
  mine.flying_bytes = 0;
  tell(end);
}

}  // namespace hast::sim
