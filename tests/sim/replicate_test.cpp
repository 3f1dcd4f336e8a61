// Requests of clients over two nodes: where the bytes end up, and when the client hears of it.
#include <algorithm>

#include "support/catch.hpp"
#include "world.hpp"

using namespace hast;
using namespace hast::sim;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kBlock = 128 * 1024;

bool both_hold(World& world, std::uint64_t offset, std::uint64_t length, unsigned fill) {
  for (Machine* machine : {&world.a(), &world.b()}) {
    const ConstByteSpan bytes = machine->data().subspan(offset, length);
    if (!std::all_of(bytes.begin(), bytes.end(),
                     [fill](std::byte b) { return b == static_cast<std::byte>(fill); }))
      return false;
  }
  return true;
}

ClientRequest request_of(IoKind kind, std::uint64_t offset, std::uint64_t length) {
  ClientRequest asked;
  asked.kind = kind;
  asked.offset_bytes = offset;
  asked.length_bytes = length;
  if (kind == IoKind::write) asked.data.assign(length, std::byte{0x5c});
  return asked;
}

/// Submitted, not waited for.
struct Pending {
  std::shared_ptr<std::optional<int>> outcome = std::make_shared<std::optional<int>>();
  bool answered() const { return outcome->has_value(); }
};
Pending submit(Machine& machine, ClientRequest request) {
  Pending pending;
  request.done = [outcome = pending.outcome](int error, ConstByteSpan) { *outcome = error; };
  machine.frontend()->request(std::move(request));
  return pending;
}

}  // namespace

TEST_CASE("a write reaches both disks in every mode, over any stream") {
  const auto mode = GENERATE(Replication::fullsync, Replication::memsync, Replication::async);
  const auto checksum = GENERATE(Checksum::none, Checksum::crc32, Checksum::sha256);
  const auto compression = GENERATE(Compression::none, Compression::hole, Compression::lzf);
  WorldOptions options;
  options.replication = mode;
  options.checksum = checksum;
  options.compression = compression;
  options.network.max_read = 1000;
  options.network.max_write = 3000;
  World world(options);
  REQUIRE(world.start_pair());
  CHECK(world.a().write(0, kBlock, 0x11) == 0);
  CHECK(world.a().write(512, 512, 0x22) == 0);
  CHECK(world.a().write(3 * kBlock, kBlock, 0) == 0);
  world.run_for(100ms);
  CHECK(both_hold(world, 0, 512, 0x11));
  CHECK(both_hold(world, 512, 512, 0x22));
  CHECK(both_hold(world, 1024, kBlock - 1024, 0x11));
  CHECK(world.different_bytes() == 0);
}

TEST_CASE("streams that move one byte at a time change nothing") {
  WorldOptions options;
  options.network.max_read = 1;
  options.network.max_write = 7;
  options.network.max_delay = 51us;
  options.compression = Compression::none;
  options.strands = true;
  World world(options);
  REQUIRE(world.start_pair());
  CHECK(world.a().write(4096, 4096, 0x33) == 0);
  CHECK(both_hold(world, 4096, 4096, 0x33));
  CHECK(world.a().read(4096, 4096).data == std::vector<std::byte>(4096, std::byte{0x33}));
}

TEST_CASE("discards and zeroes are writes: both nodes read zeros afterwards") {
  World world;
  REQUIRE(world.start_pair());
  REQUIRE(world.a().write(0, kBlock, 0x44) == 0);
  CHECK(world.a().request(request_of(IoKind::discard, 0, 4096)) == 0);
  CHECK(world.a().request(request_of(IoKind::write_zeroes, 8192, 4096)) == 0);
  CHECK(both_hold(world, 0, 4096, 0));
  CHECK(both_hold(world, 4096, 4096, 0x44));
  CHECK(both_hold(world, 8192, 4096, 0));
}

TEST_CASE("a flush makes what was acknowledged before durable on both nodes") {
  const auto mode = GENERATE(Replication::fullsync, Replication::memsync);
  WorldOptions options;
  options.replication = mode;
  World world(options);
  REQUIRE(world.start_pair());
  REQUIRE(world.a().write(0, kBlock, 0x55) == 0);
  REQUIRE(world.a().flush() == 0);
  world.a().power_off();
  world.b().power_off();
  CHECK(both_hold(world, 0, kBlock, 0x55));
}

TEST_CASE("a forced write is durable on both nodes when it is acknowledged") {
  World world;
  REQUIRE(world.start_pair());
  ClientRequest asked = request_of(IoKind::write, 0, 4096);
  asked.fua = true;
  REQUIRE(world.a().request(std::move(asked)) == 0);
  world.a().power_off();
  world.b().power_off();
  CHECK(both_hold(world, 0, 4096, 0x5c));
}

TEST_CASE("fullsync acknowledges when the peer has written") {
  WorldOptions options;
  World world(options);
  REQUIRE(world.start_pair());
  world.b().drive().held = true;
  const Pending write = submit(world.a(), request_of(IoKind::write, 0, 4096));
  world.run_for(5s);
  CHECK_FALSE(write.answered());
  world.b().drive().held = false;
  world.b().process().disks().release_held();
  CHECK(world.run_until([&] { return write.answered(); }, 1s));
  CHECK(*write.outcome == 0);
}

TEST_CASE("memsync acknowledges when the peer has received, before it has written") {
  WorldOptions options;
  options.replication = Replication::memsync;
  World world(options);
  REQUIRE(world.start_pair());
  world.b().drive().held = true;
  const Pending write = submit(world.a(), request_of(IoKind::write, 0, 4096));
  CHECK(world.run_until([&] { return write.answered(); }, 1s));
  CHECK(*write.outcome == 0);
  world.b().drive().held = false;
  world.b().process().disks().release_held();
  world.run_for(1s);
  CHECK(both_hold(world, 0, 4096, 0x5c));
}

TEST_CASE("memsync does not acknowledge what the peer has not received") {
  WorldOptions options;
  options.replication = Replication::memsync;
  World world(options);
  REQUIRE(world.start_pair());
  world.network().cut(world.a().host(), world.b().host());
  const Pending write = submit(world.a(), request_of(IoKind::write, 0, 4096));
  world.run_for(2s);
  CHECK_FALSE(write.answered());
}

TEST_CASE("async acknowledges when this node has written") {
  WorldOptions options;
  options.replication = Replication::async;
  World world(options);
  REQUIRE(world.start_pair());
  world.network().cut(world.a().host(), world.b().host());
  CHECK(world.a().write(0, 4096, 0x66) == 0);
  CHECK(world.b().data()[0] == std::byte{0});
  world.network().heal();
  world.run_for(1s);
  CHECK(both_hold(world, 0, 4096, 0x66));
}

TEST_CASE("reads come from the secondary while it is the source, and a write to it stays") {
  WorldOptions options;
  options.volume.component_bytes = 8 * 1024 * 1024;
  options.network.min_delay = 2ms;
  options.network.max_delay = 4ms;
  options.network.window_bytes = 32 * 1024;  // a slow copy
  World world(options);
  for (Machine* machine : {&world.a(), &world.b()}) {
    machine->preset([&](ondisk::Metadata& metadata) {
      metadata.resuid = 7;
      metadata.localcnt = machine == &world.b() ? 2 : 0;
      metadata.remotecnt = machine == &world.b() ? 1 : 0;  // row 8: a full copy from b
    });
    machine->preset_data(0, machine->layout().data_bytes, machine == &world.b() ? 0xbb : 0xaa);
  }
  world.a().boot();
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  REQUIRE(world.a().role(Role::primary)->has_value());
  REQUIRE(world.run_until([&] { return world.a().status().io.syncing; }, 10s));
  const std::uint64_t last = world.a().layout().data_bytes - 4096;
  CHECK(world.a().read(last, 4096).data == std::vector<std::byte>(4096, std::byte{0xbb}));
  CHECK(world.a().data()[last] == std::byte{0xaa});  // not copied yet: the peer answered
  CHECK(world.a().write(last, 4096, 0xcc) == 0);     // INV-6
  REQUIRE(world.run_until_synced(world.a(), 2min));
  CHECK(world.different_bytes() == 0);
  CHECK(world.a().data()[last] == std::byte{0xcc});
  CHECK(world.a().data()[last - 1] == std::byte{0xbb});
}

TEST_CASE("a read that fails here is answered by the peer") {
  World world;
  REQUIRE(world.start_pair());
  REQUIRE(world.a().write(0, 4096, 0x77) == 0);
  world.a().drive().faults.push_back({IoKind::read, 0, ~std::uint64_t{0}, 0, 1, EIO});
  const Machine::Answer answer = world.a().read(0, 4096);
  CHECK(answer.error == 0);
  CHECK(answer.data == std::vector<std::byte>(4096, std::byte{0x77}));
  CHECK(world.a().status().io.io.read_errors == 1);
}

TEST_CASE("more requests than slots wait their turn and are all answered") {
  World world;
  REQUIRE(world.start_pair());
  std::vector<Pending> writes;
  for (unsigned i = 0; i < 1000; ++i)
    writes.push_back(submit(world.a(), request_of(IoKind::write, i % 256 * 4096, 4096)));
  const auto all = [&] {
    return std::all_of(writes.begin(), writes.end(), [](const Pending& p) { return p.answered(); });
  };
  REQUIRE(world.run_until(all, 30s));
  CHECK(
      std::all_of(writes.begin(), writes.end(), [](const Pending& p) { return *p.outcome == 0; }));
  CHECK(world.different_bytes() == 0);
}

TEST_CASE("impossible requests are refused and disturb nobody") {
  World world;
  REQUIRE(world.start_pair());
  CHECK(world.a().request(request_of(IoKind::read, 1024 * 1024, 512)) == EINVAL);
  CHECK(world.a().request(request_of(IoKind::write, 100, 512)) == EINVAL);
  CHECK(world.a().request(request_of(IoKind::write, kBlock - 512, 1024)) == EINVAL);
  CHECK(world.a().request(request_of(IoKind::discard, 0, ~std::uint64_t{0} - 511)) == EINVAL);
  CHECK(world.a().write(0, 512, 1) == 0);
}
