// The primary's own component when it fails: read-repair, giving it up, taking it back. INV-5,
// INV-6, INV-11, INV-12.
#include <algorithm>
#include <cerrno>

#include "support/catch.hpp"
#include "support/primary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

constexpr std::uint64_t kExtent = 256 * 1024;
constexpr std::uint64_t kBlock = port::kBlockBytes;

/// Both nodes hold `fill` in the first `extents` extents; the map is clean but for the hot set.
void prepare(PrimaryRig& rig, unsigned fill, std::uint64_t extents = 1) {
  rig.start_filled(fill, extents);
  rig.tick();
}

std::uint64_t copied_from_peer(PrimaryRig& rig) {
  return rig.events().last(Event::Kind::sync_started).bytes;
}

}  // namespace

// Read-repair -------------------------------------------------------------------------------------

TEST_CASE("INV-11: what could not be read is rewritten with the peer's data") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::read, 4096, 4096));
  rig.media().preset(rig.shape().layout().data_offset + 4096, std::vector<std::byte>(4096));
  const auto id = rig.client().read(4096, 4096);
  rig.settle();
  CHECK(rig.client().holds(id, 3));
  CHECK(rig.primary().status().io.reads_repaired == 1);
  CHECK(filled_with(rig.data().subspan(4096, 4096), 3));
  CHECK(rig.images_equal());
  const Event event = rig.events().last(Event::Kind::read_repaired);
  CHECK(event.offset_bytes == 4096);
  CHECK(event.bytes == 4096);
  CHECK_FALSE(rig.primary().local_lost());
}

TEST_CASE("INV-6: a repair reads again under its lock: a write that came meanwhile is not undone") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::read, 0, 4096));
  rig.client().read(0, 4096);
  rig.settle_locally();
  rig.client().write(0, 4096, 4);
  rig.settle_locally();
  REQUIRE(rig.peer().take() == 2);
  rig.peer().reply(0);  // the client's read: the repair begins behind the write
  rig.settle();
  CHECK(filled_with(rig.data().subspan(0, 4096), 4));
  CHECK(rig.images_equal());
}

TEST_CASE("INV-6: no repair from a peer that failed a write of the range meanwhile") {
  RigOptions options;
  options.primary.replication = Replication::memsync;
  PrimaryRig rig(options);
  prepare(rig, 3);
  const auto written = rig.client().write(0, 4096, 4);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().send_received(0);
  rig.settle_locally();
  REQUIRE(rig.client().ok(written));  // acknowledged; the peer's disk has not got it
  rig.disk().fail(rig.data_fault(IoKind::read, 0, 4096));
  rig.client().read(0, 4096);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(0, EIO);  // the write
  rig.peer().reply(0);       // the read: old data
  rig.settle();
  CHECK(filled_with(rig.data().subspan(0, 4096), 4));
  CHECK(rig.primary().status().io.reads_repaired == 0);
}

TEST_CASE("many failed reads are repaired one at a time, and no more than fit the queue") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail({.kind = IoKind::read, .times = DiskFault::kForever});
  const auto read_remotely = [&rig](std::uint64_t block) {
    rig.client().read(block * 4096, 4096);
    rig.settle_locally();
    rig.peer().take();
    rig.peer().reply(rig.peer().arrived() - 1);
    rig.settle_locally();
    rig.peer().take();
  };
  for (std::uint64_t block = 0; block < 64; ++block) read_remotely(block);
  CHECK(rig.peer().arrived() == 1);  // the repair of the first, which has no answer yet
  rig.settle();
  CHECK(rig.primary().status().io.reads_repaired == 1 + ReadRepair::kQueue);
}

TEST_CASE("a repair whose write fails makes the range the peer's, or the component with it") {
  const auto policy = GENERATE(OnLocalError::pass, OnLocalError::detach);
  RigOptions options;
  options.primary.on_local_error = policy;
  PrimaryRig rig(options);
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::read, 0, 4096));
  rig.disk().fail(rig.data_fault(IoKind::write, 0, 4096));
  rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.primary().local_lost() == (policy == OnLocalError::detach));
  CHECK(rig.primary().status().stale_bytes ==
        (policy == OnLocalError::detach ? rig.shape().data_bytes() : kBlock));
  CHECK(rig.metadata().inconsistent);
  const auto again = rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.client().holds(again, 3));
}

TEST_CASE("a repair ends when the link is lost, and nothing was changed") {
  PrimaryRig rig;
  prepare(rig, 3);
  rig.disk().fail(rig.data_fault(IoKind::read, 0, 4096));
  rig.client().read(0, 4096);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(0);
  rig.settle_locally();
  REQUIRE_FALSE(rig.primary().quiet());
  rig.disconnect();
  rig.settle();
  CHECK(rig.primary().quiet());
  CHECK(rig.primary().status().io.reads_repaired == 0);
}

TEST_CASE("INV-13: a resync that lacks only the proof of its end is tried again") {
  RigOptions options;
  options.primary.replication = Replication::async;
  PrimaryRig rig(options);
  prepare(rig, 3);
  rig.peer().fail({.kind = IoKind::discard, .error = EOPNOTSUPP});
  rig.client().discard(0, 4096);
  rig.settle();
  const auto early = rig.client().write(2 * kExtent, 4096, 5);
  rig.settle_locally();
  REQUIRE(rig.client().ok(early));  // on its way to the peer, so that the component is kept
  rig.disk().fail({.kind = IoKind::flush});  // that of the end
  rig.primary().tick();
  for (rig.settle_locally(); rig.peer().take() > 0; rig.settle_locally()) {
    while (rig.peer().arrived() > 1) rig.peer().reply(rig.peer().arrived() - 1);
  }
  REQUIRE(rig.events().count(Event::Kind::sync_incomplete) == 1);
  REQUIRE_FALSE(rig.primary().local_lost());
  rig.settle();
  const auto equal = [&rig] {
    return rig.events().count(Event::Kind::sync_done) + rig.events().count(Event::Kind::in_sync);
  };
  const std::size_t before = equal();
  rig.tick(31);
  CHECK(equal() == before + 1);
  CHECK(rig.images_equal());
}

TEST_CASE(
    "INV-12: writes that are answered early do not keep a flush from the peer that can stand in") {
  RigOptions options;
  options.primary.replication = GENERATE(Replication::async, Replication::memsync);
  PrimaryRig rig(options);
  prepare(rig, 3);
  // One write is on its way to the peer at any time.
  std::uint64_t sector = 0;
  const auto step = [&] {
    rig.client().write(2 * kExtent + 512 * sector++, 512, 5);
    rig.settle_locally();
    rig.peer().take();
    for (std::size_t i = 0; i < rig.peer().arrived(); ++i) {
      if (rig.peer().arrived(i).memsync && !rig.peer().arrived(i).received_sent)
        rig.peer().send_received(i);
    }
    while (rig.peer().arrived() > 1) rig.peer().reply(0);
    rig.settle_locally();
  };
  step();
  rig.disk().fail({.kind = IoKind::flush});
  const auto flushed = rig.client().flush();
  for (int steps = 0; steps < 20 && !rig.client().done(flushed); ++steps) step();
  CHECK(rig.client().ok(flushed));
  CHECK(rig.primary().local_lost());
  rig.settle();
}

TEST_CASE("INV-12: where no flush succeeds any more the peer stands in as soon as it is whole") {
  const bool is_native = GENERATE(true, false);
  PrimaryRig rig;
  rig.identity.native = is_native;
  rig.start();
  rig.client().write(0, 4096, 5);
  rig.settle();
  REQUIRE(rig.metadata().localcnt == 1);
  rig.primary().flush_failed(EIO);  // what was written, too, is lost perhaps
  const auto alone = rig.client().flush();
  rig.settle();
  CHECK(rig.client().error(alone) == EIO);
  CHECK(rig.primary().status().flush_lost);
  REQUIRE(rig.connect());
  rig.settle();
  REQUIRE(rig.primary().local_lost());
  CHECK(rig.images_equal());
  if (is_native) CHECK(rig.peer().orders_of(PeerOrder::Kind::sync_end) == 1);
  const auto flushed = rig.client().flush();
  const auto read = rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.client().ok(flushed));
  CHECK(rig.client().holds(read, 5));
  REQUIRE(rig.attach());
  rig.settle();
  CHECK_FALSE(rig.primary().status().flush_lost);
  rig.disconnect();
  const auto again = rig.client().flush();
  rig.settle();
  CHECK(rig.client().ok(again));
}

TEST_CASE("INV-2: after a flush that failed none of this node proves anything") {
  PrimaryRig rig;
  rig.start_connected();
  rig.client().write(0, 4096, 5);
  rig.settle();
  rig.peer().fail(
      {.kind = IoKind::write});  // the peer does not have everything: it cannot stand in
  rig.client().write(kExtent, 4096, 5);
  rig.settle();
  rig.primary().flush_failed(EIO);
  rig.tick(10);  // the disk is asked to flush again, and does
  CHECK(rig.map().test(0));
  CHECK(rig.map().test(1));
  CHECK_FALSE(rig.primary().local_lost());
  const auto written = rig.client().write(2 * kExtent, 4096, 6);  // and the map is stored
  const auto flushed = rig.client().flush();
  rig.settle();
  CHECK(rig.client().ok(written));
  CHECK(rig.client().error(flushed) == EIO);
}

TEST_CASE(
    "INV-4: a disk may flush again, but not between a write of map or metadata and its flush") {
  PrimaryRig rig;
  rig.start();
  rig.client().write(0, 4096, 5);
  const bool is_marked = GENERATE(false, true);
  const auto is_stored = [&](const port::DiskOp& op) {
    const bool is_map = op.offset_bytes == ondisk::kMapOffset;
    const bool is_data = op.offset_bytes == rig.shape().layout().data_offset;
    return op.kind == IoKind::write && !is_data && is_map != is_marked;
  };
  while (rig.disk().held_of(is_stored) == 0) rig.disk().complete();
  rig.primary().flush_failed(EIO);
  for (int i = 0; i < 20; ++i) rig.primary().tick();
  CHECK(rig.disk().flush_agains() == 0);
  rig.settle();
  rig.tick();
  CHECK(rig.disk().flush_agains() == 1);
  rig.tick(20);
  CHECK(rig.disk().flush_agains() == 1);
}

TEST_CASE("INV-4: what a failed flush may have dropped is written anew by the next start") {
  PrimaryRig rig;
  rig.start_filled(3, 1);
  rig.finish();
  rig.options().doubtful = true;
  rig.start();
  CHECK(rig.disk().held() > 0);  // the metadata
  rig.settle();
  const std::size_t before = rig.logged_map_writes();
  rig.client().write(0, 4096, 4);  // its bit is found in the map, but is it on the platter?
  rig.settle();
  CHECK(rig.logged_map_writes() == before + 1);
}

TEST_CASE("INV-7: a count that could not be stored is put back on the platter by an orderly end") {
  PrimaryRig rig;
  rig.start();
  // Written, but no flush confirms it.
  rig.disk().fail({.kind = IoKind::flush, .skip = 1, .times = DiskFault::kForever});
  const auto id = rig.client().write(0, 4096, 3);
  rig.settle();
  REQUIRE_FALSE(rig.client().ok(id));
  REQUIRE(rig.metadata(Layer::newest).localcnt == 1);
  rig.primary().prepare_stop();
  rig.settle();
  CHECK(rig.metadata(Layer::newest).localcnt == 0);
}

// Giving the component up and taking it back ------------------------------------------------------

TEST_CASE("on_local_error detach: the first failed write gives the component up, the peer serves") {
  PrimaryRig rig(RigOptions::detaching());
  prepare(rig, 3);
  rig.lose_component(4);
  CHECK(rig.events().count(Event::Kind::local_lost) == 1);
  CHECK(rig.metadata().inconsistent);  // INV-5
  const std::size_t before = rig.logged_data_writes();
  const auto written = rig.client().write(kBlock, 4096, 5);
  const auto read = rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.client().ok(written));
  CHECK(rig.client().holds(read, 4));
  CHECK(rig.logged_data_writes() == before);
}

TEST_CASE("attach: the disk comes back and only what changed is copied") {
  PrimaryRig rig(RigOptions::detaching());
  prepare(rig, 3, 6);
  rig.lose_component(4);
  rig.client().write(7 * kExtent, 4096, 5);
  rig.settle();
  REQUIRE(rig.attach());
  CHECK(rig.primary().attaching());
  rig.settle();
  CHECK_FALSE(rig.primary().attaching());
  CHECK_FALSE(rig.primary().local_lost());
  // The hot set (two extents), the one that failed and the one written since.
  CHECK(copied_from_peer(rig) <= 4 * kExtent);
  CHECK(rig.events().last(Event::Kind::sync_started).source == SyncSource::secondary);
  CHECK(rig.events().count(Event::Kind::sync_done) == 1);
  CHECK(rig.images_equal());
  CHECK_FALSE(rig.metadata().inconsistent);
  const auto read = rig.client().read(7 * kExtent, 4096);
  CHECK(rig.primary().outbox().waiting() == 0);  // local again
  rig.settle();
  CHECK(rig.client().holds(read, 5));
}

TEST_CASE("INV-1: attach writes nothing before the map says what the disk lacks") {
  PrimaryRig rig(RigOptions::detaching());
  prepare(rig, 3);
  rig.lose_component(4);
  preset_map(rig.media(), rig.shape(), {});  // whatever the disk had remembered
  REQUIRE(rig.attach());
  const auto id = rig.client().write(5 * kExtent, 4096, 6);
  rig.settle();  // the rig watches INV-1
  CHECK(rig.client().ok(id));
  CHECK(rig.images_equal());
}

TEST_CASE("attach: a new disk, or an older state of this one, is copied whole") {
  PrimaryRig rig(RigOptions::detaching());
  prepare(rig, 3, 2);
  const ondisk::Metadata before = rig.metadata();
  rig.disconnect();
  rig.client().write(0, 4096, 4);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle();
  rig.lose_component(5);
  ondisk::Metadata metadata = fresh_metadata(rig.shape());
  SECTION("created anew") {}
  SECTION("an older state") { metadata = before; }
  store_metadata(rig.media(), rig.shape(), metadata);
  rig.media().preset(rig.shape().layout().data_offset,
                     std::vector<std::byte>(rig.shape().data_bytes()));
  REQUIRE(rig.attach());
  rig.settle();
  CHECK(copied_from_peer(rig) == rig.shape().data_bytes());
  CHECK(rig.images_equal());
  CHECK(rig.metadata().resuid == PrimaryRig::kResuid);
  CHECK_FALSE(rig.metadata().inconsistent);
}

TEST_CASE("attach: a component of another pair or of another size is refused") {
  PrimaryRig rig(RigOptions::detaching());
  prepare(rig, 3);
  rig.lose_component(4);
  Component other = open_component(rig.disk(), rig.media(), rig.shape());
  SECTION("another pair") {
    other.metadata.resuid = 77;
    CHECK(rig.primary().attach(other).error().code == Errc::resuid_mismatch);
  }
  SECTION("another layout") {
    other.layout.data_offset += 4096;
    CHECK(rig.primary().attach(other).error().code == Errc::size_mismatch);
  }
  SECTION("larger sectors, which the clients' requests would cut") {
    DiskMedia coarse(1 << 20, 4096);
    FakeDisk disk(coarse);
    other.disk = &disk;
    CHECK(rig.primary().attach(other).error().code == Errc::size_mismatch);
  }
  CHECK(rig.primary().local_lost());
  CHECK_FALSE(rig.primary().attaching());
}

TEST_CASE("INV-4: attach that cannot be recorded leaves everything to the peer") {
  PrimaryRig rig(RigOptions::detaching());
  prepare(rig, 3);
  rig.lose_component(4);
  SECTION("metadata") { rig.disk().fail(rig.metadata_fault()); }
  SECTION("map") { rig.disk().fail(rig.map_fault()); }
  REQUIRE(rig.attach());
  const auto written = rig.client().write(5 * kExtent, 4096, 6);
  rig.settle();
  CHECK(rig.client().ok(written));
  CHECK(rig.primary().local_lost());
  CHECK_FALSE(rig.primary().attaching());
  CHECK(rig.events().count(Event::Kind::local_lost) == 2);
  REQUIRE(rig.attach());
  rig.settle();
  CHECK_FALSE(rig.primary().local_lost());
  CHECK(rig.images_equal());
}

TEST_CASE("INV-6: a write on its way to the peer alone while the disk is attached is copied, too") {
  PrimaryRig rig(RigOptions::detaching());
  prepare(rig, 3);
  rig.lose_component(4);
  const auto id = rig.client().write(6 * kExtent, 4096, 5);
  rig.settle_locally();
  REQUIRE(rig.attach());
  rig.settle_locally();
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.images_equal());
}

TEST_CASE("a link that is lost and found while an attached disk is copied costs no full copy") {
  PrimaryRig rig(RigOptions::detaching());
  prepare(rig, 3, 6);
  rig.lose_component(4);
  REQUIRE(rig.attach());
  rig.settle_locally();
  rig.disconnect();
  rig.settle();
  // The peer knows that it is ahead, and not where (INV-12): all ones.
  const PrimaryFacts facts = rig.primary().facts();
  REQUIRE(rig.link_up({SyncSource::secondary, SyncKind::full, false}, facts));
  rig.settle();
  CHECK(copied_from_peer(rig) <= 3 * kExtent);
  CHECK(rig.images_equal());
}

TEST_CASE("INV-5: a node that dies while an attached disk is copied is inconsistent") {
  PrimaryRig rig(RigOptions::detaching());
  prepare(rig, 3);
  rig.lose_component(4);
  REQUIRE(rig.attach());
  rig.settle_locally();
  rig.power_loss();
  CHECK(rig.metadata().inconsistent);
  rig.start();
  rig.settle();
}

TEST_CASE("INV-12: the peer is told anew that it is alone after the nodes were equal again") {
  PrimaryRig rig;
  rig.identity.native = true;
  prepare(rig, 3);
  const auto told = [&rig] { return rig.peer().orders_of(PeerOrder::Kind::alone); };
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  rig.client().write(0, 4096, 4);
  rig.settle();
  REQUIRE(told() == 1);
  rig.tick();
  REQUIRE(rig.images_equal());
  REQUIRE_FALSE(rig.metadata().inconsistent);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  const auto id = rig.client().write(0, 4096, 5);
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(told() == 2);
}

TEST_CASE("INV-12: what neither node can note is not acknowledged, though the peer has the data") {
  PrimaryRig rig(RigOptions::detaching());
  rig.identity.native = true;
  prepare(rig, 3);
  rig.disk().fail({.kind = IoKind::write, .times = DiskFault::kForever});
  const auto written = rig.client().write(0, 4096, 4);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(0);
  rig.settle_locally();
  rig.peer().take();
  REQUIRE(rig.peer().arrived(0).order == PeerOrder::Kind::alone);
  rig.peer().reply(1);  // the flush that is asked of it first
  rig.settle_locally();
  REQUIRE(rig.primary().local_lost());
  CHECK_FALSE(rig.client().done(written));
  rig.peer().reply(0, EIO);
  rig.settle();
  CHECK(rig.client().error(written) == EIO);
}

TEST_CASE("INV-12: what the peer alone had and lost with its power fails the next flush") {
  PrimaryRig rig(RigOptions::detaching());
  rig.identity.native = true;
  rig.identity.boot = 1;
  prepare(rig, 3);
  rig.lose_component(4);
  const auto come_back = [&rig] {
    rig.disconnect();
    rig.peer().media().power_loss();
    REQUIRE(rig.connect());
    rig.settle();
  };
  const auto flush_error = [&rig] {
    const auto id = rig.client().flush();
    rig.settle();
    return rig.client().error(id);
  };
  SECTION("every one that was asked by then, and no later one") {
    rig.identity.boot = 2;
    come_back();
    CHECK(rig.events().count(Event::Kind::peer_restarted) == 1);
    const auto one = rig.client().flush();
    const auto other = rig.client().flush();
    rig.settle();
    CHECK(rig.client().error(one) == EIO);
    CHECK(rig.client().error(other) == EIO);
    CHECK(flush_error() == 0);
    come_back();  // it lost nothing since
    CHECK(flush_error() == 0);
  }
  SECTION("not if it had been flushed") {
    CHECK(flush_error() == 0);
    rig.identity.boot = 2;
    come_back();
    CHECK(flush_error() == 0);
  }
  SECTION("but if something was written since") {
    CHECK(flush_error() == 0);
    rig.client().write(8192, 4096, 5);
    rig.settle();
    rig.identity.boot = 2;
    come_back();
    CHECK(flush_error() == EIO);
  }
  SECTION("nor after the loss of a connection alone") {
    rig.disconnect();
    REQUIRE(rig.connect());
    CHECK(flush_error() == 0);
  }
  SECTION("nor where the peer does not tell") {
    rig.identity.boot = 0;
    come_back();
    CHECK(flush_error() == 0);
  }
  SECTION("also when this node has its component again by then") {
    rig.disconnect();
    rig.peer().media().power_loss();
    rig.identity.boot = 2;
    rig.disk().heal();
    REQUIRE(rig.attach());
    rig.settle();
    REQUIRE(rig.connect());
    rig.settle();
    CHECK(flush_error() == EIO);
  }
}

TEST_CASE(
    "INV-12: what the peer did beside the flush by which it vouched is not flushed, perhaps") {
  PrimaryRig rig;
  rig.identity.native = true;
  rig.identity.boot = 1;
  prepare(rig, 3);
  rig.disk().fail({.kind = IoKind::flush});
  rig.client().flush();
  rig.settle();
  REQUIRE(rig.primary().local_lost());
  rig.disconnect();
  rig.identity.boot = 2;
  REQUIRE(rig.connect());
  const auto flush = rig.client().flush();
  rig.settle();
  CHECK(rig.client().error(flush) == EIO);
}

TEST_CASE("INV-5: a component is not given up while the peer is marked from a resync before") {
  PrimaryRig rig(RigOptions::detaching());
  rig.identity.native = rig.identity.inconsistent = true;
  rig.start();
  REQUIRE(rig.connect());
  rig.settle_locally();
  rig.peer().take();  // the flush that proves it; then comes what ends the mark
  REQUIRE(rig.primary().status().unsynced_bytes == 0);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, 4096));
  const auto id = rig.client().write(0, 4096, 4);
  rig.settle_locally();
  rig.peer().take();
  REQUIRE(rig.peer().reply_first_of(IoKind::write));
  rig.settle_locally();
  CHECK(rig.client().error(id) == EIO);
  CHECK_FALSE(rig.primary().local_lost());
}

TEST_CASE("INV-7: a peer that is told to be alone succeeds a count that may be on the platter") {
  PrimaryRig rig(RigOptions::detaching());
  rig.identity.native = true;
  rig.start();
  DiskFault second_copy{.kind = IoKind::write, .times = DiskFault::kForever};
  second_copy.begin = *rig.shape().layout().second_copy;
  second_copy.end = second_copy.begin + ondisk::kMetadataBytes;
  rig.disk().fail(second_copy);
  rig.client().write(0, 4096, 4);
  rig.settle();
  const std::uint64_t stored = rig.metadata().generations.current;
  REQUIRE(stored != rig.primary().metadata().generations.current);  // it was taken back
  REQUIRE(rig.connect());
  rig.settle();
  REQUIRE_FALSE(rig.primary().local_lost());
  rig.disk().fail(rig.data_fault(IoKind::write, 0, 4096));
  rig.client().write(0, 4096, 5);
  rig.settle();
  REQUIRE(rig.primary().local_lost());
  REQUIRE(rig.metadata().generations.current == stored);
  CHECK(rig.peer().orders().back().generations.contains(stored));
}
