#include "hast/adapter/ggate/pump.hpp"

#include <cerrno>

#include "support/catch.hpp"
#include "support/ram_sink.hpp"

namespace ggate = hast::adapter::ggate;
using ggate::Exchange;
using ggate::GateCommand;
using hast::IoKind;
using hast::test::RamSink;

namespace {

constexpr std::uint64_t kBlock = hast::port::kBlockBytes;
constexpr std::uint64_t kMiB = 1024 * 1024;

/// A pump whose owner only takes notes.
struct Rig final : ggate::Pump::Owner {
  explicit Rig(hast::test::RamSinkOptions options) : sink(options), pump(sink, *this) {}

  Exchange& begin(GateCommand command, std::uint64_t offset, std::uint64_t length) {
    Exchange& exchange = exchanges.emplace_back();
    exchange.request = {exchanges.size(), command, offset, length};
    REQUIRE(exchange.make_room(command == GateCommand::remove ? 1 : length));
    pump.begin(exchange);
    return exchange;
  }
  void concluded(Exchange& exchange) override { order.push_back(exchange.request.sequence); }
  void progress_due() override { due = true; }
  /// As the front-end does after a turn of the sink.
  void turn() {
    sink.turn();
    if (std::exchange(due, false)) pump.progress();
  }

  RamSink sink;
  ggate::Pump pump;
  std::deque<Exchange> exchanges;
  std::vector<std::uint64_t> order;
  bool due = false;
};

}  // namespace

TEST_CASE("a delete of the whole device leaves slots for others") {
  constexpr std::uint64_t size_bytes = 18 * hast::port::kMaxDiscardBytes;
  Rig rig({size_bytes, 512, 20});
  rig.sink.hold();
  rig.begin(GateCommand::remove, 0, size_bytes);
  CHECK(rig.sink.submitted() == 16);
  rig.begin(GateCommand::write, 0, kBlock);
  CHECK(rig.sink.submitted() == 17);
  rig.sink.complete_at(16);
  CHECK(rig.order == std::vector<std::uint64_t>{2});
  rig.sink.unhold();
  while (!rig.pump.is_idle()) rig.turn();
  CHECK(rig.order == std::vector<std::uint64_t>{2, 1});
  CHECK(rig.sink.all_free());
}

TEST_CASE("the rest of a failed request is not submitted") {
  Rig rig({4 * kMiB, 512, 2});
  rig.sink.fail(IoKind::write, 0, kBlock, EIO);
  rig.sink.keep_journal();
  Exchange& exchange = rig.begin(GateCommand::write, 0, kMiB);
  while (!rig.pump.is_idle()) rig.turn();
  CHECK(exchange.error == EIO);
  CHECK_FALSE(exchange.abandoned);
  CHECK(rig.sink.take_journal().size() == 2);
  CHECK(rig.sink.waiters() == 0);
  CHECK(rig.order.size() == 1);
}

TEST_CASE("requests that wait for a slot are served in their order") {
  Rig rig({4 * kMiB, 512, 1});
  for (std::uint64_t i = 0; i < 4; ++i) rig.begin(GateCommand::read, i * kBlock, 512);
  while (!rig.pump.is_idle()) rig.turn();
  CHECK(rig.order == std::vector<std::uint64_t>{1, 2, 3, 4});
}

TEST_CASE("a pump that is stopped abandons what the sink does not have, and waits for the rest") {
  Rig rig({4 * kMiB, 512, 2});
  rig.sink.hold();
  Exchange& half = rig.begin(GateCommand::write, 0, kMiB);
  Exchange& waiting = rig.begin(GateCommand::flush, 0, 0);
  rig.pump.stop();
  CHECK(rig.order == std::vector<std::uint64_t>{2});
  CHECK(waiting.abandoned);
  CHECK_FALSE(rig.pump.is_idle());
  Exchange& late = rig.begin(GateCommand::read, 0, 512);
  CHECK(late.abandoned);
  rig.sink.unhold();
  rig.turn();
  CHECK(rig.pump.is_idle());
  CHECK(half.abandoned);
  CHECK(rig.order == std::vector<std::uint64_t>{2, 3, 1});
  CHECK(rig.sink.all_free());
}

TEST_CASE("a stopped pump gives back a slot that was kept for it") {
  Rig rig({4 * kMiB, 512, 1});
  rig.sink.hold();
  rig.begin(GateCommand::write, 0, 2 * kBlock);
  rig.sink.complete_at(0);
  rig.sink.turn();  // the slot is the waiter's now
  CHECK(rig.due);
  rig.pump.stop();
  CHECK(rig.sink.all_free());
  CHECK(rig.pump.is_idle());
  CHECK(rig.exchanges[0].abandoned);
}

TEST_CASE("a read keeps what its pieces brought, whatever their order") {
  Rig rig({4 * kMiB, 512, 8});
  for (std::uint64_t i = 0; i < 4; ++i) rig.sink.memory()[i * kBlock + 5] = std::byte(i + 1);
  rig.sink.hold();
  Exchange& exchange = rig.begin(GateCommand::read, 0, 4 * kBlock);
  REQUIRE(rig.sink.submitted() == 4);
  for (const std::size_t n : {3u, 1u, 1u, 0u}) rig.sink.complete_at(n);
  CHECK(rig.pump.is_idle());
  REQUIRE(exchange.data().size() == 4 * kBlock);
  for (std::uint64_t i = 0; i < 4; ++i) CHECK(exchange.data()[i * kBlock + 5] == std::byte(i + 1));
}
