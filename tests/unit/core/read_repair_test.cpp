// Read-repair: when what the peer holds may be written here, and what keeps it from it (INV-6,
// INV-11). That it happens at all is in primary_component_test.cpp.
#include <cerrno>

#include "support/catch.hpp"
#include "support/primary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

constexpr std::uint64_t kExtent = 256 * 1024;
constexpr std::uint64_t kBlock = port::kBlockBytes;

RigOptions with(Replication mode, OnLocalError policy = OnLocalError::pass) {
  RigOptions options;
  options.primary.replication = mode;
  options.primary.on_local_error = policy;
  return options;
}

/// A read that failed here and is on its way to the peer.
CoreClient::Id read_from_peer(PrimaryRig& rig, std::uint64_t offset) {
  rig.disk().fail(rig.data_fault(IoKind::read, offset, 4096));
  const auto id = rig.client().read(offset, 4096);
  rig.settle_locally();
  rig.peer().take();
  REQUIRE(rig.peer().arrived(rig.peer().arrived() - 1).kind == IoKind::read);
  return id;
}
void answer_last(PrimaryRig& rig) {
  rig.peer().reply(rig.peer().arrived() - 1);
  rig.settle_locally();
  rig.peer().take();
}

}  // namespace

TEST_CASE("INV-6: what failed at the peer while a repair read there is not undone by the repair") {
  PrimaryRig rig;
  rig.start_filled(3, 3);
  read_from_peer(rig, 0);
  rig.client().write(0, 4096, 4);  // its turn at the peer is between the read and the repair's
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(0);
  rig.settle_locally();
  rig.peer().take();
  REQUIRE(rig.peer().arrived() == 2);
  rig.peer().reply(0, EIO);
  rig.peer().reply(0);  // the repair's: old data
  rig.settle();
  CHECK(filled_with(rig.data().subspan(0, 4096), 4));
  CHECK(rig.primary().status().io.reads_repaired == 0);
}

TEST_CASE("INV-6: a write that comes while a range is repaired waits for the end of it") {
  PrimaryRig rig;
  rig.start_filled(3, 3);
  read_from_peer(rig, 0);
  answer_last(rig);
  SECTION("the peer is being asked") {}
  SECTION("the disk is being written") {
    rig.peer().reply(0);
    REQUIRE(rig.held_data() == 1);
  }
  const std::size_t held = rig.held_data();
  const auto id = rig.client().write(0, 4096, 4);
  CHECK(rig.held_data() == held);
  CHECK(rig.primary().outbox().waiting() == 0);
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(filled_with(rig.data().subspan(0, 4096), 4));
  CHECK(rig.images_equal());
  CHECK(rig.primary().status().io.reads_repaired == 1);
}

TEST_CASE("INV-6: a repair waits for a write that is under way, and sees what became of it") {
  const bool fails = GENERATE(false, true);
  PrimaryRig rig;
  rig.start_filled(3, 3);
  read_from_peer(rig, 0);
  if (fails) rig.disk().fail(rig.data_fault(IoKind::write, 0, 4096));
  const auto written = rig.client().write(0, 4096, 4);
  rig.peer().take();
  REQUIRE(rig.peer().arrived() == 2);
  rig.peer().reply(0);  // the client's read; the disk has not written yet
  CHECK(rig.primary().outbox().waiting() == 0);
  rig.complete_data();
  rig.peer().reply(0);
  rig.settle_locally();
  CHECK(rig.client().ok(written));
  CHECK(rig.peer().take() == (fails ? 0 : 1));  // stale now: a resync brings the whole block
  rig.settle();
  CHECK(rig.primary().status().io.reads_repaired == (fails ? 0 : 1));
  rig.tick();
  CHECK(filled_with(rig.data().subspan(0, 4096), 4));
  CHECK(rig.images_equal());
}

TEST_CASE("a range that waits for its repair is not repaired twice") {
  PrimaryRig rig;
  rig.start_filled(3, 3);
  for (const std::uint64_t offset : {0u, 8192u, 8192u, 16384u, 8192u}) {
    read_from_peer(rig, offset);
    answer_last(rig);
  }
  rig.settle();
  CHECK(rig.primary().status().io.reads_repaired == 3);
}

TEST_CASE("nothing is repaired on a component that was given up meanwhile") {
  PrimaryRig rig(with(Replication::fullsync, OnLocalError::detach));
  rig.start_filled(3, 3);
  const auto read = read_from_peer(rig, 5 * kExtent);  // nothing is stale there
  rig.disk().fail({.kind = IoKind::flush});
  rig.client().flush();
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(1);  // the flush
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(1);  // and the one that is asked of it alone
  rig.settle_locally();
  REQUIRE(rig.primary().local_lost());
  const std::size_t writes = rig.logged_data_writes();
  rig.settle();
  CHECK(rig.client().holds(read, 0));
  CHECK(rig.logged_data_writes() == writes);
}

TEST_CASE("nothing is repaired any more when the primary stops") {
  PrimaryRig rig;
  rig.start_filled(3, 3);
  const auto read = read_from_peer(rig, 0);
  rig.primary().prepare_stop();
  const std::size_t writes = rig.logged_data_writes();
  rig.settle();
  CHECK(rig.client().holds(read, 3));
  CHECK(rig.logged_data_writes() == writes);
  CHECK(rig.primary().quiet());
}

TEST_CASE("INV-6: a range that became stale meanwhile is left to the resync") {
  PrimaryRig rig;
  rig.start_filled(3, 3);
  const auto read = read_from_peer(rig, 0);
  rig.disk().fail(rig.data_fault(IoKind::write, 8192, 4096));
  const auto written = rig.client().write(8192, 4096, 4);  // in the same block
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(1);
  rig.settle_locally();
  REQUIRE(rig.client().ok(written));
  REQUIRE(rig.primary().status().stale_bytes == kBlock);
  rig.peer().reply(0);
  rig.settle_locally();
  CHECK(rig.client().holds(read, 3));
  CHECK(rig.peer().take() == 0);
  rig.tick();
  CHECK(rig.primary().status().io.reads_repaired == 0);
  CHECK(rig.images_equal());
}

namespace {

/// A repair of the first 4096 bytes whose write is with the disk, which will fail it.
void fail_repair(PrimaryRig& rig) {
  read_from_peer(rig, 0);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, 4096));
  answer_last(rig);
  rig.peer().reply(rig.peer().arrived() - 1);
  REQUIRE(rig.held_data() == 1);
}

}  // namespace

TEST_CASE("INV-11: a repair that fails when the peer is gone, or this node, gives nothing up") {
  PrimaryRig rig(with(Replication::fullsync, GENERATE(OnLocalError::pass, OnLocalError::detach)));
  rig.start_filled(3, 3);
  fail_repair(rig);
  SECTION("the link is lost") { rig.disconnect(); }
  SECTION("the primary stops") { rig.primary().prepare_stop(); }
  rig.settle();
  CHECK_FALSE(rig.primary().local_lost());
  CHECK(rig.events().last(Event::Kind::local_io_failed).io == IoKind::write);
  CHECK(rig.primary().status().io.write_errors == 1);
  CHECK(rig.primary().status().stale_bytes == 0);
  const auto read = rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.client().holds(read, 3));  // the disk can read it again
}

TEST_CASE("INV-11: a repair that fails while the peer may lack something gives nothing up") {
  PrimaryRig rig(with(Replication::async, OnLocalError::detach));
  rig.start_filled(3, 3);
  fail_repair(rig);
  const auto early = rig.client().write(2 * kExtent, 4096, 4);
  REQUIRE(rig.disk().held() == 2);
  rig.disk().complete(1);
  REQUIRE(rig.client().ok(early));  // of which the peer has said nothing yet
  rig.settle_locally();
  REQUIRE(rig.primary().status().io.write_errors == 1);
  CHECK_FALSE(rig.primary().local_lost());
  CHECK(rig.primary().status().stale_bytes == 0);
  rig.settle();
  CHECK(rig.images_equal());
}
