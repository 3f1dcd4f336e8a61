#include "hast/engine/frame_reader.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "hast/wire/request.hpp"
#include "support/catch.hpp"

namespace hast::engine {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kLarge = 128 * 1024;

/// A stream that has everything already, or of which each byte has to be waited for.
class Recording final : public port::Stream {
 public:
  Recording(asio::io_context& io, bool is_there) : io_(io), is_there_(is_there) {}

  void add_write(std::size_t payload_bytes) {
    wire::Request request;
    request.command = wire::Command::write;
    request.seq = 1;
    request.length_bytes = payload_bytes;
    request.payload.size_bytes = static_cast<std::uint32_t>(payload_bytes);
    std::vector<std::byte> frame(wire::kMaxEncodedBytes);
    frame.resize(wire::encode(request, 2, frame));
    bytes_.insert(bytes_.end(), frame.begin(), frame.end());
    bytes_.insert(bytes_.end(), payload_bytes, std::byte{7});
  }
  std::size_t longest_run() const { return longest_run_; }

  port::Awaitable<Result<std::size_t>> read_some(ByteSpan into) override {
    return read_into(into, {});
  }
  port::Awaitable<Result<std::size_t>> read_into(ByteSpan into, ByteSpan surplus) override {
    run_ = 0;
    co_await asio::post(io_, asio::use_awaitable);
    const std::size_t count = take(into, surplus);
    if (count == 0) co_return Errc::connection_closed;
    co_return count;
  }
  std::size_t try_read(ByteSpan into, ByteSpan surplus) override {
    if (!is_there_) return 0;
    const std::size_t count = take(into, surplus);
    longest_run_ = std::max(longest_run_, run_ += count);
    return count;
  }
  port::Awaitable<Result<std::size_t>> write_some(std::span<const asio::const_buffer>) override {
    co_return Errc::unsupported;
  }
  void close() override {}
  std::string local() const override { return {}; }
  std::string peer() const override { return {}; }
  std::string peer_host() const override { return {}; }

 private:
  std::size_t take(ByteSpan into, ByteSpan surplus) {
    const std::size_t first = copy(into);
    return first < into.size() ? first : first + copy(surplus);
  }
  std::size_t copy(ByteSpan into) {
    const std::size_t count = std::min(into.size(), bytes_.size() - at_);
    if (count > 0) std::memcpy(into.data(), bytes_.data() + at_, count);
    at_ += count;
    return count;
  }

  asio::io_context& io_;
  const bool is_there_;
  std::vector<std::byte> bytes_;
  std::size_t at_ = 0;
  std::size_t run_ = 0;  // bytes taken since the last wait
  std::size_t longest_run_ = 0;
};

/// Someone who takes one request after the other, as a session does, until the stream ends.
struct World {
  explicit World(bool is_there) : stream(io, is_there) {}

  asio::io_context io{1};
  Recording stream;
  std::size_t ends = 0;
  std::size_t taken = 0;
  bool whole = true;
  TurnEnd turn{io.get_executor(), [this] { ++ends; }, [] {}};

  /// All are taken, and whole.
  void take(std::size_t writes, std::size_t payload_bytes) {
    for (std::size_t i = 0; i < writes; ++i) stream.add_write(payload_bytes);
    asio::co_spawn(io, take_all(), asio::detached);
    io.run();
    CHECK(taken == writes);
    CHECK(whole);
  }
  Awaitable<void> take_all() {
    FrameReader reader(stream, turn);
    std::vector<std::byte> block(kLarge);
    turn.open();
    for (;;) {
      Result<Frame> frame = co_await reader.next();
      if (!frame) break;
      const Result<wire::Request> request = wire::decode_request(frame->nv);
      if (!request) break;
      const ByteSpan into = ByteSpan(block).first(request->length_bytes);
      std::fill(into.begin(), into.end(), std::byte{});
      if (!co_await reader.payload(request->payload, into)) break;
      whole = whole && std::count(into.begin(), into.end(), std::byte{7}) ==
                           static_cast<std::ptrdiff_t>(into.size());
      ++taken;
      turn.due();
    }
    turn.close();
  }
};

}  // namespace

TEST_CASE("Large payloads that are there already are taken in one turn") {
  World world(true);
  world.take(3, kLarge);
  CHECK(world.ends == 1);
}

TEST_CASE("A turn takes half a MiB of large payloads, then others have theirs") {
  World world(true);
  world.take(32, kLarge);
  CHECK(world.stream.longest_run() >= 4 * kLarge);
  CHECK(world.stream.longest_run() < 6 * kLarge);
  CHECK(world.ends >= 32 / 6);
}

TEST_CASE("The turn ends before what has to be waited for") {
  World world(false);
  world.take(3, kLarge);
  CHECK(world.ends == 3);
}

TEST_CASE("Small payloads are waited for: what they ask for begins meanwhile") {
  World world(true);
  world.take(32, 4096);
  CHECK(world.stream.longest_run() == 0);
  CHECK(world.ends >= 4);
}

}  // namespace hast::engine
