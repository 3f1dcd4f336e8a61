// Who answers a read, and what follows from a local error: INV-6, INV-11, INV-12.
#include <cerrno>

#include "support/catch.hpp"
#include "support/primary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

constexpr std::uint64_t kExtent = 256 * 1024;
constexpr std::uint64_t kBlock = port::kBlockBytes;

RigOptions with(Replication mode) {
  RigOptions options;
  options.primary.replication = mode;
  return options;
}

/// Both nodes hold `fill` in the first extent, and the map is clean there.
void prepare(PrimaryRig& rig, unsigned fill) {
  rig.start_connected();
  for (std::uint64_t at = 0; at < kExtent; at += kBlock) rig.client().write(at, kBlock, fill);
  rig.settle();
  rig.client().flush();
  rig.settle();
}

/// The local write of the first block failed and the peer has it: this block is stale here.
void make_stale(PrimaryRig& rig, unsigned fill) {
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  const auto id = rig.client().write(0, 4096, fill);
  rig.settle();
  REQUIRE(rig.client().ok(id));
  REQUIRE(rig.primary().status().stale_bytes == kBlock);
}

}  // namespace

TEST_CASE("a read is served locally, the peer is not asked") {
  PrimaryRig rig;
  prepare(rig, 3);
  const auto id = rig.client().read(0, 4096);
  CHECK(rig.primary().outbox().waiting() == 0);
  rig.settle();
  CHECK(rig.client().holds(id, 3));
  CHECK(rig.primary().status().io.reads == 1);
}

TEST_CASE("INV-11: a failed local read is answered by the peer, counted and reported") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::read, 0, kExtent));
  const auto id = rig.client().read(4096, 4096);
  rig.settle();
  CHECK(rig.client().holds(id, 3));
  CHECK(rig.primary().status().io.read_errors == 1);
  const Event event = rig.events().last(Event::Kind::local_io_failed);
  CHECK(event.io == IoKind::read);
  CHECK(event.offset_bytes == 4096);
}

TEST_CASE("a failed local read without a peer is EIO, not EINVAL as the original has it") {
  PrimaryRig rig;
  rig.start();
  rig.disk().fail(rig.data_fault(IoKind::read, 0, kExtent));
  const auto id = rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.client().done(id));
  CHECK(rig.client().error(id) == EIO);
}

TEST_CASE("a read that fails on both sides is an error and the link stays") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::read, 0, kExtent));
  rig.peer().fail({.kind = IoKind::read});
  const auto id = rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.client().error(id) == EIO);
  CHECK(rig.primary().outbox().connected());
}

TEST_CASE("INV-6: a failed local read is not answered by a peer that may lack what was written") {
  PrimaryRig rig;
  rig.start();
  rig.client().write(0, 4096, 5);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle_locally();  // nothing is copied yet
  rig.disk().fail(rig.data_fault(IoKind::read, 0, 4096));
  const auto id = rig.client().read(0, 4096);
  rig.settle_locally();
  CHECK(rig.client().done(id));
  CHECK(rig.client().error(id) == EIO);
}

TEST_CASE("a read that goes to the peer ends with an error when the link is lost") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::read, 0, kExtent));
  const auto id = rig.client().read(0, 4096);
  rig.settle_locally();
  REQUIRE(rig.primary().outbox().waiting() == 1);
  rig.disconnect();
  rig.settle();
  CHECK(rig.client().error(id) == EIO);
}

TEST_CASE("INV-11: after a failed local write reads come from the peer") {
  PrimaryRig rig;
  prepare(rig, 3);
  make_stale(rig, 4);
  const auto written = rig.client().read(0, 4096);
  const auto same_block = rig.client().read(8192, 4096);
  const auto next_block = rig.client().read(kBlock, 4096);
  CHECK(rig.primary().outbox().waiting() == 2);
  rig.settle();
  CHECK(rig.client().holds(written, 4));
  CHECK(rig.client().holds(same_block, 3));
  CHECK(rig.client().holds(next_block, 3));
  CHECK(rig.map().test(0));  // INV-2: it stays marked
  CHECK(rig.events().last(Event::Kind::local_io_failed).io == IoKind::write);
}

TEST_CASE("INV-11: a resync repairs what a failed local write left behind") {
  PrimaryRig rig;
  prepare(rig, 3);
  make_stale(rig, 4);
  rig.tick();
  CHECK(rig.primary().status().stale_bytes == 0);
  CHECK(filled_with(rig.data().subspan(0, 4096), 4));
  CHECK(rig.images_equal());
  const auto read = rig.client().read(0, 4096);
  CHECK(rig.primary().outbox().waiting() == 0);  // local again
  rig.settle();
  CHECK(rig.client().holds(read, 4));
}

TEST_CASE("INV-6: a resync never pushes the old block over a write whose local half failed") {
  PrimaryRig rig;
  prepare(rig, 3);
  make_stale(rig, 4);  // the first block; the second of the extent is equal on both
  rig.disk().fail(rig.data_fault(IoKind::write, kBlock, kBlock));
  const auto id = rig.client().write(kBlock, 4096, 5);
  rig.primary().tick();  // its range waits for the write
  rig.complete_data();   // which fails here and is on its way to the peer
  rig.settle_locally();
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(filled_with(rig.peer().data().subspan(kBlock, 4096), 5));
  rig.tick(31);
  const auto read = rig.client().read(kBlock, 4096);
  rig.settle();
  CHECK(rig.client().holds(read, 5));
  CHECK(rig.images_equal());
}

TEST_CASE("INV-11: while the disk refuses, the repair is tried again and reads stay right") {
  PrimaryRig rig;
  prepare(rig, 3);
  DiskFault fault = rig.data_fault(IoKind::write, 0, 512);
  fault.times = DiskFault::kForever;
  rig.disk().fail(fault);
  rig.client().write(0, 4096, 4);
  rig.settle();
  for (int i = 0; i < 3; ++i) {
    rig.tick(31);
    const auto read = rig.client().read(0, 4096);
    rig.settle();
    CHECK(rig.client().holds(read, 4));
  }
  CHECK(rig.events().count(Event::Kind::sync_incomplete) == 4);  // at once, then each 30 ticks
  rig.disk().heal();
  rig.tick(31);
  CHECK(rig.primary().status().stale_bytes == 0);
  CHECK(rig.images_equal());
}

TEST_CASE("INV-6, INV-11: without the peer a stale range is neither read nor written") {
  PrimaryRig rig;
  prepare(rig, 3);
  make_stale(rig, 4);
  rig.disconnect();
  const auto read = rig.client().read(0, 4096);
  const auto write = rig.client().write(512, 512, 5);
  rig.settle();
  CHECK(rig.client().error(read) == EIO);
  CHECK(rig.client().error(write) == EIO);
  // The peer returns: its data win, and everything is as it was acknowledged.
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  const auto again = rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.client().holds(again, 4));
}

TEST_CASE("INV-11: a failed local write that only the peer has survives a restart of this node") {
  // The original, restarted, pushes its old block over the only good copy.
  for (const bool power_fails : {false, true}) {
    PrimaryRig rig;
    prepare(rig, 3);
    make_stale(rig, 4);
    rig.disk().heal();
    power_fails ? rig.power_loss() : rig.crash();
    rig.start();
    const auto too_early = rig.client().read(0, 4096);
    rig.settle();
    CHECK_FALSE(rig.client().holds(too_early, 3));
    REQUIRE(rig.connect());
    rig.settle();
    const auto read = rig.client().read(0, 4096);
    rig.settle();
    CHECK(rig.client().holds(read, 4));
    CHECK(rig.images_equal());
    CHECK(filled_with(rig.peer().data().subspan(0, 4096), 4));
    CHECK_FALSE(rig.metadata().inconsistent);
  }
}

TEST_CASE("INV-11: a write only the peer has is acknowledged once that is on stable storage") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  const auto id = rig.client().write(0, 4096, 4);
  rig.peer().take();
  rig.peer().reply(0);
  rig.complete_data();
  while (rig.host().delivery_due) rig.deliver();
  CHECK_FALSE(rig.client().done(id));
  while (!rig.client().done(id)) {
    if (rig.host().delivery_due) {
      rig.deliver();
    } else {
      REQUIRE(rig.disk().held() > 0);
      rig.disk().complete();
    }
  }
  CHECK(rig.client().ok(id));
  CHECK(rig.metadata().inconsistent);
}

TEST_CASE("INV-4, INV-12: if that cannot be recorded the component is given up, the peer serves") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  rig.disk().fail(rig.metadata_fault());
  const auto id = rig.client().write(0, 4096, 4);
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.primary().status().local_lost);
  const auto read = rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.client().holds(read, 4));
}

TEST_CASE("INV-11: what a lost component could not note is tried again, for the next start") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  DiskFault metadata = rig.metadata_fault();
  metadata.times = DiskFault::kForever;
  rig.disk().fail(metadata);
  rig.client().write(0, 4096, 4);
  rig.settle();
  REQUIRE(rig.primary().status().local_lost);
  CHECK_FALSE(rig.metadata().inconsistent);
  rig.disk().heal();
  rig.tick(5);
  CHECK(rig.metadata().inconsistent);
  rig.power_loss();
  rig.start();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(filled_with(rig.data().subspan(0, 4096), 4));
}

TEST_CASE("INV-4, INV-11: if that cannot be recorded and the peer goes meanwhile the write fails") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  rig.disk().fail(rig.metadata_fault());
  const auto id = rig.client().write(0, 4096, 4);
  rig.peer().take();
  rig.peer().reply(0);
  rig.complete_data();
  rig.disconnect();
  rig.settle();
  CHECK(rig.client().done(id));
  CHECK(rig.client().error(id) == EIO);
}

TEST_CASE("INV-11: a failed local write is an error while this node alone has other changes") {
  // Neither node could be told to copy everything from the other any more.
  PrimaryRig rig;
  rig.start();
  rig.client().write(4 * kExtent, 4096, 9);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle_locally();
  rig.disk().fail(rig.data_fault(IoKind::write, 0, 4096));
  const auto id = rig.client().write(0, 4096, 4);
  rig.settle_locally();
  rig.peer().take();
  while (rig.peer().arrived(rig.peer().arrived() - 1).offset != 0) rig.peer().take();
  rig.peer().reply(rig.peer().arrived() - 1);  // before anything of the resync
  rig.settle();
  CHECK(rig.client().error(id) == EIO);
  CHECK(rig.primary().status().stale_bytes == 0);
  rig.tick(31);
  CHECK(rig.images_equal());
}

namespace {

/// A write is acknowledged before the peer has it on its disk; a later one fails here, and its
/// reply is the first to come.
struct FailureAfterEarlyAnswer {
  explicit FailureAfterEarlyAnswer(Replication mode) : rig(with(mode)) {
    prepare(rig, 3);
    const auto early = rig.client().write(0, 4096, 4);
    rig.settle_locally();
    rig.peer().take();
    if (mode == Replication::memsync) rig.peer().send_received(0);
    rig.settle_locally();
    REQUIRE(rig.client().ok(early));
    rig.disk().fail(rig.data_fault(IoKind::write, 8192, 512));
    failing = rig.client().write(8192, 4096, 5);
    rig.settle_locally();
    rig.peer().take();
    REQUIRE(rig.peer().arrived() == 2);
    rig.peer().reply(1);  // another order, as a peer may
    rig.settle_locally();
    CHECK_FALSE(rig.client().done(failing));  // the peer may have the other one soon
  }
  PrimaryRig rig;
  CoreClient::Id failing{};
};

}  // namespace

TEST_CASE(
    "INV-11: a local failure does not endanger what was acknowledged before the peer had it") {
  for (const Replication mode : {Replication::async, Replication::memsync}) {
    FailureAfterEarlyAnswer story(mode);
    PrimaryRig& rig = story.rig;
    rig.disconnect();
    rig.settle();
    CHECK(rig.client().error(story.failing) == EIO);
    const auto read = rig.client().read(0, 4096);
    rig.settle();
    CHECK(rig.client().holds(read, 4));
    REQUIRE(rig.connect());
    rig.settle();
    CHECK(filled_with(rig.peer().data().subspan(0, 4096), 4));
  }
}

TEST_CASE("INV-12: a local failure waits for what the peer has still to answer, and no more") {
  for (const Replication mode : {Replication::async, Replication::memsync}) {
    FailureAfterEarlyAnswer story(mode);
    PrimaryRig& rig = story.rig;
    rig.peer().reply(0);
    rig.settle();
    CHECK(rig.client().ok(story.failing));
    CHECK(rig.metadata().inconsistent);
    rig.tick();
    CHECK(rig.images_equal());
  }
}

TEST_CASE("weaknesses H2: a read while syncing from the secondary is answered by the secondary") {
  PrimaryRig rig;
  rig.identity.counters = {1, 0};
  rig.identity.dirty = {0};
  rig.peer().media().preset(0, std::vector<std::byte>(kExtent, std::byte{8}));
  rig.start();
  REQUIRE(rig.connect());
  rig.settle_locally();
  const auto stale = rig.client().read(0, 4096);
  const auto fresh = rig.client().read(kExtent, 4096);
  rig.settle_locally();
  CHECK(rig.client().holds(fresh, 0));  // not part of the resync: local
  CHECK_FALSE(rig.client().done(stale));
  rig.settle();
  CHECK(rig.client().holds(stale, 8));
}

// Reads past the core -----------------------------------------------------------------------------

TEST_CASE("INV-6: before a write is answered that only the peer has, nobody reads past the core") {
  for (const OnLocalError policy : {OnLocalError::pass, OnLocalError::detach}) {
    RigOptions options;
    options.primary.on_local_error = policy;
    PrimaryRig rig(options);
    prepare(rig, 3);
    CHECK(rig.host().reads_locally);
    rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
    const auto id = rig.client().write(0, 4096, 4);
    bool told = false;
    rig.host().told_of_reads = [&] {
      told = true;
      CHECK_FALSE(rig.client().done(id));
    };
    rig.settle();
    CHECK(rig.client().ok(id));
    CHECK(told);
    CHECK_FALSE(rig.host().reads_locally);
    rig.host().told_of_reads = nullptr;
  }
}

TEST_CASE("INV-6: a write that fails while another is answered stops them before its own answer") {
  PrimaryRig rig;
  prepare(rig, 3);
  const auto failing = rig.client().write(0, 4096, 4);
  while (rig.peer().run() > 0) {
  }
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  bool told = false;
  rig.host().told_of_reads = [&] {
    told = true;
    CHECK_FALSE(rig.client().done(failing));
  };
  // A disk that completes at once does so when the front-end, answered, ends its batch.
  port::IoRequest* refused = rig.primary().acquire();
  refused->kind = IoKind::read;
  refused->length_bytes = 1;
  refused->owner = &rig;
  refused->completed = [](port::IoRequest& request) {
    PrimaryRig& mine = *static_cast<PrimaryRig*>(request.owner);
    CHECK(mine.complete_data());
    mine.primary().release(request);
  };
  rig.primary().submit(*refused);
  rig.primary().deliver();
  CHECK(told);
  rig.settle();
  CHECK(rig.client().ok(failing));
  rig.host().told_of_reads = nullptr;
}

TEST_CASE("INV-6: once the peer has repaired what is stale, reads may pass the core again") {
  PrimaryRig rig;
  prepare(rig, 3);
  make_stale(rig, 4);
  CHECK_FALSE(rig.host().reads_locally);
  rig.disk().heal();
  rig.tick(31);
  rig.settle();
  CHECK(rig.primary().status().stale_bytes == 0);
  CHECK(rig.host().reads_locally);
}

TEST_CASE("INV-6: a primary that lags behind its peer lets nobody read past it until it is equal") {
  PrimaryRig rig;
  rig.identity.counters.local = 1;  // it went on alone
  rig.identity.dirty = {1};
  rig.start();
  rig.tick();
  CHECK(rig.host().reads_locally);  // nobody knows better yet
  REQUIRE(rig.connect());
  CHECK_FALSE(rig.host().reads_locally);
  rig.settle();
  CHECK(rig.primary().status().stale_bytes == 0);
  CHECK(rig.host().reads_locally);
}
