// INV-2: a bit is cleaned only with proof, and what is not proven is copied again.
#include <cerrno>

#include "support/catch.hpp"
#include "support/primary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

constexpr std::uint64_t kExtent = 256 * 1024;

/// One extent of hot set, so that a write to another extent makes the former one cold.
RigOptions one_hot(Replication mode = Replication::fullsync) {
  RigOptions options;
  options.shape.keepdirty = 1;
  options.primary.replication = mode;
  return options;
}

/// Writes extents 0, 3 and 7: two are cold now, more than the hot set holds, so cleaning is due.
void write_and_cool(PrimaryRig& rig) {
  for (const std::uint64_t extent : {0, 3, 7}) {
    rig.client().write(extent * kExtent, 4096, 1);
    rig.settle();
  }
  REQUIRE(rig.map().test(0));
}

}  // namespace

TEST_CASE("INV-2: a cold extent written on both nodes is cleaned by the flush of both") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  write_and_cool(rig);
  rig.primary().tick();
  rig.disk().run_all();  // this node has flushed
  rig.peer().take();
  REQUIRE(rig.peer().arrived_of(IoKind::flush) == 1);
  CHECK(rig.map().test(0));
  rig.peer().reply(0);
  rig.settle();
  CHECK_FALSE(rig.map().test(0));
  CHECK(rig.map().test(7));  // hot
}

TEST_CASE("INV-2: the replies alone never clean, the original does it on them") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  write_and_cool(rig);
  rig.settle();
  CHECK(rig.map(Layer::newest).test(0));
  CHECK(rig.map().test(0));
}

TEST_CASE("INV-2: a client's flush is proof, too: the next tick only cleans what it covered") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  write_and_cool(rig);
  rig.client().flush();
  rig.settle();
  rig.tick();
  CHECK_FALSE(rig.map().test(0));
}

TEST_CASE("INV-2: a flush refused by either node cleans nothing") {
  for (const bool local : {true, false}) {
    PrimaryRig rig(one_hot());
    rig.start_connected();
    write_and_cool(rig);
    if (local) {
      rig.disk().fail({.kind = IoKind::flush});
    } else {
      rig.peer().fail({.kind = IoKind::flush});
    }
    rig.tick();
    CHECK(rig.map().test(0));
  }
}

TEST_CASE("INV-2: a write in flight is not cleaned by a flush that began before its last reply") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  write_and_cool(rig);
  rig.client().write(0, 4096, 2);
  rig.client().write(7 * kExtent, 4096, 2);
  rig.complete_data();
  rig.complete_data();
  rig.peer().take();
  rig.primary().tick();  // the flush begins; the peer has not answered the writes
  rig.disk().run_all();
  rig.peer().run();
  rig.settle();
  CHECK(rig.map().test(0));
  rig.tick(10);  // the next flush began after
  CHECK_FALSE(rig.map().test(0));
}

TEST_CASE("INV-2: the link lost at any moment leaves what is in doubt marked, and it is copied") {
  // A write, cut after each number of events; then the peer loses power.
  for (int events = 0; events < 12; ++events) {
    PrimaryRig rig(one_hot(Replication::memsync));
    rig.start_connected();
    rig.client().write(0, 4096, 6);
    for (int i = 0; i < events; ++i) {
      rig.peer().take();
      if (rig.host().delivery_due) {
        rig.deliver();
      } else if (rig.disk().held() > 0) {
        rig.disk().complete();
      } else if (rig.peer().arrived() > 0) {
        const PeerArrival& first = rig.peer().arrived(0);
        first.memsync && !first.received_sent ? rig.peer().send_received(0) : rig.peer().reply(0);
      }
    }
    rig.disconnect();
    rig.settle();
    INFO("after " << events << " events");
    CHECK(rig.client().ok(0));
    rig.peer().media().power_loss();
    REQUIRE(rig.connect());
    rig.settle();
    CHECK(rig.images_equal());
    CHECK(filled_with(rig.peer().data().subspan(0, 4096), 6));
  }
}

TEST_CASE("INV-2: what the peer had confirmed but not flushed is copied after its power loss") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.settle();
  rig.client().flush();
  rig.settle();
  rig.client().write(kExtent, 4096, 2);
  rig.settle();
  rig.disconnect();
  rig.peer().media().power_loss();
  CHECK(filled_with(rig.peer().data().subspan(0, 4096), 1));
  CHECK_FALSE(rig.images_equal());
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(rig.events().last(Event::Kind::sync_done).bytes == kExtent);  // not the flushed extent
}

TEST_CASE("INV-2: a remote error marks for a resync and never cleans") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  rig.peer().fail({.kind = IoKind::write, .error = ENOSPC});
  rig.client().write(0, 4096, 1);
  rig.settle();
  CHECK(rig.map().test(0));
  CHECK(rig.primary().status().dirty_bytes == kExtent);
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(rig.primary().status().dirty_bytes == 0);
}

TEST_CASE("INV-2: weaknesses A1: writes in flight or unsent at the loss are copied later") {
  for (Replication mode : {Replication::fullsync, Replication::memsync, Replication::async}) {
    PrimaryRig rig(one_hot(mode));
    rig.start_connected();
    rig.client().write(0, 4096, 1);
    rig.settle();
    rig.client().write(4096, 4096, 2);
    rig.peer().take();                   // in flight, never executed
    rig.client().write(65536, 4096, 3);  // unsent
    rig.settle_locally();
    rig.disconnect();
    rig.settle();
    REQUIRE(rig.connect());
    rig.settle();
    CHECK(rig.images_equal());
  }
}

TEST_CASE("INV-2: the hot set stays marked on disk although everything is proven") {
  RigOptions options;
  options.shape.keepdirty = 3;
  PrimaryRig rig(options);
  rig.start_connected();
  for (std::uint64_t e = 0; e < 7; ++e) {
    rig.client().write(e * kExtent, 4096, 1);
    rig.settle();
  }
  rig.tick(3);
  for (std::uint64_t e = 0; e < 7; ++e) CHECK(rig.map().test(e) == (e >= 4));
}

TEST_CASE("what little there is to clean is cleaned after ten ticks") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.settle();
  rig.client().write(7 * kExtent, 4096, 1);
  rig.settle();
  rig.tick(9);
  CHECK(rig.map().test(0));
  rig.tick(2);
  CHECK_FALSE(rig.map().test(0));
  CHECK(rig.map().test(7));
}

TEST_CASE("cleaning waits for its turn: no flush is asked for while nothing could be cleaned") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.settle();
  rig.disk().clear_log();
  rig.tick(5);
  CHECK(rig.disk().log().empty());
}

TEST_CASE("an orderly stop with the peer leaves a clean map") {
  for (Replication mode : {Replication::fullsync, Replication::memsync, Replication::async}) {
    PrimaryRig rig(one_hot(mode));
    rig.start_connected();
    write_and_cool(rig);
    rig.primary().prepare_stop();
    rig.settle();
    CHECK(rig.primary().quiet());
    CHECK_FALSE(rig.map().any());
  }
}

TEST_CASE("an orderly stop covers writes that were acknowledged early and are still on their way") {
  PrimaryRig rig(one_hot(Replication::async));
  rig.start_connected();
  const auto id = rig.client().write(0, 4096, 1);
  rig.settle_locally();
  REQUIRE(rig.client().ok(id));
  rig.primary().prepare_stop();
  rig.settle();
  CHECK(rig.primary().quiet());
  CHECK_FALSE(rig.map().any());
  CHECK(rig.images_equal());
}

TEST_CASE("an orderly stop that finds a barrier running waits for it and runs its own") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  write_and_cool(rig);
  rig.primary().tick();  // a barrier that proves extent 0 and 7
  rig.client().write(kExtent, 4096, 1);
  while (rig.client().unanswered() > 0) {  // all but the barrier's answer
    rig.peer().take();
    rig.settle_locally();
    rig.peer().reply_first_of(IoKind::write);
    rig.settle_locally();
  }
  REQUIRE(rig.peer().arrived_of(IoKind::flush) == 1);
  rig.primary().prepare_stop();
  CHECK_FALSE(rig.primary().quiet());
  rig.settle();
  CHECK(rig.primary().quiet());
  CHECK_FALSE(rig.map().any());
}

TEST_CASE("an orderly stop without the peer keeps every mark and ends") {
  PrimaryRig rig(one_hot());
  rig.start();
  rig.client().write(0, 4096, 1);
  rig.settle();
  rig.primary().prepare_stop();
  rig.settle();
  CHECK(rig.primary().quiet());
  CHECK(rig.map().test(0));
}

TEST_CASE("a stop in the middle of a resync keeps what was not copied marked") {
  PrimaryRig rig(one_hot());
  rig.start();
  for (std::uint64_t e = 0; e < 8; ++e) rig.client().write(e * kExtent, 4096, 1);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(0);
  rig.primary().prepare_stop();
  CHECK(rig.events().count(Event::Kind::sync_interrupted) == 1);
  rig.settle();
  CHECK(rig.primary().quiet());
  rig.restart();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
}

TEST_CASE("from the connection on until everything is copied the status tells of a resync") {
  PrimaryRig rig(one_hot());
  rig.start();
  rig.client().write(0, 4096, 1);
  rig.settle();
  REQUIRE(rig.connect());
  const PrimaryStatus before = rig.primary().status();
  CHECK(before.syncing);
  CHECK(before.sync_copied_bytes == 0);
  CHECK(before.sync_total_bytes == kExtent);
  rig.settle();
  CHECK_FALSE(rig.primary().status().syncing);
}

TEST_CASE("INV-2: a barrier that outlasts its link proves nothing, and is not the next link's") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  write_and_cool(rig);
  rig.primary().tick();
  REQUIRE(rig.disk().held_of(IoKind::flush) == 1);  // this node's part takes its time
  rig.disconnect();
  rig.peer().media().power_loss();
  REQUIRE(rig.connect());
  rig.disk().complete();
  CHECK(rig.host().drop_reasons.empty());  // it is nothing that the peer did wrong
  CHECK(rig.map().test(0));
  rig.settle();
  CHECK(rig.primary().outbox().connected());
  CHECK(rig.images_equal());
  CHECK(filled_with(rig.peer().data().subspan(0, 4096), 1));
}

TEST_CASE("INV-2: a resync does not end with a barrier that began before its last block") {
  PrimaryRig rig(one_hot());
  rig.start_connected();
  write_and_cool(rig);
  rig.primary().tick();
  REQUIRE(rig.disk().held_of(IoKind::flush) == 1);  // it will take longer than all that follows
  rig.disconnect();
  rig.events().clear();
  REQUIRE(rig.connect());
  do {
    while (rig.disk().held() > 1) rig.disk().complete(1);
    while (rig.host().delivery_due) rig.deliver();
  } while (rig.peer().run() > 0 || rig.disk().held() > 1);
  CHECK(rig.images_equal());
  CHECK(rig.primary().status().syncing);
  CHECK(rig.events().count(Event::Kind::sync_done) == 0);
  rig.disk().complete();  // the old one proves nothing: it ends with one of its own
  CHECK(rig.events().count(Event::Kind::sync_done) == 0);
  CHECK(rig.disk().held_of(IoKind::flush) == 1);
  rig.settle();
  CHECK(rig.events().count(Event::Kind::sync_done) == 1);
  CHECK_FALSE(rig.primary().status().syncing);
}
