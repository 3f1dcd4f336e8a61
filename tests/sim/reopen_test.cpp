// What a process finds on its component was written by another one, which may have been killed
// before it flushed: it must not be trusted to outlast the power.
#include "checkers.hpp"
#include "raw_peer.hpp"
#include "support/catch.hpp"

using namespace hast;
using namespace hast::sim;
using namespace std::chrono_literals;

TEST_CASE("INV-1: a bit that a killed process wrote and did not flush is flushed by the next one") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  MarkGuard guard(world);
  guard.also(world.a(), [&](const port::DiskOp& op) {
    if (op.kind != IoKind::write || op.offset_bytes != ondisk::kMapOffset) return;
    world.a().drive().media.write(op.offset_bytes, {op.data, op.length_bytes});
    world.a().kill();
  });
  CHECK(world.a().write(0, 4096, 1) == kUnknown);
  REQUIRE_FALSE(world.a().up());
  guard.also(world.a(), nullptr);
  REQUIRE(map_of(world.a(), Layer::newest).test(0));
  REQUIRE_FALSE(map_of(world.a(), Layer::durable).test(0));
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  CHECK(world.a().write(0, 4096, 2) == 0);
  CHECK(guard.wrong().empty());
  world.a().power_off();
  CHECK(map_of(world.a(), Layer::durable).test(0));
}

TEST_CASE("a component that cannot be flushed is refused") {
  World world;
  DiskFault fault;
  fault.kind = IoKind::flush;
  world.a().boot();
  SECTION("with an error: what was written before may be lost with the power") {
    world.a().drive().faults.push_back(fault);
    CHECK(world.a().role(Role::primary)->error().code == Errc::io_failed);
    CHECK(world.a().role(Role::primary)->has_value());
  }
  SECTION("but not if it knows no flush: then it has nothing volatile") {
    fault.error = EOPNOTSUPP;
    world.a().drive().faults.push_back(fault);
    CHECK(world.a().role(Role::primary)->has_value());
  }
}

// A flush that failed ----------------------------------------------------------------------------

namespace {

DiskFault failing_flushes(unsigned times) {
  DiskFault fault;
  fault.kind = IoKind::flush;
  fault.times = times;
  return fault;
}

/// A secondary that has heard from its primary, an original, of a write at the third extent and of
/// a flush, and failed the flush.
struct FailedFlush {
  FailedFlush() : peer(world, world.a().host()) {
    world.b().boot();
    REQUIRE(world.b().role(Role::secondary)->has_value());
    facts.resource = "shared";
    facts.virgin = true;
    facts.resuid = 5;
    const RawSession session = connect_as_primary(peer, world, world.b(), facts);
    REQUIRE(session.requests);
    facts.virgin = false;
    wire::Request write;
    write.command = wire::Command::write;
    write.seq = 1;
    write.offset_bytes = 2 * world.b().layout().extent_bytes;
    write.length_bytes = 4096;
    write.payload.size_bytes = 4096;
    session.requests->send(write);
    session.requests->send_bytes(std::vector<std::byte>(4096, std::byte{7}));
    REQUIRE(peer.next_frame(*session.replies));
    before = world.b().metadata()->sequence;
    world.b().drive().faults.push_back(failing_flushes(1));
    wire::Request flush;
    flush.command = wire::Command::flush;
    flush.seq = 2;
    session.requests->send(flush);
    REQUIRE(world.run_until(
        [this] { return world.logged("was opened again after its failure") > 0; }, 5s));
  }

  World world;
  RawPeer peer;
  wire::SecondHello facts;
  std::uint64_t before = 0;  // sequence of its metadata
};

}  // namespace

TEST_CASE("INV-13: what a secondary relied on before a failed flush it writes anew") {
  FailedFlush failed;
  CHECK(failed.world.run_until(
      [&] { return failed.world.b().metadata()->sequence > failed.before; }, 5s));
}

TEST_CASE(
    "INV-13: what a secondary was sent before a failed flush, and may have lost, it asks for") {
  FailedFlush failed;
  const RawSession session =
      connect_as_primary(failed.peer, failed.world, failed.world.b(), failed.facts);
  REQUIRE_FALSE(session.map.empty());
  Bitmap map(failed.world.b().layout().extents);
  map.import_bytes(session.map);
  CHECK(map.test(2));
  CHECK(map.count() == 1);
}

TEST_CASE("INV-13: a secondary whose flush failed opens its component again and is brought up") {
  World world;
  REQUIRE(world.start_pair());
  CHECK(world.a().write(0, 4096, 1) == 0);
  world.b().drive().faults.push_back(failing_flushes(1));
  CHECK(world.a().flush() == 0);  // here, and counted
  CHECK(
      world.run_until([&] { return world.logged("was opened again after its failure") > 0; }, 5s));
  CHECK(world.run_until_synced(world.a(), 1min));
  CHECK(world.b().status().role == Role::secondary);
  CHECK(world.a().flush() == 0);
  world.b().power_off();
  CHECK(
      test::filled_with(world.b().drive().media.durable(world.b().layout().data_offset, 4096), 1));
}

TEST_CASE(
    "INV-12: what a secondary alone had before a failed flush is not called flushed by the next") {
  World world;
  REQUIRE(world.start_pair());
  world.a().drive().faults.push_back({.kind = IoKind::write, .times = DiskFault::kForever});
  CHECK(world.a().write(0, 4096, 1) == 0);
  REQUIRE(world.a().status().io.local_lost);
  CHECK(world.a().write(4096, 4096, 2) == 0);
  world.b().drive().faults.push_back(failing_flushes(1));
  CHECK(world.a().flush() == EIO);
  REQUIRE(world.run_until([&] { return world.a().status().connected; }, 1min));
  CHECK(world.logged("what it had acknowledged and not flushed may be lost") == 1);
  CHECK(world.a().flush() == EIO);  // asked by another client, perhaps
  CHECK(world.a().flush() == 0);
}

TEST_CASE(
    "a secondary whose component cannot be opened again keeps its role, tries, and says why") {
  World world;
  REQUIRE(world.start_pair());
  world.b().drive().faults.push_back(failing_flushes(DiskFault::kForever));
  CHECK(world.a().flush() == 0);
  REQUIRE(world.run_until([&] { return world.logged("cannot be opened again") > 0; }, 5s));
  CHECK(world.logged("cannot be opened again") == 1);
  CHECK_FALSE(world.b().drive().opened);
  SECTION("until it can: nobody has to do anything") {
    world.run_for(1min);
    CHECK(world.b().status().role == Role::secondary);
    CHECK(world.b().status().trouble.find("flushing what was written before") != std::string::npos);
    CHECK(world.a().status().trouble.find("The component of the secondary failed") !=
          std::string::npos);
    CHECK(world.logged("cannot be opened again") == 1);
    world.b().drive().faults.clear();
    CHECK(world.run_until_synced(world.a(), 1min));
    CHECK(world.b().status().trouble.empty());
  }
  SECTION("until it is given another role") {
    REQUIRE(world.b().role(Role::init)->has_value());
    world.b().drive().faults.clear();
    world.run_for(1min);
    CHECK(world.b().status().role == Role::init);
    CHECK_FALSE(world.b().drive().opened);
    REQUIRE(world.b().role(Role::secondary)->has_value());
    CHECK(world.run_until_synced(world.a(), 1min));
  }
  SECTION("until its process ends") { world.b().stop(); }
}

TEST_CASE("an original primary that goes on after a failed flush is sent away") {
  World world;
  world.a().settings().protocol = 2;
  REQUIRE(world.start_pair());
  CHECK(world.a().write(0, 4096, 1) == 0);
  world.b().drive().faults.push_back(failing_flushes(1));
  CHECK(world.a().flush() == 0);
  CHECK(world.run_until_synced(world.a(), 1min));
  CHECK(world.logged("was opened again after its failure") == 1);
}

TEST_CASE("INV-13: a primary alone that could not store its map can do so later") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  world.a().drive().faults.push_back(
      {.kind = IoKind::write, .begin = ondisk::kMapOffset, .end = ondisk::kMapOffset + 512});
  CHECK(world.a().write(0, 4096, 1) == EIO);
  CHECK(world.a().status().io.flush_lost);
  world.run_for(10s);
  CHECK(world.a().write(0, 4096, 1) == 0);
}

TEST_CASE("INV-13: a primary whose flush failed alone says so, and gets well") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  CHECK(world.a().write(0, 4096, 1) == 0);
  world.a().drive().faults.push_back(failing_flushes(1));
  CHECK(world.a().flush() == EIO);
  CHECK(world.a().status().io.flush_lost);
  CHECK(world.a().write(0, 4096, 2) == 0);
  CHECK(world.a().flush() == EIO);  // what it should cover may be lost already
  world.run_for(10s);
  CHECK(world.a().write(512 * 1024, 4096, 3) == 0);  // but the map can be stored again
  CHECK(world.a().flush() == EIO);
  SECTION("or when the peer stands in") {
    world.b().boot();
    REQUIRE(world.b().role(Role::secondary)->has_value());
    CHECK(world.run_until([&] { return world.a().status().io.local_lost; }, 1min));
    CHECK(world.a().flush() == 0);
    REQUIRE(world.a().attach()->has_value());
    CHECK(world.run_until_synced(world.a(), 1min));
  }
  SECTION("with its role") {
    REQUIRE(world.a().role(Role::init)->has_value());
    REQUIRE(world.a().role(Role::primary)->has_value());
  }
  CHECK_FALSE(world.a().status().io.flush_lost);
  CHECK(world.a().flush() == 0);
}
