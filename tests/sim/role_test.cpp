// Roles change at bad moments: the change ends in time, leaves nothing behind, and says the truth.
#include <algorithm>

#include "raw_peer.hpp"
#include "support/catch.hpp"
#include "world.hpp"

using namespace hast;
using namespace hast::sim;
using namespace std::chrono_literals;

namespace {

ClientRequest write_of(std::uint64_t offset, std::uint64_t length, unsigned fill) {
  ClientRequest asked;
  asked.kind = IoKind::write;
  asked.offset_bytes = offset;
  asked.length_bytes = length;
  asked.data.assign(length, static_cast<std::byte>(fill));
  return asked;
}

/// A pair whose network is slow enough that a change of role meets it half-way.
WorldOptions slow_options() {
  WorldOptions options;
  options.network.min_delay = 5ms;
  options.network.max_delay = 10ms;
  options.network.window_bytes = 32 * 1024;
  options.compression = Compression::none;
  return options;
}

}  // namespace

TEST_CASE("every role can follow every role") {
  World world;
  world.a().boot();
  for (const Role from : {Role::init, Role::primary, Role::secondary}) {
    for (const Role to : {Role::init, Role::primary, Role::secondary}) {
      REQUIRE(world.a().role(from)->has_value());
      const auto changed = world.a().role(to);
      REQUIRE(changed);
      REQUIRE(*changed);
      CHECK(changed->value() == from);
      CHECK(world.a().status().role == to);
      CHECK(world.a().serving() == (to == Role::primary));
      CHECK(world.a().drive().opened == (to != Role::init));
    }
  }
}

TEST_CASE("a front-end that cannot serve refuses the promotion, and the next one succeeds") {
  World world;
  world.a().boot();
  world.a().frontend()->set_taken(true);
  // A component that never met a peer is written to by its promotion.
  CHECK(world.a().role(Role::primary)->error().code == Errc::io_failed);
  CHECK(world.a().status().role == Role::init);
  CHECK_FALSE(world.a().drive().opened);
  world.a().frontend()->set_taken(false);
  CHECK(world.a().role(Role::primary)->has_value());
  CHECK(world.a().write(0, 4096, 1) == 0);
}

TEST_CASE("a component that is missing, foreign or damaged refuses the role and says why") {
  World world;
  SECTION("missing") {
    world.a().settings().local = "/dev/nothing";
    world.a().boot();
    CHECK(world.a().role(Role::primary)->error().code == Errc::component_not_found);
  }
  SECTION("foreign") {
    world.a().preset([](ondisk::Metadata& metadata) { metadata.resource = "another"; });
    world.a().boot();
    CHECK(world.a().role(Role::secondary)->error().code == Errc::component_foreign);
  }
  SECTION("damaged") {
    const std::vector<std::byte> noise(4096, std::byte{0xee});
    world.a().drive().media.preset(0, noise);
    world.a().drive().media.preset(1024 * 1024 - 4096, noise);
    world.a().boot();
    CHECK_FALSE(world.a().role(Role::primary)->has_value());
  }
  SECTION("busy") {
    world.a().boot();
    world.a().drive().opened = true;
    CHECK(world.a().role(Role::primary)->error().code == Errc::component_busy);
    world.a().drive().opened = false;
  }
  CHECK(world.a().status().role == Role::init);
  CHECK_FALSE(world.a().serving());
}

TEST_CASE("a component that a killed process still holds for a moment is waited for") {
  World world;
  world.a().boot();
  world.a().drive().opened = true;
  world.clock().after(500ms, [&world] { world.a().drive().opened = false; });
  CHECK(world.a().role(Role::primary)->has_value());
}

TEST_CASE("a clean demotion leaves no bit in the map and counts no episode") {
  World world;
  REQUIRE(world.start_pair());
  for (unsigned i = 0; i < 12; ++i) REQUIRE(world.a().write(i * 65536, 4096, i + 1) == 0);
  const std::uint64_t count = world.a().metadata()->localcnt;
  const port::Duration before = world.now();
  REQUIRE(world.a().role(Role::secondary)->has_value());
  CHECK(world.now() - before < 1s);
  CHECK_FALSE(world.a().map().any());
  CHECK_FALSE(world.b().map().any());
  CHECK(world.a().metadata()->localcnt == count);
  REQUIRE(world.b().role(Role::primary)->has_value());
  REQUIRE(world.run_until_synced(world.b(), 30s));
  CHECK(world.logged("Synchronization started") == 0);  // there was nothing to copy
  CHECK(world.different_bytes() == 0);
}

TEST_CASE("a clean demotion is clean at whatever moment the last cleaning runs") {
  for (int moment = 0; moment < 40; ++moment) {
    INFO("demoted " << moment * 60 << " us after the tick");
    WorldOptions options;
    options.volume.keepdirty = 1;
    World world(options);
    REQUIRE(world.start_pair());
    world.run_for(500ms);
    for (unsigned i = 0; i < 4; ++i) REQUIRE(world.a().write(i * 65536, 4096, i + 1) == 0);
    // The tick's barrier is the next flush the secondary gets.
    const std::uint64_t before = world.b().status().io.io.flushes;
    world.b().drive().submitted = [](const port::DiskOp&) {};
    REQUIRE(world.run_until([&] { return world.b().status().io.io.flushes > before; }, 3s));
    world.a().frontend()->request(write_of(8 * 65536, 4096, 0x77));
    world.run_for(moment * 60us);
    REQUIRE(world.a().role(Role::init)->has_value());
    CHECK_FALSE(world.a().map().any());
  }
}

TEST_CASE("a demotion with a dead peer ends within five seconds") {
  const bool with_requests = GENERATE(false, true);
  World world;
  REQUIRE(world.start_pair());
  REQUIRE(world.a().write(0, 4096, 1) == 0);
  world.b().power_off();
  int outcome = 12345;
  if (with_requests) {
    ClientRequest asked = write_of(65536, 4096, 2);
    asked.done = [&outcome](int error, ConstByteSpan) { outcome = error; };
    world.a().frontend()->request(std::move(asked));
    world.run_for(10ms);
  }
  const port::Duration before = world.now();
  REQUIRE(world.a().role(Role::init)->has_value());
  CHECK(world.now() - before < 5s);
  CHECK(world.a().map().any());  // nothing proves that the peer has it
  if (with_requests) CHECK(outcome == kUnknown);
}

TEST_CASE("a demotion with an unreachable peer does not wait for it") {
  World world;
  world.a().boot();
  world.network().cut_both(world.a().host(), world.b().host());  // dials hang
  REQUIRE(world.a().role(Role::primary)->has_value());
  world.run_for(5s);
  const port::Duration before = world.now();
  REQUIRE(world.a().role(Role::init)->has_value());
  CHECK(world.now() - before < 100ms);
}

TEST_CASE("a promotion serves clients at once, whatever the peer does") {
  World world;
  world.a().boot();
  world.network().cut_both(world.a().host(), world.b().host());
  const port::Duration before = world.now();
  REQUIRE(world.a().role(Role::primary)->has_value());
  CHECK(world.a().write(0, 4096, 1) == 0);
  CHECK(world.now() - before < 100ms);
}

TEST_CASE("a promotion ends when clients find the device, or when that takes too long") {
  World world;
  world.a().boot();
  world.a().frontend()->hide();
  const port::Duration before = world.now();
  const auto change = world.a().begin_role(Role::primary);
  world.run_for(500ms);
  CHECK_FALSE(change->outcome);
  CHECK(world.a().status().role == Role::primary);
  CHECK(world.a().write(0, 4096, 1) == 0);  // who looks at a new device reads from it
  if (GENERATE(true, false)) {
    world.a().frontend()->open();
    world.run_for(1ms);
    CHECK(change->outcome);
  } else {
    world.run_until([&] { return change->outcome.has_value(); }, 10s);
    CHECK(world.now() - before >= 2s);
    CHECK(world.now() - before < 3s);
    REQUIRE(world.a().role(Role::secondary)->has_value());
    world.a().frontend()->open();  // nobody minds any more
  }
  CHECK(change->outcome->has_value());
}

TEST_CASE("a component is not opened before the front-end has cleared the way") {
  const Role role = GENERATE(Role::primary, Role::secondary);
  World world;
  world.a().boot();
  world.a().frontend()->obstruct();
  const auto change = world.a().begin_role(role);
  world.run_for(10s);
  CHECK_FALSE(change->outcome);
  CHECK_FALSE(world.a().drive().opened);
  world.a().frontend()->clear();
  world.run_for(100ms);
  REQUIRE(change->outcome);
  CHECK(change->outcome->has_value());
  CHECK(world.a().drive().opened);
}

TEST_CASE("a role is given up when the component is closed, so that others may open it") {
  const Role role = GENERATE(Role::primary, Role::secondary);
  World world;
  world.a().boot();
  REQUIRE(world.a().role(role)->has_value());
  world.a().process().disks().hold_closings();
  const auto change = world.a().begin_role(Role::init);
  world.run_for(10s);
  CHECK_FALSE(change->outcome);
  world.a().process().disks().let_on();
  world.run_for(100ms);
  REQUIRE(change->outcome);
  CHECK(change->outcome->has_value());
}

TEST_CASE("a component that does not open is said, and used when it does") {
  World world;
  world.a().boot();
  world.a().process().disks().hold_openings();
  const auto change = world.a().begin_role(Role::primary);
  world.run_for(4s);
  CHECK(world.logged("is still not open") == 0);
  world.run_for(10s);
  CHECK(world.logged("is still not open") == 1);
  CHECK_FALSE(change->outcome);
  world.a().process().disks().let_on();
  world.run_for(100ms);
  REQUIRE(change->outcome);
  CHECK(change->outcome->has_value());
  CHECK(world.a().write(0, 4096, 1) == 0);
}

TEST_CASE("INV-6: clients read past the core while the component is current, and only then") {
  WorldOptions options;
  options.direct_reads = true;
  options.on_local_error = OnLocalError::pass;
  World world(options);
  REQUIRE(world.start_pair());
  CHECK(world.a().write(0, 4096, 1) == 0);
  CHECK(world.a().read(0, 4096).data == std::vector<std::byte>(4096, std::byte(1)));
  CHECK(world.a().frontend()->direct_reads() == 1);
  // Its disk fails a write that the peer has.
  DiskFault fault;
  fault.kind = IoKind::write;
  fault.begin = world.a().layout().data_offset;
  fault.times = DiskFault::kForever;
  world.a().drive().faults.push_back(fault);
  CHECK(world.a().write(0, 4096, 2) == 0);
  CHECK(world.a().read(0, 4096).data == std::vector<std::byte>(4096, std::byte(2)));
  CHECK(world.a().frontend()->direct_reads() == 1);
}

TEST_CASE("roles change at any moment of a handshake") {
  for (int moment = 0; moment < 60; ++moment) {
    INFO("after " << moment << " ms");
    World world(slow_options());
    world.a().boot();
    world.b().boot();
    REQUIRE(world.b().role(Role::secondary)->has_value());
    REQUIRE(world.a().role(Role::primary)->has_value());
    world.run_for(moment * 1ms);
    Machine& changing = moment % 2 == 0 ? world.a() : world.b();
    const port::Duration before = world.now();
    REQUIRE(changing.role(Role::init)->has_value());
    CHECK(world.now() - before < 5s);
    REQUIRE(changing.role(moment % 2 == 0 ? Role::primary : Role::secondary)->has_value());
    REQUIRE(world.run_until_synced(world.a(), 30s));
  }
}

TEST_CASE("a demotion while a peer dangles in the handshake does not wait for it") {
  const int phase = GENERATE(0, 1, 2);  // how far the peer plays along
  World world;
  world.a().boot();
  RawPeer peer(world, world.b().host());
  peer.listen();
  REQUIRE(world.a().role(Role::primary)->has_value());
  const std::unique_ptr<RawEnd> first = peer.accept();
  REQUIRE(first);
  std::unique_ptr<RawEnd> second;
  if (phase >= 1) {
    REQUIRE(peer.next_frame(*first));
    first->send(wire::FirstReply{});
  }
  if (phase >= 2) {
    second = peer.accept();
    REQUIRE(second);
    REQUIRE(peer.next_frame(*second));
  }
  const port::Duration before = world.now();
  REQUIRE(world.a().role(Role::init)->has_value());
  CHECK(world.now() - before < 1s);
}

TEST_CASE("a demotion at any instant of dialling ends at once") {
  for (int moment = 0; moment < 40; ++moment) {
    INFO("after " << moment * 50 << " us");
    World world;
    world.a().boot();
    RawPeer peer(world, world.b().host());
    peer.listen();  // accepts, and never answers
    REQUIRE(world.a().role(Role::primary)->has_value());
    world.run_for(moment * 50us);
    const port::Duration before = world.now();
    REQUIRE(world.a().role(Role::init)->has_value());
    CHECK(world.now() - before < 1s);
  }
}

TEST_CASE("roles change at any moment of a resync") {
  for (int moment = 0; moment < 40; ++moment) {
    INFO("after " << moment * 5 << " ms");
    World world(slow_options());
    world.a().preset([](ondisk::Metadata& metadata) { metadata.resuid = 7; });
    world.a().preset_data(0, 1024 * 1024, 0xaa);
    world.a().boot();
    world.b().boot();
    REQUIRE(world.b().role(Role::secondary)->has_value());
    REQUIRE(world.a().role(Role::primary)->has_value());
    REQUIRE(world.run_until([&] { return world.a().status().io.syncing; }, 10s));
    world.run_for(moment * 5ms);
    Machine& changing = moment % 2 == 0 ? world.a() : world.b();
    const Role again = moment % 2 == 0 ? Role::primary : Role::secondary;
    REQUIRE(changing.role(Role::init)->has_value());
    REQUIRE(changing.role(again)->has_value());
    REQUIRE(world.run_until_synced(world.a(), 30s));
    CHECK(world.different_bytes() == 0);
  }
}

TEST_CASE("a demotion with requests in flight answers or drops each of them once") {
  for (int moment = 0; moment < 40; ++moment) {
    INFO("after " << moment << " ms");
    World world(slow_options());
    REQUIRE(world.start_pair());
    std::vector<int> answers(32, 0);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      ClientRequest asked = write_of(i * 16384, 8192, static_cast<unsigned>(i + 1));
      asked.done = [&answers, i](int, ConstByteSpan) { ++answers[i]; };
      world.a().frontend()->request(std::move(asked));
    }
    world.run_for(moment * 1ms);
    REQUIRE(world.a().role(Role::secondary)->has_value());
    CHECK(std::all_of(answers.begin(), answers.end(), [](int count) { return count == 1; }));
    REQUIRE(world.b().role(Role::primary)->has_value());
    REQUIRE(world.run_until_synced(world.b(), 30s));
    CHECK(world.different_bytes() == 0);
  }
}

TEST_CASE("two changes of role at once run one after the other") {
  World world;
  REQUIRE(world.start_pair());
  const auto first = world.a().begin_role(Role::init);
  const auto second = world.a().begin_role(Role::secondary);
  const auto third = world.a().begin_role(Role::primary);
  REQUIRE(world.run_until([&] { return third->outcome.has_value(); }, 30s));
  REQUIRE(first->outcome->has_value());
  REQUIRE(second->outcome->has_value());
  REQUIRE(third->outcome->has_value());
  CHECK(first->outcome->value() == Role::primary);
  CHECK(second->outcome->value() == Role::init);
  CHECK(third->outcome->value() == Role::secondary);
  CHECK(world.a().status().role == Role::primary);
  CHECK(world.run_until_synced(world.a(), 30s));
}

TEST_CASE("both nodes change places at the same time, again and again") {
  World world;
  REQUIRE(world.start_pair());
  for (int round = 0; round < 6; ++round) {
    Machine& primary = round % 2 == 0 ? world.a() : world.b();
    Machine& secondary = world.other(primary);
    REQUIRE(primary.write(static_cast<std::uint64_t>(round) * 65536, 4096, 0x50) == 0);
    const auto down = primary.begin_role(Role::secondary);
    const auto up = secondary.begin_role(Role::primary);
    REQUIRE(world.run_until([&] { return down->outcome && up->outcome; }, 10s));
    REQUIRE(world.run_until_synced(secondary, 30s));
    CHECK(world.different_bytes() == 0);
  }
}

TEST_CASE("two primaries refuse each other and both serve") {
  World world;
  world.a().boot();
  world.b().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  REQUIRE(world.b().role(Role::primary)->has_value());
  world.run_for(1min);
  CHECK(world.a().serving());
  CHECK(world.b().serving());
  CHECK(world.a().status().trouble.find("the peer is primary itself") != std::string::npos);
  REQUIRE(world.b().role(Role::secondary)->has_value());
  CHECK(world.run_until_synced(world.a(), 10s));
}

TEST_CASE("a failing disk does not keep a demotion from ending") {
  const auto kind = GENERATE(IoKind::write, IoKind::flush, IoKind::read);
  const bool connected = GENERATE(false, true);
  World world;
  if (connected) {
    REQUIRE(world.start_pair());
  } else {
    world.a().boot();
    REQUIRE(world.a().role(Role::primary)->has_value());
  }
  world.a().drive().faults.push_back({kind, 0, ~std::uint64_t{0}, 0, DiskFault::kForever, EIO});
  (void)world.a().write(0, 4096, 1);
  (void)world.a().flush();
  const port::Duration before = world.now();
  REQUIRE(world.a().role(Role::init)->has_value());
  CHECK(world.now() - before < 5s);
}

TEST_CASE("an identity that cannot be stored keeps the nodes apart, quietly, until it can") {
  const bool primary = GENERATE(true, false);
  World world;
  world.a().boot();
  world.b().boot();
  Machine& broken = primary ? world.a() : world.b();
  broken.drive().faults.push_back(
      {IoKind::write, 0, ~std::uint64_t{0}, 0, DiskFault::kForever, ENOSPC});
  REQUIRE(world.b().role(Role::secondary)->has_value());
  REQUIRE(world.a().role(Role::primary)->has_value());
  world.run_for(1min);
  CHECK_FALSE(world.a().status().connected);
  CHECK(broken.drive().operations < 200);  // it does not hammer
  CHECK(world.log().size() < 60);
  broken.drive().faults.clear();
  CHECK(world.run_until_synced(world.a(), 30s));
  CHECK(world.a().metadata()->resuid == world.b().metadata()->resuid);
}

TEST_CASE("stopping everything in full flight leaves nothing behind") {
  for (int moment = 0; moment < 30; ++moment) {
    INFO("after " << moment << " ms");
    World world(slow_options());
    world.a().boot();
    world.b().boot();
    (void)world.b().role(Role::secondary);
    (void)world.a().role(Role::primary);
    world.run_for(moment * 3ms);
    for (unsigned i = 0; i < 200; ++i)
      world.a().frontend()->request(write_of(i * 4096, 4096, i & 0xff));
    world.run_for(moment * 1ms);
    const auto change = world.a().begin_role(Role::secondary);
    world.a().process().stop();
    world.b().process().stop();
    CHECK(world.run_until(
        [&] { return world.a().process().ended() && world.b().process().ended(); }, 10s));
    world.a().stop();
    world.b().stop();
  }
}

TEST_CASE("a demotion between any two handlers of a connect ends at once") {
  for (std::size_t n = 0; n < 260; ++n) {
    INFO("after " << n << " handlers");
    WorldOptions options;
    options.strands = n % 2 == 1;
    World world(options);
    world.a().boot();
    world.b().boot();
    REQUIRE(world.b().role(Role::secondary)->has_value());
    const auto up = world.a().begin_role(Role::primary);
    world.steps(n);
    const auto down = world.a().begin_role(Role::init);
    REQUIRE(world.run_until([&] { return down->outcome.has_value(); }, 1s));
    REQUIRE(world.a().role(Role::primary)->has_value());
    REQUIRE(world.run_until_synced(world.a(), 15s));
  }
}

TEST_CASE("a secondary may leave between any two handlers of a connect") {
  for (std::size_t n = 0; n < 260; ++n) {
    INFO("after " << n << " handlers");
    WorldOptions options;
    options.strands = n % 2 == 1;
    World world(options);
    world.a().boot();
    world.b().boot();
    REQUIRE(world.b().role(Role::secondary)->has_value());
    const auto up = world.a().begin_role(Role::primary);
    world.steps(n);
    const auto down = world.b().begin_role(Role::init);
    REQUIRE(world.run_until([&] { return down->outcome.has_value(); }, 1s));
    REQUIRE(world.b().role(Role::secondary)->has_value());
    REQUIRE(world.run_until_synced(world.a(), 15s));
  }
}
