// Resync in both directions, with clients at work: INV-2, INV-6, INV-13.
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

RigOptions with(Replication mode, std::size_t window = 4) {
  RigOptions options;
  options.primary.replication = mode;
  options.primary.resync_window = window;
  return options;
}

/// Degraded writes to `extents` extents, each with its own fill, then the link.
void write_alone(PrimaryRig& rig, std::uint64_t extents) {
  rig.start();
  for (std::uint64_t e = 0; e < extents; ++e) {
    for (std::uint64_t at = 0; at < kExtent; at += kBlock) {
      rig.client().write(e * kExtent + at, kBlock, static_cast<unsigned>(e + 1));
      rig.settle();
    }
  }
}
void connect_without_copying(PrimaryRig& rig) {
  REQUIRE(rig.connect());
  rig.settle_locally();
}

/// The peer wrote `extents` alone while it was primary.
void let_peer_be_ahead(PrimaryRig& rig, std::uint64_t extents) {
  rig.identity.counters = {1, 0};
  for (std::uint64_t e = 0; e < extents; ++e) {
    rig.identity.dirty.push_back(e);
    rig.peer().media().preset(e * kExtent,
                              std::vector<std::byte>(kExtent, static_cast<std::byte>(0xa0 + e)));
  }
}
/// As the peer does once the first request has come.
void peer_map_is_merged(PrimaryRig& rig) { rig.identity.dirty.clear(); }

}  // namespace

TEST_CASE("a resync from the primary makes the images equal, cleans, equalises, and says so") {
  PrimaryRig rig;
  write_alone(rig, 3);
  CHECK(rig.metadata().localcnt == 1);
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(rig.metadata().localcnt == 0);
  CHECK(rig.metadata().remotecnt == 0);
  CHECK(rig.primary().status().dirty_bytes == 0);
  CHECK(rig.events().last(Event::Kind::sync_started).bytes == 3 * kExtent);
  CHECK(rig.events().last(Event::Kind::sync_started).source == SyncSource::primary);
  CHECK(rig.events().last(Event::Kind::sync_done).bytes == 3 * kExtent);
  CHECK(rig.events().count(Event::Kind::sync_done) == 1);
  CHECK(filled_with(rig.peer().media().durable(0, kExtent), 1));  // flushed there
  CHECK(rig.map().count() == 2);                                  // the hot set
}

TEST_CASE("a resync from the secondary makes the images equal and keeps what it says") {
  PrimaryRig rig;
  let_peer_be_ahead(rig, 3);
  rig.start();
  REQUIRE(rig.connect());
  CHECK(rig.primary().status().stale_bytes == 3 * kExtent);
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(filled_with(rig.data(Layer::durable).subspan(2 * kExtent, kExtent), 0xa2));
  CHECK(rig.primary().status().stale_bytes == 0);
  CHECK(rig.metadata().localcnt == 0);
  CHECK(rig.metadata().remotecnt == 1);
  CHECK_FALSE(rig.metadata().inconsistent);
  CHECK(rig.events().last(Event::Kind::sync_done).source == SyncSource::secondary);
  CHECK_FALSE(rig.map().any());
}

TEST_CASE("a connect without anything to copy says in sync and equalises the counters") {
  PrimaryRig rig;
  rig.identity.counters = {4, 0};
  rig.start();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.events().count(Event::Kind::in_sync) == 1);
  CHECK(rig.events().count(Event::Kind::sync_started) == 0);
  CHECK(rig.metadata().remotecnt == 4);
}

TEST_CASE("the union of both maps is copied") {
  PrimaryRig rig;
  rig.identity.dirty = {6};
  rig.peer().media().preset(6 * kExtent, std::vector<std::byte>(kExtent, std::byte{0x66}));
  write_alone(rig, 1);
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(rig.events().last(Event::Kind::sync_done).bytes == 2 * kExtent);
}

TEST_CASE("a full resync copies everything") {
  PrimaryRig rig;
  rig.identity = {};  // a new peer
  rig.start();
  REQUIRE(rig.connect());
  CHECK(rig.primary().facts().counters.local == 1);
  rig.settle();
  CHECK(rig.events().last(Event::Kind::sync_done).bytes == rig.shape().data_bytes());
  CHECK(rig.images_equal());
}

TEST_CASE("weaknesses A6: a new peer's copy is counted durably before the first request leaves") {
  PrimaryRig rig;
  rig.identity = {};
  rig.start();
  REQUIRE(rig.connect());
  bool seen_request = false;
  rig.peer().watch([&](const RemoteOp&) {
    seen_request = true;
    CHECK(rig.metadata().localcnt == 1);
  });
  while (!seen_request) {
    rig.peer().take();
    if (rig.disk().held() > 0) rig.disk().complete();
  }
  rig.settle();
}

TEST_CASE("the merged map is durable before the first request leaves") {
  PrimaryRig rig;
  rig.identity.dirty = {3, 5};
  rig.start();
  REQUIRE(rig.connect());
  rig.client().read(0, 512);
  CHECK(rig.peer().take() == 0);
  rig.complete_map();
  CHECK(rig.peer().take() == 0);
  bool first = true;
  rig.peer().watch([&](const RemoteOp&) {
    if (!std::exchange(first, false)) return;
    CHECK(rig.map().test(3));
    CHECK(rig.map().test(5));
  });
  rig.settle();
  CHECK_FALSE(first);
}

TEST_CASE("INV-4: a merged map that cannot be stored drops the link before any request") {
  PrimaryRig rig;
  write_alone(rig, 1);
  rig.identity.dirty = {3};
  rig.disk().fail(rig.map_fault());
  REQUIRE(rig.connect());
  rig.settle_locally();
  CHECK(rig.peer().take() == 0);
  CHECK(rig.host().drop_reasons.size() == 1);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
}

TEST_CASE("INV-5: that this node is behind is on stable storage before a block is copied here") {
  PrimaryRig rig;
  let_peer_be_ahead(rig, 1);
  rig.start();
  REQUIRE(rig.connect());
  bool wrote = false;
  rig.disk().watch([&](const port::DiskOp& op) {
    if (op.kind != IoKind::write || !rig.is_data(op)) return;
    wrote = true;
    CHECK(rig.metadata().inconsistent);
    CHECK(rig.map().test(0));
  });
  rig.settle();
  CHECK(wrote);
  CHECK_FALSE(rig.metadata().inconsistent);
}

TEST_CASE("a window of ranges is on its way, never more, never twice the same") {
  PrimaryRig rig(with(Replication::fullsync, 3));
  write_alone(rig, 4);
  REQUIRE(rig.connect());
  rig.settle_locally();
  rig.peer().take();
  CHECK(rig.peer().arrived() == 3);
  rig.peer().reply(2);  // in any order
  rig.settle_locally();
  rig.peer().take();
  CHECK(rig.peer().arrived() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < i; ++j)
      CHECK_FALSE(rig.peer().arrived(i).overlaps(rig.peer().arrived(j)));
  }
  rig.settle();
  CHECK(rig.images_equal());
}

TEST_CASE("resync requests are ordinary: unique seq, one block at most, never memsync") {
  PrimaryRig rig(with(Replication::memsync));
  write_alone(rig, 3);
  std::vector<std::uint64_t> seqs;
  REQUIRE(rig.connect());
  rig.peer().watch([&](const RemoteOp& op) {
    CHECK_FALSE(op.memsync);
    CHECK(op.length_bytes <= kBlock);
    seqs.push_back(op.seq);
  });
  rig.settle();
  std::sort(seqs.begin(), seqs.end());
  CHECK(std::adjacent_find(seqs.begin(), seqs.end()) == seqs.end());
  CHECK(seqs.size() == 3 * kExtent / kBlock + 1);  // and the flush
}

TEST_CASE("extents smaller than a block are copied extent by extent") {
  RigOptions options;
  options.shape.extent_bytes = 4096;
  options.shape.extents = 40;
  PrimaryRig rig(options);
  rig.start();
  for (std::uint64_t e : {0u, 7u, 39u}) rig.client().write(e * 4096, 4096, 5);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(rig.events().last(Event::Kind::sync_done).bytes == 3 * 4096);
}

TEST_CASE("INV-2: one block that cannot be read keeps its extent marked, the others become clean") {
  PrimaryRig rig;
  write_alone(rig, 4);
  DiskFault fault = rig.data_fault(IoKind::read, kExtent + 512, 512);
  fault.times = DiskFault::kForever;
  rig.disk().fail(fault);
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.events().count(Event::Kind::sync_incomplete) == 1);
  CHECK(rig.events().count(Event::Kind::sync_done) == 0);
  CHECK(rig.events().last(Event::Kind::sync_incomplete).bytes == kExtent);
  CHECK(rig.events().last(Event::Kind::local_io_failed).offset_bytes == kExtent);
  CHECK(rig.primary().status().dirty_bytes == kExtent);
  CHECK(rig.map().test(1));
  CHECK_FALSE(rig.map().test(0));
  CHECK(rig.metadata().localcnt == 1);  // not equal yet
  // Tried again later, by the tick, and not before.
  rig.disk().heal();
  rig.tick(29);
  CHECK_FALSE(rig.images_equal());
  rig.tick(1);
  CHECK(rig.images_equal());
  CHECK(rig.events().count(Event::Kind::sync_done) == 1);
  CHECK(rig.metadata().localcnt == 0);
}

TEST_CASE("INV-2: one block that the target refuses keeps its extent marked, in each direction") {
  for (const bool pull : {false, true}) {
    PrimaryRig rig;
    if (pull) {
      let_peer_be_ahead(rig, 4);
      rig.start();
      rig.disk().fail(rig.data_fault(IoKind::write, kExtent, 512));
    } else {
      write_alone(rig, 4);
      rig.peer().fail({.kind = IoKind::write, .begin = kExtent, .end = kExtent + 512});
    }
    REQUIRE(rig.connect());
    peer_map_is_merged(rig);
    rig.settle();
    CHECK(rig.events().count(Event::Kind::sync_incomplete) == 1);
    CHECK(rig.primary().status().dirty_bytes == kExtent);
    CHECK(rig.map().test(1));
    CHECK(rig.primary().outbox().connected());
    const Event::Kind blamed = pull ? Event::Kind::local_io_failed : Event::Kind::peer_io_failed;
    CHECK(rig.events().last(blamed).io == IoKind::write);
    if (pull) CHECK(rig.primary().status().stale_bytes == kBlock);
    rig.tick(30);
    CHECK(rig.images_equal());
    CHECK(rig.primary().status().dirty_bytes == 0);
  }
}

TEST_CASE("INV-6: a block the peer cannot read stays stale and is not served from here") {
  PrimaryRig rig;
  let_peer_be_ahead(rig, 2);
  rig.start();
  rig.peer().fail({.kind = IoKind::read, .begin = 0, .end = 512, .times = 2});
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.events().last(Event::Kind::peer_io_failed).io == IoKind::read);
  const auto failing = rig.client().read(0, 512);
  const auto fine = rig.client().read(kBlock, 512);
  rig.settle();
  CHECK(rig.client().error(failing) == EIO);
  CHECK(rig.client().holds(fine, 0xa0));
}

TEST_CASE("INV-2: a resync whose last flush fails is not finished, and is tried again") {
  PrimaryRig rig;
  write_alone(rig, 1);
  REQUIRE(rig.connect());
  rig.settle_locally();
  rig.disk().fail({.kind = IoKind::flush, .times = 1});
  rig.settle();
  // Everything was copied, so the peer can stand in for this node's doubtful cache.
  CHECK(rig.primary().status().local_lost);
  CHECK(rig.events().count(Event::Kind::sync_done) == 0);
  CHECK(rig.metadata().localcnt == 1);
}

TEST_CASE("a resync interrupted by the link says so and resumes with what is left") {
  PrimaryRig rig(with(Replication::fullsync, 1));
  write_alone(rig, 4);
  connect_without_copying(rig);
  for (int i = 0; i < 5; ++i) {  // two extents and a half
    rig.peer().take();
    rig.peer().reply(0);
    rig.settle_locally();
  }
  rig.disconnect();
  CHECK(rig.events().count(Event::Kind::sync_interrupted) == 1);
  CHECK(rig.events().last(Event::Kind::sync_interrupted).bytes == 5 * kBlock);
  CHECK(rig.events().count(Event::Kind::sync_done) == 0);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  // What was copied was never flushed, so it was copied again: the peer might have lost power.
  CHECK(rig.events().last(Event::Kind::sync_done).bytes == 4 * kExtent);
}

TEST_CASE("a resync cut after each number of steps ends equal after the next connect") {
  for (const bool pull : {false, true}) {
    for (int steps = 0; steps < 40; ++steps) {
      RigOptions options = with(Replication::fullsync, 2);
      options.shape.extents = 2;
      options.shape.sector_bytes = 4096;
      PrimaryRig rig(options);
      if (pull) {
        let_peer_be_ahead(rig, 2);
        rig.start();
      } else {
        write_alone(rig, 2);
        rig.client().flush();
        rig.settle();
      }
      REQUIRE(rig.connect());
      for (int i = 0; i < steps; ++i) {
        if (rig.disk().held() > 0) {
          rig.disk().complete(rig.disk().held() - 1);
        } else if (rig.peer().take() > 0 || rig.peer().arrived() > 0) {
          peer_map_is_merged(rig);
          rig.peer().reply(rig.peer().arrived() - 1);
        }
      }
      rig.disconnect();
      steps % 2 ? rig.settle() : rig.power_loss();
      if (steps % 2 == 0) {
        rig.peer().media().power_loss();
        rig.start();
      }
      INFO((pull ? "pull, " : "push, ") << steps << " steps");
      REQUIRE(rig.connect());
      rig.settle();
      rig.tick(31);
      CHECK(rig.images_equal());
      CHECK(rig.primary().status().dirty_bytes == 0);
      const unsigned expected = pull ? 0xa1 : 2;
      CHECK(filled_with(rig.data().subspan(kExtent, kExtent), expected));
    }
  }
}

TEST_CASE("a new link waits until the ranges of the lost one have ended") {
  PrimaryRig rig(with(Replication::fullsync, 2));
  write_alone(rig, 2);
  connect_without_copying(rig);
  rig.disconnect();
  rig.settle();
  REQUIRE(rig.connect());
  rig.complete_map();
  rig.settle_locally();
  rig.peer().take();
  REQUIRE(rig.peer().arrived() == 2);
  rig.peer().reply(0);  // a read of the next range is with the disk now
  REQUIRE(rig.held_data() == 1);
  rig.disconnect();
  REQUIRE(rig.connect());
  CHECK(rig.peer().take() == 0);
  while (rig.disk().complete_first([&](const port::DiskOp& op) { return !rig.is_data(op); })) {
  }
  REQUIRE(rig.primary().outbox().released());
  rig.primary().tick();  // nor does the clock begin
  CHECK(rig.peer().take() == 0);
  CHECK(rig.held_data() == 1);
  CHECK(rig.primary().status().syncing);                      // it is due
  CHECK(rig.events().count(Event::Kind::sync_started) == 2);  // those of the lost links
  rig.settle();
  CHECK(rig.events().count(Event::Kind::sync_started) == 3);
  CHECK(rig.images_equal());
}

TEST_CASE("INV-6: a block pulled over a link that was lost does not count for the next link") {
  PrimaryRig rig(with(Replication::fullsync, 1));
  let_peer_be_ahead(rig, 1);
  rig.start();
  connect_without_copying(rig);
  peer_map_is_merged(rig);
  rig.peer().take();
  rig.peer().reply(0);  // the block is on its way to this disk
  REQUIRE(rig.held_data() == 1);
  rig.disconnect();
  // The peer is promoted meanwhile and writes the block anew.
  rig.identity.counters = {2, 0};
  rig.identity.dirty = {0};
  rig.peer().media().preset(0, std::vector<std::byte>(kExtent, std::byte{0xbb}));
  REQUIRE(rig.connect());
  rig.settle();
  rig.tick(31);
  CHECK(rig.images_equal());
  const auto read = rig.client().read(0, 512);
  rig.settle();
  CHECK(rig.client().holds(read, 0xbb));
}

// Clients at work ---------------------------------------------------------------------------------

TEST_CASE("INV-6: a write that arrives before its range was copied waits and is not overwritten") {
  for (const bool pull : {false, true}) {
    PrimaryRig rig(with(Replication::fullsync, 1));
    if (pull) {
      let_peer_be_ahead(rig, 2);
      rig.start();
    } else {
      write_alone(rig, 2);
    }
    connect_without_copying(rig);
    rig.peer().take();
    REQUIRE(rig.peer().arrived() == 1);  // the first block
    const auto id = rig.client().write(4096, 4096, 0x77);
    CHECK(rig.held_data() == 0);
    CHECK(rig.primary().outbox().waiting() == 0);
    rig.peer().reply(0);
    rig.settle();
    CHECK(rig.client().ok(id));
    CHECK(rig.images_equal());
    CHECK(filled_with(rig.data().subspan(4096, 4096), 0x77));
  }
}

TEST_CASE("INV-6: a write to a range that is not copied yet is copied with it or after it") {
  for (const bool pull : {false, true}) {
    PrimaryRig rig(with(Replication::fullsync, 1));
    if (pull) {
      let_peer_be_ahead(rig, 4);
      rig.start();
    } else {
      write_alone(rig, 4);
    }
    connect_without_copying(rig);
    const auto id = rig.client().write(3 * kExtent + 4096, 4096, 0x77);
    rig.settle();
    CHECK(rig.client().ok(id));
    CHECK(rig.images_equal());
    CHECK(filled_with(rig.data().subspan(3 * kExtent + 4096, 4096), 0x77));
    CHECK(rig.events().count(Event::Kind::sync_done) == 1);  // in the first pass
  }
}

TEST_CASE("INV-6: a read of a range that is pulled returns what was acknowledged last") {
  PrimaryRig rig(with(Replication::fullsync, 1));
  let_peer_be_ahead(rig, 2);
  rig.start();
  connect_without_copying(rig);
  const auto write = rig.client().write(kExtent, 4096, 0x77);
  const auto before = rig.client().read(kExtent + 8192, 4096);
  rig.settle_locally();
  const auto same = rig.client().read(kExtent, 4096);
  rig.settle();
  CHECK(rig.client().ok(write));
  CHECK(rig.client().holds(before, 0xa1));
  CHECK(rig.client().holds(same, 0x77));
}

TEST_CASE("INV-13: a resync is not starved by a client that always writes the same block") {
  PrimaryRig rig;
  write_alone(rig, 1);
  REQUIRE(rig.connect());
  int writes = 0;
  for (; writes < 200 && rig.events().count(Event::Kind::sync_done) == 0; ++writes) {
    // A new write before the former one is answered: the range is never without a claim.
    while (rig.primary().status().slots_free > 2) rig.client().write(0, 512, 0x70);
    if (rig.host().delivery_due) rig.deliver();
    if (rig.disk().held() > 0) rig.disk().complete();
    rig.peer().take();
    if (rig.peer().arrived() > 0) rig.peer().reply(0);
  }
  CHECK(writes < 200);
  rig.settle();
  CHECK(rig.images_equal());
}

TEST_CASE("INV-13: a client is not starved by a resync of the whole volume") {
  PrimaryRig rig(with(Replication::fullsync, 4));
  write_alone(rig, 8);
  connect_without_copying(rig);
  const auto id = rig.client().write(7 * kExtent, 512, 0x70);
  const auto read = rig.client().read(0, 512);
  int replies = 0;
  for (; replies < 100 && !(rig.client().done(id) && rig.client().done(read)); ++replies) {
    rig.settle_locally();
    rig.peer().take();
    rig.peer().reply(0);
    rig.settle_locally();
  }
  CHECK(replies <= 6);  // those of the window, and its own
  rig.settle();
}

TEST_CASE("INV-13: beside clients ranges take turns with requests, and the window widens after") {
  RigOptions options = with(Replication::fullsync, 8);
  options.shape.extents = 60;
  PrimaryRig rig(options);
  write_alone(rig, 60);
  connect_without_copying(rig);
  std::size_t under_way = 0;  // with the peer
  const auto look = [&] {
    rig.settle_locally();
    rig.peer().take();
    under_way = rig.peer().arrived();
  };
  const auto step = [&] {
    rig.peer().reply(0);
    look();
  };
  look();
  REQUIRE(under_way == 8);
  const auto ask = [&] { rig.client().write(59 * kExtent, 512, 0x70); };
  ask();
  for (int replies = 0; replies < 8; ++replies) step();
  CHECK(under_way == 1);  // the client's
  SECTION("a request that is not answered does not hold the resync up") {
    rig.primary().tick();
    look();
    CHECK(under_way == 1 + 8);
  }
  SECTION("one of ours follows as many of theirs") {
    for (std::size_t asked = 2; asked < Resync::kRequestsPerRange; ++asked) ask();
    look();
    CHECK(under_way == Resync::kRequestsPerRange - 1);
    ask();
    look();
    CHECK(under_way == Resync::kRequestsPerRange + 1);
    for (std::size_t replies = 0; replies < Resync::kRequestsPerRange; ++replies) step();
    CHECK(under_way == 1);  // none of theirs: one of ours follows the other
    for (std::size_t replies = 0; replies <= Resync::kSharedRanges; ++replies) step();
    CHECK(under_way == 8);
  }
  rig.settle();
  CHECK(rig.images_equal());
}

TEST_CASE("INV-2: a write that fails on the peer during a resync leaves its extent marked") {
  PrimaryRig rig(with(Replication::fullsync, 1));
  write_alone(rig, 2);
  connect_without_copying(rig);
  rig.peer().take();
  rig.peer().reply(0);  // the first block is copied
  rig.settle_locally();
  rig.client().write(0, 512, 0x70);
  rig.settle_locally();
  rig.peer().take();
  REQUIRE(rig.peer().arrived() == 2);
  rig.peer().reply(1, EIO);
  rig.peer().run();  // the resync goes on until the link is dropped
  rig.settle_locally();
  CHECK(rig.map().test(0));
  CHECK(rig.primary().status().dirty_bytes >= kExtent);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
}

TEST_CASE("a write under way alone when the link comes up is copied by the first pass") {
  PrimaryRig rig;
  write_alone(rig, 1);
  const auto id = rig.client().write(0, 512, 0x70);
  REQUIRE(rig.held_data() == 1);
  REQUIRE(rig.connect());
  while (rig.complete_map()) {
  }
  CHECK(rig.held_data() >= 1);
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.images_equal());
  CHECK(rig.events().count(Event::Kind::sync_incomplete) == 0);
  CHECK(rig.metadata().localcnt == 0);
}

TEST_CASE("INV-3: a write that still waits for its count when it has been copied counts no more") {
  PrimaryRig rig;
  rig.start();
  const auto id = rig.client().write(0, 512, 0x70);
  REQUIRE(rig.complete_map());
  while (rig.held_data() == 0) rig.disk().complete();
  REQUIRE(rig.connect());
  const auto is_metadata = [](const port::DiskOp& op) {
    return op.kind == IoKind::write && op.offset_bytes == 0;
  };
  // The count begins when the write has ended here; everything else goes on meanwhile.
  while (rig.disk().complete_first([&](const port::DiskOp& op) { return !is_metadata(op); }) ||
         rig.peer().run() > 0) {
  }
  REQUIRE(rig.disk().held() == 1);
  CHECK_FALSE(rig.client().done(id));
  CHECK(rig.images_equal());
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.events().count(Event::Kind::sync_done) == 1);
  CHECK(rig.metadata().localcnt == 0);
}

TEST_CASE("a pass that finds more to copy at its end is followed by another, not by a complaint") {
  RigOptions options;
  options.primary.resync_window = 1;
  PrimaryRig rig(options);
  write_alone(rig, 2);
  REQUIRE(rig.connect());
  rig.peer().fail({.kind = IoKind::discard, .times = DiskFault::kForever, .error = EOPNOTSUPP});
  const auto id = rig.client().discard(0, 4096);
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.images_equal());
  CHECK(rig.primary().status().unsynced_bytes == 0);
  CHECK(rig.events().count(Event::Kind::sync_incomplete) == 0);
}

// The peer is ahead -------------------------------------------------------------------------------

TEST_CASE(
    "INV-6: while the peer is ahead and away every write is refused, reads of the rest work") {
  PrimaryRig rig;
  let_peer_be_ahead(rig, 2);
  rig.start();
  connect_without_copying(rig);
  rig.disconnect();
  const auto stale = rig.client().write(0, 512, 1);
  const auto other = rig.client().write(5 * kExtent, 512, 1);
  const auto read = rig.client().read(5 * kExtent, 512);
  rig.settle();
  CHECK(rig.client().error(stale) == EIO);
  CHECK(rig.client().error(other) == EIO);
  CHECK(rig.client().holds(read, 0));
  CHECK(rig.metadata().localcnt == 0);
  REQUIRE(rig.connect());  // no split-brain
  rig.settle();
  CHECK(rig.images_equal());
}

TEST_CASE("INV-7: a link lost while the peer is ahead is no split-brain, in any mode") {
  for (Replication mode : {Replication::fullsync, Replication::memsync, Replication::async}) {
    PrimaryRig rig(with(mode));
    let_peer_be_ahead(rig, 2);
    rig.start();
    connect_without_copying(rig);
    // A range that is equal on both: nothing but the peer's lead keeps it from an early answer.
    const auto id = rig.client().write(5 * kExtent, 512, 1);
    rig.settle_locally();
    rig.peer().take();
    const std::size_t mine = rig.peer().arrived() - 1;
    if (mode == Replication::memsync) rig.peer().send_received(mine);
    rig.settle_locally();
    INFO(to_string(mode));
    CHECK_FALSE(rig.client().done(id));
    rig.disconnect();
    rig.settle();
    CHECK(rig.client().error(id) == EIO);
    CHECK(rig.metadata().localcnt == 0);
    REQUIRE(rig.connect());
    rig.settle();
    CHECK(rig.images_equal());
  }
}

TEST_CASE(
    "INV-2: what this node confirmed while the peer is ahead survives the peer's power loss") {
  PrimaryRig rig(with(Replication::fullsync, 1));
  let_peer_be_ahead(rig, 2);
  rig.start();
  connect_without_copying(rig);
  peer_map_is_merged(rig);
  const auto id = rig.client().write(5 * kExtent, 512, 1);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(rig.peer().arrived() - 1);
  rig.settle_locally();
  REQUIRE(rig.client().ok(id));  // on both nodes, flushed on none
  rig.disconnect();
  rig.peer().media().power_loss();
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(filled_with(rig.peer().data().subspan(5 * kExtent, 512), 1));
}

TEST_CASE(
    "INV-6: a peer that is ahead and cannot tell where takes back only what it was known for") {
  PrimaryRig rig(with(Replication::fullsync, 1));
  let_peer_be_ahead(rig, 2);
  rig.start();
  connect_without_copying(rig);
  const auto id = rig.client().write(5 * kExtent, 512, 1);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(rig.peer().arrived() - 1);
  rig.settle_locally();
  REQUIRE(rig.client().ok(id));
  rig.disconnect();
  rig.peer().media().power_loss();  // it had not flushed the write
  rig.settle();
  rig.identity.dirty = {0, 1, 2, 3, 4, 5, 6, 7};
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(filled_with(rig.peer().data().subspan(5 * kExtent, 512), 1));
  CHECK(filled_with(rig.peer().data().subspan(0, kExtent), 0xa0));
}

namespace {

/// The peer is ahead in extents 0 and 1. This node has extent 2, which the peer confirmed and lost
/// with its power.
void let_each_be_ahead(PrimaryRig& rig) {
  const std::uint64_t extent = rig.shape().extent_bytes;
  rig.identity.counters = {1, 0};
  rig.identity.dirty = {0, 1};
  rig.peer().media().preset(0, std::vector<std::byte>(2 * extent, std::byte{0xa0}));
  rig.start();
  connect_without_copying(rig);
  const auto id = rig.client().write(2 * extent, std::min(extent, kBlock), 1);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(rig.peer().arrived() - 1);
  rig.settle_locally();
  REQUIRE(rig.client().ok(id));
  rig.disconnect();
  rig.peer().media().power_loss();
  rig.settle();
  peer_map_is_merged(rig);
  connect_without_copying(rig);
}

}  // namespace

TEST_CASE(
    "INV-6: where each side is newer in something, each is read from its own, or not at all") {
  RigOptions options = with(Replication::fullsync, 1);
  options.shape.extent_bytes = 8192;
  PrimaryRig rig(options);
  let_each_be_ahead(rig);
  const auto here = rig.client().read(2 * 8192, 8192);
  const auto both = rig.client().read(8192, 2 * 8192);
  const auto there = rig.client().read(8192, 8192);
  rig.settle();
  CHECK(rig.client().holds(here, 1));
  CHECK(rig.client().error(both) == EIO);
  CHECK(rig.client().holds(there, 0xa0));
  CHECK(rig.images_equal());
  const auto later = rig.client().read(8192, 2 * 8192);
  rig.settle();
  CHECK(rig.client().ok(later));
}

TEST_CASE("INV-11: a peer that is ahead and lacks something does not stand in for a failed disk") {
  PrimaryRig rig(with(Replication::fullsync, 1));
  let_each_be_ahead(rig);
  rig.disk().fail(rig.data_fault(IoKind::read, 2 * kExtent, kExtent));
  rig.disk().fail(rig.data_fault(IoKind::write, 5 * kExtent, kExtent));
  const auto read = rig.client().read(2 * kExtent, 512);
  const auto write = rig.client().write(5 * kExtent, 512, 1);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(rig.peer().arrived() - 1);
  rig.settle_locally();
  CHECK(rig.client().error(read) == EIO);
  CHECK(rig.client().error(write) == EIO);
}

TEST_CASE("an empty peer in place of one that was ahead: what is left here counts, and is said") {
  PrimaryRig rig;
  let_peer_be_ahead(rig, 2);
  rig.start();
  connect_without_copying(rig);
  rig.disconnect();
  rig.identity = {};
  rig.peer().media().preset(0, std::vector<std::byte>(8 * kExtent));
  REQUIRE(rig.connect());
  CHECK(rig.events().last(Event::Kind::stale_discarded).bytes == 2 * kExtent);
  rig.settle();
  CHECK(rig.images_equal());
  CHECK_FALSE(rig.metadata().inconsistent);
  const auto id = rig.client().write(0, 512, 1);
  rig.settle();
  CHECK(rig.client().ok(id));
}

TEST_CASE(
    "INV-6: a write that fails here behind its copy keeps the extent from being called equal") {
  PrimaryRig rig(with(Replication::fullsync));
  write_alone(rig, 1);
  connect_without_copying(rig);
  rig.peer().take();
  REQUIRE(rig.peer().arrived_of(IoKind::write) == 2);  // both pieces of the extent
  rig.peer().reply(0);
  rig.settle_locally();
  rig.disk().fail(rig.data_fault(IoKind::write, 0, 4096));
  const auto id = rig.client().write(0, 4096, 9);
  rig.settle_locally();
  rig.peer().take();
  rig.peer().reply(1);
  rig.settle_locally();
  CHECK(rig.client().error(id) == EIO);  // not all of the extent is there yet
  rig.settle();
  rig.tick(31);
  CHECK(rig.primary().status().unsynced_bytes == 0);
  CHECK(rig.images_equal());
}

// The link ----------------------------------------------------------------------------------------

TEST_CASE("INV-12: a write that waited behind a block is answered when the link of it is gone") {
  PrimaryRig rig(with(Replication::fullsync, 1));
  let_peer_be_ahead(rig, 1);
  rig.start();
  connect_without_copying(rig);
  rig.peer().take();
  rig.peer().reply(0);  // the block is on its way to this disk
  const auto id = rig.client().write(0, 512, 1);
  rig.disconnect();
  REQUIRE(rig.held_data() == 1);
  CHECK_FALSE(rig.client().done(id));
  rig.complete_data();
  CHECK(rig.host().delivery_due);
  rig.settle();
  CHECK(rig.client().done(id));
  CHECK(rig.client().error(id) == EIO);  // INV-6
}

TEST_CASE("INV-6: a write to what the peer had newer is no success because the peer was replaced") {
  PrimaryRig rig(with(Replication::fullsync, 1));
  let_peer_be_ahead(rig, 2);
  rig.start();
  connect_without_copying(rig);
  const auto id = rig.client().write(kExtent, 512, 1);
  REQUIRE(rig.held_data() == 1);
  rig.disconnect();
  rig.identity = {};  // an empty one
  REQUIRE(rig.connect());
  rig.settle_locally();
  CHECK(rig.client().done(id));
  CHECK(rig.client().error(id) == EIO);
  rig.settle();
}

TEST_CASE("INV-9: an early reply to what did not ask for one changes nothing") {
  PrimaryRig rig;
  write_alone(rig, 1);
  connect_without_copying(rig);
  rig.peer().take();
  REQUIRE(rig.peer().arrived() > 0);
  rig.peer().send_received(0);
  CHECK(rig.primary().status().sync_copied_bytes == 0);
  rig.settle();
  CHECK(rig.events().count(Event::Kind::sync_done) == 1);
  CHECK(rig.images_equal());
}

TEST_CASE("INV-5: what was stored for the former link does not release the next one's requests") {
  PrimaryRig rig;
  write_alone(rig, 1);
  REQUIRE(rig.connect());
  const auto is_metadata = [](const port::DiskOp& op) {
    return op.kind == IoKind::write && op.offset_bytes == 0;
  };
  while (rig.disk().complete_first([&](const port::DiskOp& op) { return !is_metadata(op); }) ||
         rig.peer().run() > 0) {
  }
  REQUIRE(rig.disk().held() == 1);  // the nodes are equal, and that is being stored
  rig.disconnect();
  let_peer_be_ahead(rig, 1);
  REQUIRE(rig.connect());
  bool first = true;
  rig.peer().watch([&](const RemoteOp&) {
    if (!std::exchange(first, false)) return;
    CHECK(rig.metadata().inconsistent);
    CHECK(rig.map().test(0));
  });
  while (first) {
    REQUIRE(rig.disk().held() > 0);
    rig.disk().complete();
    rig.peer().take();
  }
  rig.settle();
  CHECK(rig.images_equal());
  CHECK_FALSE(rig.metadata().inconsistent);
}

TEST_CASE("INV-4: a merge that cannot be noted drops the link, or gives the component up") {
  const bool peer_is_new = GENERATE(true, false);
  PrimaryRig rig;
  if (peer_is_new) {
    rig.identity = {};
  } else {
    let_peer_be_ahead(rig, 1);
  }
  rig.start();
  rig.disk().fail(rig.metadata_fault());
  REQUIRE(rig.connect());
  rig.settle_locally();
  CHECK(rig.events().count(Event::Kind::metadata_failed) == (peer_is_new ? 1 : 0));
  CHECK(rig.host().drop_reasons.size() == (peer_is_new ? 1 : 0));
  CHECK(rig.primary().local_lost() == !peer_is_new);  // INV-12: the peer has everything
  if (peer_is_new) return;
  const auto read = rig.client().read(0, 512);
  rig.settle();
  CHECK(rig.client().holds(read, 0xa0));
  CHECK(rig.primary().outbox().connected());
}

TEST_CASE("INV-4: no request leaves when one half of a merge cannot be stored") {
  const bool map_fails = GENERATE(true, false);
  PrimaryRig rig;
  rig.identity = {};  // a new peer: the map and the metadata are merged
  rig.start();
  rig.disk().fail(map_fails ? rig.map_fault() : rig.metadata_fault());
  REQUIRE(rig.connect());
  rig.settle_locally();
  CHECK(rig.host().drop_reasons.size() == 1);
  CHECK(rig.peer().take() == 0);
}
