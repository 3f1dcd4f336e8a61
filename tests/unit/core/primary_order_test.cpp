// What a primary orders a native peer to note: that it stands alone, that the nodes are equal, that
// the primary leaves. INV-5, INV-7, INV-12.
#include <cerrno>

#include "support/catch.hpp"
#include "support/primary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

constexpr std::uint64_t kExtent = 256 * 1024;
constexpr std::uint64_t kBlock = port::kBlockBytes;

RigOptions one_hot() {
  RigOptions options;
  options.shape.keepdirty = 1;
  options.primary.replication = Replication::memsync;
  return options;
}

/// Both nodes are of the generation that they began with.
void make_native(PrimaryRig& rig) {
  rig.identity.native = true;
  rig.identity.generations = {};
  rig.identity.generations.begin(PrimaryRig::kResuid);
  rig.identity.generations.synced = PrimaryRig::kResuid;
}

/// Connected and equal; the bits of the first extents are stable, those of all but one are cold.
void prepare(PrimaryRig& rig, std::uint64_t extents = 1) {
  make_native(rig);
  rig.start_connected();
  for (std::uint64_t e = 0; e < extents; ++e) {
    rig.client().write(e * kExtent, kBlock, 3);
    rig.settle();
  }
}

Generations told_generations(PrimaryRig& rig) {
  REQUIRE(rig.peer().orders().back().kind == PeerOrder::Kind::alone);
  return rig.peer().orders().back().generations;
}

/// Everything but that order, which is the last thing that has arrived at the peer then.
void go_on_until(PrimaryRig& rig, PeerOrder::Kind kind) {
  for (;;) {
    rig.settle_locally();
    rig.peer().take();
    REQUIRE(rig.peer().arrived() > 0);
    if (rig.peer().arrived(rig.peer().arrived() - 1).order == kind) return;
    rig.peer().reply(0);
  }
}

}  // namespace

// Alone -------------------------------------------------------------------------------------------

TEST_CASE("INV-7: a peer that is told it stands alone succeeds what this node counted for itself") {
  PrimaryRig rig;
  make_native(rig);
  const Generations both = rig.identity.generations;
  rig.start();
  rig.client().flush();  // what it vouches for may be here alone
  rig.settle();
  const Generations mine = rig.metadata().generations;
  REQUIRE(mine.current != both.current);
  REQUIRE(rig.connect());
  rig.disk().fail(rig.data_fault(IoKind::write, 0, 4096));
  const auto id = rig.client().write(0, 4096, 3);
  rig.settle_locally();
  rig.peer().take();
  REQUIRE(rig.peer().arrived(rig.peer().arrived() - 1).kind == IoKind::write);
  rig.peer().reply(rig.peer().arrived() - 1);  // before the flush that would end the resync
  rig.settle_locally();
  CHECK_FALSE(rig.client().done(id));  // INV-12: not before the peer knows
  rig.peer().take();
  const Generations told = told_generations(rig);
  CHECK(told.contains(mine.current));
  CHECK(told.contains(both.current));
  CHECK(told.current != mine.current);
  CHECK_FALSE(mine.contains(told.current));
  CHECK(told.synced == Generations::kUntracked);
  rig.settle();
  CHECK(rig.client().ok(id));
}

TEST_CASE("INV-7: what a peer is told when it knows already that it is alone succeeds that, too") {
  PrimaryRig rig;
  prepare(rig);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  rig.client().write(0, 4096, 4);
  rig.settle();
  const Generations first = told_generations(rig);
  rig.disk().fail({.kind = IoKind::flush});
  const auto id = rig.client().flush();
  rig.settle();
  REQUIRE(rig.client().ok(id));
  REQUIRE(rig.primary().local_lost());
  CHECK(rig.peer().orders_of(PeerOrder::Kind::alone) == 2);
  const Generations second = told_generations(rig);
  CHECK(second.current != first.current);
  CHECK(second.contains(first.current));
  CHECK(second.contains(PrimaryRig::kResuid));
  CHECK(second.synced == Generations::kUntracked);
}

TEST_CASE("a peer that refuses to note that it is alone is not relied on: the link is restarted") {
  PrimaryRig rig;
  prepare(rig);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  rig.client().write(0, 4096, 4);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(0);  // the write
  go_on_until(rig, PeerOrder::Kind::alone);
  rig.peer().reply(0, EIO);
  CHECK(rig.host().drop_reasons.size() == 1);
  CHECK(rig.events().count(Event::Kind::peer_io_failed) == 1);
  rig.settle();
  CHECK_FALSE(rig.primary().outbox().connected());
  CHECK(rig.metadata().inconsistent);  // this node notes it for both
}

TEST_CASE("INV-5: a disk that is attached says in which generation its peer was alone") {
  RigOptions options;
  options.primary.on_local_error = OnLocalError::detach;
  PrimaryRig rig(options);
  prepare(rig);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, kBlock));
  rig.client().write(0, 4096, 4);
  rig.settle();
  REQUIRE(rig.primary().local_lost());
  const Generations told = told_generations(rig);
  REQUIRE(rig.primary().attach(open_component(rig.disk(), rig.media(), rig.shape())));
  rig.settle_locally();
  REQUIRE_FALSE(rig.primary().local_lost());
  CHECK(rig.metadata().inconsistent);
  CHECK(rig.metadata().sync_from == told.current);
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(rig.metadata().sync_from == 0);
}

// Equal -------------------------------------------------------------------------------------------

TEST_CASE("INV-12: a component lost before the peer confirmed that both are equal is not equal") {
  PrimaryRig rig;
  make_native(rig);
  rig.start();
  REQUIRE(rig.connect());
  go_on_until(rig, PeerOrder::Kind::sync_end);
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
  rig.settle();
  CHECK(rig.events().count(Event::Kind::in_sync) == 0);
  CHECK(rig.events().count(Event::Kind::sync_started) == 0);
  CHECK(rig.metadata().inconsistent);
}

TEST_CASE("INV-11: a write that failed here before the peer confirmed that both are equal") {
  PrimaryRig rig;
  make_native(rig);
  rig.start();
  REQUIRE(rig.connect());
  go_on_until(rig, PeerOrder::Kind::sync_end);
  rig.disk().fail(rig.data_fault(IoKind::write, 0, 4096));
  const auto id = rig.client().write(0, 4096, 4);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(1);  // the write: only the peer has it
  rig.settle_locally();
  REQUIRE(rig.primary().status().stale_bytes > 0);
  rig.peer().take();
  rig.peer().reply(1);  // it stands alone
  rig.settle_locally();
  CHECK(rig.client().ok(id));
  SECTION("is copied from there before they are called equal") {
    rig.settle();
    CHECK(rig.events().count(Event::Kind::sync_done) == 1);
    CHECK(rig.events().last(Event::Kind::sync_started).source == SyncSource::secondary);
    CHECK(rig.images_equal());
    CHECK(rig.peer().orders().back().kind == PeerOrder::Kind::sync_end);
  }
  SECTION("stays there when this node stops; no copy begins") {
    rig.primary().prepare_stop();
    rig.settle();
    CHECK(rig.events().count(Event::Kind::sync_started) == 0);
    CHECK(rig.peer().orders().back().kind == PeerOrder::Kind::goodbye);
    CHECK(rig.peer().orders().back().current);  // the peer has everything
    CHECK(rig.metadata().inconsistent);
    CHECK(rig.primary().quiet());
  }
}

TEST_CASE("INV-7: a peer of the known count but of another generation has something new") {
  PrimaryRig rig;
  make_native(rig);
  rig.identity.generations.begin(7);
  rig.identity.counters = {1, 0};
  rig.identity.dirty = {0};
  rig.peer().media().preset(0, std::vector<std::byte>(kExtent, std::byte{0xa0}));
  rig.start();
  REQUIRE(rig.connect());
  rig.settle_locally();  // nothing is copied yet
  rig.disconnect();
  rig.settle();
  rig.identity.generations.begin(8);
  rig.identity.dirty = {5};
  rig.peer().media().preset(5 * kExtent, std::vector<std::byte>(kExtent, std::byte{0xa5}));
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(filled_with(rig.data().subspan(0, kExtent), 0xa0));
  CHECK(filled_with(rig.data().subspan(5 * kExtent, kExtent), 0xa5));
}

// Goodbye -----------------------------------------------------------------------------------------

namespace {

/// A write that the client has its answer of, and the peer still on its way to its disk.
void acknowledge_early(PrimaryRig& rig) {
  const auto id = rig.client().write(2 * kExtent, 4096, 4);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().send_received(rig.peer().arrived() - 1);
  rig.settle_locally();
  REQUIRE(rig.client().ok(id));
}

}  // namespace

TEST_CASE(
    "a goodbye is the last thing a peer hears, however a barrier and a write are on their way") {
  PrimaryRig rig(one_hot());
  prepare(rig, 3);
  rig.primary().tick();  // a barrier: two extents are cold
  REQUIRE(rig.disk().held_of(IoKind::flush) == 1);
  acknowledge_early(rig);
  rig.primary().prepare_stop();
  REQUIRE(rig.peer().reply_first_of(IoKind::flush));
  CHECK(rig.peer().orders_of(PeerOrder::Kind::goodbye) == 0);
  CHECK(rig.disk().held_of(IoKind::flush) == 0);  // the last barrier waits for the write
  CHECK(rig.peer().take() == 0);
  rig.settle();
  CHECK(rig.peer().orders_of(PeerOrder::Kind::goodbye) == 1);
  CHECK(rig.peer().orders().back().kind == PeerOrder::Kind::goodbye);
  CHECK_FALSE(rig.map().any());
  CHECK(rig.primary().quiet());
}

TEST_CASE("a primary that stops begins nothing by the clock") {
  PrimaryRig rig(one_hot());
  prepare(rig, 3);
  acknowledge_early(rig);
  rig.primary().prepare_stop();
  rig.primary().tick();  // it would clean the two extents that are cold
  CHECK(rig.disk().held_of(IoKind::flush) == 0);
  rig.settle();
  CHECK(rig.peer().orders_of(PeerOrder::Kind::goodbye) == 1);
}

TEST_CASE("a primary that leaves says so when the peer lacks something that was acknowledged") {
  const bool even = GENERATE(true, false);
  PrimaryRig rig;
  prepare(rig);
  if (!even) rig.peer().fail({.kind = IoKind::discard, .error = EOPNOTSUPP});
  rig.client().discard(0, 4096);
  rig.settle();
  REQUIRE(rig.primary().status().unsynced_bytes == (even ? 0 : kExtent));
  rig.primary().prepare_stop();
  rig.settle();
  REQUIRE(rig.peer().orders().back().kind == PeerOrder::Kind::goodbye);
  CHECK(rig.peer().orders().back().current == even);
}

TEST_CASE(
    "INV-7: an episode that the end of a resync overtakes has no claim to what is common now") {
  PrimaryRig rig;
  make_native(rig);
  rig.identity.dirty = {0};
  rig.start();
  REQUIRE(rig.connect());
  go_on_until(rig, PeerOrder::Kind::sync_end);
  const Generations common = rig.peer().orders().back().generations;
  rig.client().flush();  // the nodes are not known to be equal yet: it counts
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(rig.peer().arrived() - 1);
  rig.settle_locally();
  REQUIRE(rig.metadata().generations.current != common.current);
  rig.settle();
  CHECK(rig.primary().metadata().generations == common);
  rig.disconnect();
  const auto alone = rig.client().write(0, 4096, 2);
  rig.settle();
  CHECK(rig.client().ok(alone));
  CHECK(rig.metadata().generations.current != common.current);
  CHECK(rig.metadata().generations.contains(common.current));
}
