// FLUSH, FUA and requests a component cannot do: safety.md §1.
#include <cerrno>

#include "support/catch.hpp"
#include "support/primary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

constexpr std::uint64_t kExtent = 256 * 1024;

RigOptions with(Replication mode) {
  RigOptions options;
  options.primary.replication = mode;
  return options;
}

constexpr Replication kWaiting[] = {Replication::fullsync, Replication::memsync};

}  // namespace

TEST_CASE("fullsync, memsync: a flush returns when both nodes have flushed") {
  for (Replication mode : kWaiting) {
    for (const bool local_first : {true, false}) {
      PrimaryRig rig(with(mode));
      rig.start_connected();
      rig.client().write(0, 4096, 1);
      rig.settle();
      CHECK_FALSE(filled_with(rig.data(Layer::durable).subspan(0, 4096), 1));
      const auto id = rig.client().flush();
      rig.peer().take();
      local_first ? rig.disk().complete() : rig.peer().reply(0);
      while (rig.host().delivery_due) rig.deliver();
      CHECK_FALSE(rig.client().done(id));
      local_first ? rig.peer().reply(0) : rig.disk().complete();
      rig.settle();
      CHECK(rig.client().ok(id));
      CHECK(filled_with(rig.data(Layer::durable).subspan(0, 4096), 1));
      CHECK(filled_with(rig.peer().media().durable(0, 4096), 1));
    }
  }
}

TEST_CASE("async: a flush returns when this node has flushed, and is passed on in order") {
  PrimaryRig rig(with(Replication::async));
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.settle_locally();
  const auto id = rig.client().flush();
  rig.settle_locally();
  CHECK(rig.client().ok(id));
  CHECK(filled_with(rig.data(Layer::durable).subspan(0, 4096), 1));
  rig.peer().take();
  REQUIRE(rig.peer().arrived() == 2);
  CHECK(rig.peer().arrived(0).kind == IoKind::write);
  CHECK(rig.peer().arrived(1).kind == IoKind::flush);
  rig.settle();
  CHECK(filled_with(rig.peer().media().durable(0, 4096), 1));
}

TEST_CASE("without a peer a flush returns when this node has flushed") {
  PrimaryRig rig;
  rig.start();
  rig.client().write(0, 4096, 1);
  rig.settle();
  const auto id = rig.client().flush();
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(filled_with(rig.data(Layer::durable).subspan(0, 4096), 1));
  CHECK(rig.primary().status().io.flushes == 1);
}

TEST_CASE("a flush refused by the peer succeeds here, counted, and the link is restarted") {
  PrimaryRig rig;
  rig.start_connected();
  rig.peer().fail({.kind = IoKind::flush});
  const auto id = rig.client().flush();
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK_FALSE(rig.primary().outbox().connected());
  CHECK(rig.events().count(Event::Kind::peer_io_failed) == 1);
  CHECK(rig.metadata().localcnt == 1);
}

TEST_CASE("a flush that the peer refused waits for nothing once the nodes are equal again") {
  RigOptions options;
  options.primary.go_alone = GoAlone::if_permitted;
  PrimaryRig rig(options);
  rig.start_connected();
  rig.peer().fail({.kind = IoKind::flush});
  const auto id = rig.client().flush();
  rig.peer().run();  // refused, and this node's disk is slow
  REQUIRE(rig.disk().held() == 1);
  const port::DiskOp* const slow = &rig.disk().held(0);
  rig.disconnect();
  REQUIRE(rig.connect());
  const auto others = [slow](const port::DiskOp& op) { return &op != slow; };
  for (bool moved = true; moved;) {
    moved = rig.disk().complete_first(others);
    if (rig.host().delivery_due) rig.deliver();
    moved = rig.peer().run() > 0 || moved;
  }
  REQUIRE(rig.events().count(Event::Kind::in_sync) == 2);
  REQUIRE_FALSE(rig.client().done(id));
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.metadata().localcnt == 0);  // nothing that only this node vouches for
}

TEST_CASE("INV-12: a failed local flush gives up the component if the peer has everything") {
  PrimaryRig rig;
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.settle();
  rig.disk().fail({.kind = IoKind::flush});
  const auto id = rig.client().flush();
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.primary().status().local_lost);
  CHECK(filled_with(rig.peer().media().durable(0, 4096), 1));
  const auto read = rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.client().holds(read, 1));
}

TEST_CASE("a failed local flush without the peer is an error") {
  PrimaryRig rig;
  rig.start();
  rig.disk().fail({.kind = IoKind::flush});
  const auto id = rig.client().flush();
  rig.settle();
  CHECK(rig.client().done(id));
  CHECK(rig.client().error(id) == EIO);
  CHECK(rig.primary().status().io.flush_errors == 1);
}

TEST_CASE("INV-11: a lost component stays lost after a restart, until it was copied anew") {
  PrimaryRig rig;
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.settle();
  rig.disk().fail({.kind = IoKind::flush});
  rig.client().flush();
  rig.settle();
  REQUIRE(rig.primary().status().local_lost);
  // Nothing of this is marked in the map: the component no longer takes part.
  rig.client().write(3 * kExtent, 4096, 2);
  rig.settle();
  rig.power_loss();
  rig.start();
  REQUIRE(rig.connect());
  rig.settle();
  const auto one = rig.client().read(0, 4096);
  const auto two = rig.client().read(3 * kExtent, 4096);
  rig.settle();
  CHECK(rig.client().holds(one, 1));
  CHECK(rig.client().holds(two, 2));
  CHECK(rig.images_equal());
  CHECK_FALSE(rig.metadata().inconsistent);
}

TEST_CASE("INV-12: a lost component and an empty peer: the link is refused, zeros are not served") {
  PrimaryRig rig;
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.settle();
  rig.disk().fail({.kind = IoKind::flush});
  rig.client().flush();
  rig.settle();
  rig.disconnect();
  rig.identity = {};  // created anew
  CHECK_FALSE(rig.connect());
}

TEST_CASE("INV-6: a flush cannot vouch for what only the peer has") {
  PrimaryRig rig;
  rig.identity.counters = {1, 0};
  rig.identity.dirty = {0};
  rig.start();
  REQUIRE(rig.connect());
  rig.settle_locally();
  rig.disconnect();
  const auto id = rig.client().flush();
  rig.settle();
  CHECK(rig.client().done(id));
  CHECK(rig.client().error(id) == EIO);
  CHECK(rig.metadata().localcnt == 0);  // and it is no change of this node
}

TEST_CASE("a component without a cache to flush: a flush succeeds and later ones too") {
  PrimaryRig rig;
  rig.start_connected();
  rig.disk().without_cache();
  rig.peer().fail({.kind = IoKind::flush, .times = DiskFault::kForever, .error = EOPNOTSUPP});
  for (int i = 0; i < 2; ++i) {
    const auto write = rig.client().write(0, 4096, 1);
    const auto flush = rig.client().flush();
    rig.settle();
    CHECK(rig.client().ok(write));
    CHECK(rig.client().ok(flush));
  }
  CHECK(rig.primary().outbox().connected());
}

TEST_CASE("FUA: the data are durable on both nodes before the acknowledgement") {
  for (Replication mode : kWaiting) {
    PrimaryRig rig(with(mode));
    rig.start_connected();
    const auto id = rig.client().write_fua(0, 4096, 1);
    while (!rig.client().done(id)) {
      rig.peer().take();
      if (rig.host().delivery_due) {
        rig.deliver();
      } else if (rig.disk().held() > 0) {
        rig.disk().complete();
      } else {
        REQUIRE(rig.peer().arrived() > 0);
        const PeerArrival& first = rig.peer().arrived(0);
        first.memsync && !first.received_sent ? rig.peer().send_received(0) : rig.peer().reply(0);
      }
    }
    CHECK(rig.client().ok(id));
    CHECK(filled_with(rig.data(Layer::durable).subspan(0, 4096), 1));
    CHECK(filled_with(rig.peer().media().durable(0, 4096), 1));
  }
}

TEST_CASE("FUA without a peer: durable here, counted") {
  PrimaryRig rig;
  rig.start();
  const auto id = rig.client().write_fua(0, 4096, 1);
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(filled_with(rig.data(Layer::durable).subspan(0, 4096), 1));
  CHECK(rig.metadata().localcnt == 1);
}

TEST_CASE("FUA when the link is lost between write and flush: durable here, counted") {
  PrimaryRig rig;
  rig.start_connected();
  const auto id = rig.client().write_fua(0, 4096, 1);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(0);  // the write; the flush is on its way
  CHECK_FALSE(rig.client().done(id));
  rig.disconnect();
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(filled_with(rig.data(Layer::durable).subspan(0, 4096), 1));
  CHECK(rig.metadata().localcnt == 1);
}

TEST_CASE("FUA that cannot be flushed here is an error without the peer") {
  PrimaryRig rig;
  rig.start();
  rig.client().write(0, 512, 1);
  rig.settle();
  rig.disk().fail({.kind = IoKind::flush});
  const auto id = rig.client().write_fua(0, 4096, 1);
  rig.settle();
  CHECK(rig.client().done(id));
  CHECK(rig.client().error(id) == EIO);
}

TEST_CASE("FUA of discard and write_zeroes") {
  for (IoKind kind : {IoKind::discard, IoKind::write_zeroes}) {
    PrimaryRig rig;
    rig.start_connected();
    rig.client().write(0, 8192, 1);
    rig.settle();
    rig.client().flush();
    rig.settle();
    port::IoRequest* request = rig.primary().acquire();
    REQUIRE(request != nullptr);
    int answers = 0;
    request->kind = kind;
    request->fua = true;
    request->offset_bytes = 0;
    request->length_bytes = 4096;
    request->owner = &answers;
    request->completed = [](port::IoRequest& done) { ++*static_cast<int*>(done.owner); };
    rig.primary().submit(*request);
    rig.settle();
    CHECK(answers == 1);
    CHECK(request->error == 0);
    CHECK(filled_with(rig.data(Layer::durable).subspan(0, 4096), 0));
    CHECK(filled_with(rig.peer().media().durable(0, 4096), 0));
    rig.primary().release(*request);
  }
}

TEST_CASE("a flush with data or a place is no flush: EINVAL") {
  PrimaryRig rig;
  rig.start();
  const auto id = rig.client().submit(IoKind::flush, 0, 512);
  rig.settle();
  CHECK(rig.client().error(id) == EINVAL);
}

// TRIM on components that cannot ------------------------------------------------------------------

TEST_CASE("where neither node can discard, TRIM succeeds, changes nothing and leaves nodes equal") {
  PrimaryRig rig;
  rig.start_connected();
  rig.client().write(0, 8192, 7);
  rig.settle();
  DiskFault local = rig.data_fault(IoKind::discard, 0, kExtent);
  local.times = DiskFault::kForever;
  local.error = EOPNOTSUPP;
  rig.disk().fail(local);
  rig.peer().fail({.kind = IoKind::discard, .times = DiskFault::kForever, .error = EOPNOTSUPP});
  const auto id = rig.client().discard(0, 4096);
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.primary().outbox().connected());
  CHECK(rig.images_equal());
  CHECK(rig.primary().status().dirty_bytes == 0);
}

TEST_CASE("INV-2: where one node cannot discard the nodes differ, stay marked and become equal") {
  for (const bool local : {true, false}) {
    PrimaryRig rig;
    rig.start_connected();
    rig.client().write(0, 8192, 7);
    rig.settle();
    rig.client().flush();
    rig.settle();
    if (local) {
      DiskFault fault = rig.data_fault(IoKind::discard, 0, kExtent);
      fault.times = DiskFault::kForever;
      fault.error = EOPNOTSUPP;
      rig.disk().fail(fault);
    } else {
      rig.peer().fail({.kind = IoKind::discard, .times = DiskFault::kForever, .error = EOPNOTSUPP});
    }
    const auto id = rig.client().discard(0, 4096);
    rig.settle();
    CHECK(rig.client().ok(id));
    CHECK(rig.primary().outbox().connected());
    const bool equal = rig.images_equal();
    const bool marked = rig.primary().status().dirty_bytes > 0;
    CHECK((equal || marked));
    rig.tick();
    CHECK(rig.images_equal());
    // From now on TRIM is not even tried: there is no resync for each of them.
    const auto next = rig.client().discard(4096, 4096);
    rig.settle();
    CHECK(rig.client().ok(next));
    CHECK(rig.images_equal());
    CHECK(rig.primary().status().dirty_bytes == 0);
  }
}

TEST_CASE(
    "INV-3: a flush after a discard that one node could not do is no change, and counts none") {
  PrimaryRig rig;
  rig.start_connected();
  rig.peer().fail({.kind = IoKind::discard, .times = DiskFault::kForever, .error = EOPNOTSUPP});
  rig.client().discard(0, 4096);
  rig.settle();
  REQUIRE(rig.primary().status().unsynced_bytes > 0);
  const auto flush = rig.client().flush();
  rig.settle();
  CHECK(rig.client().ok(flush));
  CHECK(rig.metadata().localcnt == 0);  // or a hand-over now would end in a split-brain
}

TEST_CASE("a discard refused with any other error is an error like a write's") {
  PrimaryRig rig;
  rig.start();
  rig.disk().fail(rig.data_fault(IoKind::discard, 0, kExtent));
  const auto id = rig.client().discard(0, 4096);
  rig.settle();
  CHECK(rig.client().error(id) == EIO);
  CHECK(rig.primary().status().io.delete_errors == 1);
}

TEST_CASE("weaknesses A13: a discard without the peer reaches it later") {
  PrimaryRig rig;
  rig.start_connected();
  rig.client().write(0, 8192, 7);
  rig.settle();
  rig.disconnect();
  const auto id = rig.client().discard(0, 4096);
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.metadata().localcnt == 1);
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(filled_with(rig.peer().data().subspan(0, 4096), 0));
}

TEST_CASE("INV-12: async: a failed local flush waits for what the peer has still to answer") {
  PrimaryRig rig(with(Replication::async));
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.settle();
  rig.disk().fail({.kind = IoKind::flush});
  const auto flush = rig.client().flush();
  const auto write = rig.client().write(8192, 4096, 2);
  rig.settle_locally();
  REQUIRE(rig.client().ok(write));  // of which the peer has said nothing yet
  rig.peer().take();
  rig.peer().reply(0);  // the flush
  rig.settle_locally();
  CHECK_FALSE(rig.client().done(flush));
  CHECK_FALSE(rig.primary().local_lost());
  rig.peer().reply(0);
  rig.settle();
  CHECK(rig.client().ok(flush));
  CHECK(rig.primary().local_lost());
}

TEST_CASE(
    "INV-12: async: a map that cannot be stored waits for what the peer has still to answer") {
  PrimaryRig rig(with(Replication::async));
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.settle();
  const auto early = rig.client().write(8192, 4096, 2);
  rig.settle_locally();
  REQUIRE(rig.client().ok(early));  // of which the peer has said nothing yet
  rig.disk().fail(rig.map_fault());
  const auto write = rig.client().write(kExtent, 4096, 3);
  rig.settle_locally();
  CHECK_FALSE(rig.client().done(write));
  CHECK_FALSE(rig.primary().local_lost());
  SECTION("then it is tried once more") {
    rig.settle();
    CHECK_FALSE(rig.primary().local_lost());
    CHECK(rig.client().ok(write));
    CHECK(rig.map().test(1));
  }
  SECTION("and the component is given up if that fails, too") {
    DiskFault forever = rig.map_fault();
    forever.times = DiskFault::kForever;
    rig.disk().fail(forever);
    rig.settle();
    CHECK(rig.primary().local_lost());
    CHECK(rig.client().ok(write));
    CHECK(filled_with(rig.peer().data().subspan(kExtent, 4096), 3));
  }
  SECTION("also if the peer is lost instead") {
    rig.disconnect();
    rig.settle();
    CHECK_FALSE(rig.primary().local_lost());
    CHECK(rig.client().ok(write));
    CHECK(rig.map().test(1));
  }
}

TEST_CASE("INV-12: the component is not given up before the peer has proven that it is there") {
  PrimaryRig rig;
  rig.start_filled(3, 3);
  const auto written = rig.client().write(0, 4096, 4);
  rig.settle();
  REQUIRE(rig.client().ok(written));
  rig.disk().fail({.kind = IoKind::flush});
  const auto flush = rig.client().flush();
  rig.primary().flush_failed(EIO);  // as the engine sees it
  rig.peer().take();
  rig.peer().reply(0);  // its last words
  rig.settle_locally();
  CHECK_FALSE(rig.client().done(flush));
  CHECK_FALSE(rig.primary().local_lost());
  rig.peer().take();
  REQUIRE(rig.peer().arrived_of(IoKind::flush) == 1);
  SECTION("it proves it") {
    rig.peer().reply(0);
    rig.settle();
    CHECK(rig.primary().local_lost());
    CHECK(rig.client().ok(flush));
  }
  SECTION("it was gone: what it may have lost is still here, and is not called flushed") {
    rig.disconnect();
    rig.settle();
    CHECK_FALSE(rig.primary().local_lost());
    CHECK(rig.client().error(flush) == EIO);
    const auto read = rig.client().read(0, 4096);
    rig.settle();
    CHECK(rig.client().holds(read, 4));
    rig.peer().media().power_loss();
    REQUIRE(rig.connect());
    rig.settle();
    CHECK(rig.images_equal());
    CHECK(rig.primary().local_lost());  // now that it has everything
  }
  SECTION("it cannot: then it is no better") {
    rig.peer().reply(0, EIO);
    rig.settle();
    CHECK_FALSE(rig.primary().local_lost());
    CHECK(rig.client().error(flush) == EIO);
  }
}
