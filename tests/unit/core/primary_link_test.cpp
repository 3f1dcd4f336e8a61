// Identity, the handshake's core, and what a primary refuses.
#include <cerrno>

#include "support/catch.hpp"
#include "support/primary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

/// A component that never met a peer.
void make_virgin(PrimaryRig& rig) {
  store_metadata(rig.media(), rig.shape(), fresh_metadata(rig.shape()));
  rig.identity = {};
}

PeerAnswer fitting_answer(const PrimaryRig& rig) {
  PeerAnswer answer;
  answer.datasize = rig.shape().data_bytes();
  answer.extentsize = rig.shape().extent_bytes;
  return answer;
}

}  // namespace

TEST_CASE("a resource id is made once and durable before it may be told") {
  PrimaryRig rig;
  make_virgin(rig);
  rig.start();
  CHECK_FALSE(rig.primary().identity_durable());
  rig.primary().prepare_identity();
  CHECK_FALSE(rig.primary().identity_durable());
  const std::uint64_t resuid = rig.primary().facts().resuid;
  CHECK(resuid != 0);
  CHECK(rig.primary().facts().virgin);
  const std::size_t before = rig.host().changes;
  rig.settle();
  CHECK(rig.primary().identity_durable());
  CHECK(rig.host().changes > before);
  CHECK(rig.metadata().resuid == resuid);
  rig.primary().prepare_identity();
  CHECK(rig.primary().facts().resuid == resuid);
}

TEST_CASE("a node that has an id is not new, and keeps it") {
  PrimaryRig rig;
  rig.start();
  rig.primary().prepare_identity();
  CHECK(rig.primary().identity_durable());
  CHECK(rig.primary().facts().resuid == PrimaryRig::kResuid);
  CHECK_FALSE(rig.primary().facts().virgin);
  CHECK(rig.disk().submitted() == 0);
}

TEST_CASE("INV-4: an id that cannot be stored is not told; it is tried again by the clock") {
  PrimaryRig rig;
  make_virgin(rig);
  rig.start();
  DiskFault fault = rig.metadata_fault();
  fault.times = DiskFault::kForever;
  rig.disk().fail(fault);
  rig.primary().prepare_identity();
  rig.settle();  // ends: nothing is retried in a loop
  CHECK_FALSE(rig.primary().identity_durable());
  rig.tick(20);
  CHECK_FALSE(rig.primary().identity_durable());
  CHECK(rig.events().count(Event::Kind::metadata_failed) <= 6);  // INV-13: no flood
  rig.disk().heal();
  rig.tick(5);
  CHECK(rig.primary().identity_durable());
  CHECK(rig.metadata().resuid == rig.primary().facts().resuid);
}

TEST_CASE("two new nodes copy what was written before they met, and no more") {
  PrimaryRig rig;
  make_virgin(rig);
  rig.start();
  rig.client().write(0, 4096, 1);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(rig.events().last(Event::Kind::sync_done).bytes == rig.shape().extent_bytes);
  CHECK_FALSE(rig.primary().facts().virgin);
  CHECK(rig.metadata().localcnt == 0);
}

TEST_CASE("unequal sizes are refused and change nothing") {
  for (const bool data : {true, false}) {
    PrimaryRig rig;
    rig.start();
    PeerAnswer answer = fitting_answer(rig);
    data ? answer.datasize += 512 : answer.extentsize *= 2;
    const Result<void> up = rig.primary().link_up(answer, rig.primary().facts());
    REQUIRE_FALSE(up);
    CHECK(up.error().code == Errc::size_mismatch);
    CHECK_FALSE(rig.primary().outbox().connected());
    CHECK(rig.disk().submitted() == 0);
  }
}

TEST_CASE("INV-9: a peer's map may be shorter or longer than ours") {
  for (const std::size_t bytes : {0u, 1u, 512u, 65536u}) {
    RigOptions options;
    options.shape.extents = 20;
    PrimaryRig rig(options);
    rig.start();
    PeerAnswer answer = fitting_answer(rig);
    const std::vector<std::byte> map(bytes, std::byte{0xff});
    answer.map = map;
    REQUIRE(rig.primary().link_up(answer, rig.primary().facts()));
    rig.peer().attach(rig.primary());
    CHECK(rig.primary().status().dirty_bytes ==
          std::min<std::size_t>(bytes * 8, 20) * rig.shape().extent_bytes);
    rig.settle();
    CHECK(rig.images_equal());
  }
}

TEST_CASE("a lost link is one event: losing it again changes nothing") {
  PrimaryRig rig;
  rig.start_connected();
  rig.disconnect();
  rig.disconnect();
  rig.settle();
  CHECK(rig.primary().quiet());
}

TEST_CASE("INV-12: losing the peer removes nothing: requests go on, old ones end") {
  PrimaryRig rig;
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.client().flush();
  rig.settle_locally();
  rig.disconnect();
  const auto write = rig.client().write(4096, 4096, 2);
  const auto read = rig.client().read(0, 4096);
  rig.settle();
  CHECK(rig.client().unanswered() == 0);
  CHECK(rig.client().ok(write));
  CHECK(rig.client().holds(read, 1));
}

TEST_CASE("promotion serves at once: no peer is needed for the first request") {
  PrimaryRig rig;
  rig.start();
  const auto read = rig.client().read(0, 512);
  const auto write = rig.client().write(0, 512, 1);
  rig.settle();
  CHECK(rig.client().ok(read));
  CHECK(rig.client().ok(write));
}

TEST_CASE("the map found at the start is copied at the first connect") {
  PrimaryRig rig;
  preset_map(rig.media(), rig.shape(), {2, 5});
  rig.peer().media().preset(2 * rig.shape().extent_bytes,
                            std::vector<std::byte>(512, std::byte{9}));
  rig.start();
  CHECK(rig.primary().status().dirty_bytes == 2 * rig.shape().extent_bytes);
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(rig.primary().status().dirty_bytes == 0);
}

TEST_CASE("a write that waits for the map when the link comes or goes ends on what is there then") {
  for (const bool connects : {true, false}) {
    PrimaryRig rig;
    connects ? rig.start() : rig.start_connected();
    const auto id = rig.client().write(0, 4096, 1);
    REQUIRE(rig.held_map() == 1);
    if (connects) {
      REQUIRE(rig.connect());
    } else {
      rig.disconnect();
    }
    rig.settle();
    CHECK(rig.client().ok(id));
    CHECK(rig.metadata().localcnt == (connects ? 0 : 1));
    if (!connects) REQUIRE(rig.connect());
    rig.settle();
    CHECK(rig.images_equal());
  }
}

TEST_CASE("INV-12: an original gets everything from a node whose map tracked nothing") {
  PrimaryRig rig;
  ondisk::Metadata alone = fresh_metadata(rig.shape());
  alone.resuid = PrimaryRig::kResuid;
  alone.localcnt = 1;
  alone.generations.begin(7);
  alone.generations.synced = Generations::kUntracked;
  store_metadata(rig.media(), rig.shape(), alone);
  rig.media().preset(rig.shape().layout().data_offset, std::vector<std::byte>(4096, std::byte{5}));
  rig.start();
  REQUIRE(rig.link_up({SyncSource::primary, SyncKind::regular, false}, rig.primary().facts()));
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(rig.events().last(Event::Kind::sync_done).bytes == rig.shape().data_bytes());
  rig.disconnect();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.events().count(Event::Kind::sync_started) == 1);  // tracked again
}
