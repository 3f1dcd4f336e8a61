// A primary that may not go on without its peer until somebody permits it (on_peer_loss: freeze).
#include "support/catch.hpp"
#include "support/primary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

constexpr std::uint64_t kExtent = 256 * 1024;

RigOptions freezing(Replication mode = Replication::fullsync) {
  RigOptions options;
  options.primary.replication = mode;
  options.primary.go_alone = GoAlone::if_permitted;
  return options;
}

}  // namespace

TEST_CASE("freeze: without the peer nothing is answered, neither read, write nor flush") {
  PrimaryRig rig(freezing());
  rig.start_connected();
  rig.client().write(0, 4096, 3);
  rig.settle();
  rig.disconnect();
  const auto written = rig.client().write(0, 4096, 4);
  const auto read = rig.client().read(8192, 4096);
  const auto flushed = rig.client().flush();
  rig.settle();
  CHECK_FALSE(rig.client().done(written));
  CHECK_FALSE(rig.client().done(read));
  CHECK_FALSE(rig.client().done(flushed));
  CHECK(rig.primary().waits_for_permission());
  CHECK(rig.primary().status().frozen);
  CHECK(rig.metadata().localcnt == 0);  // nothing that only this node has was promised

  SECTION("permitted: all are, and counted first (INV-3)") {
    rig.primary().permit_alone();
    rig.settle();
    CHECK(rig.client().ok(written));
    CHECK(rig.client().ok(read));
    CHECK(rig.client().ok(flushed));
    CHECK(rig.metadata().localcnt == 1);
    const auto more = rig.client().write(4096, 4096, 5);
    rig.settle();
    CHECK(rig.client().ok(more));
  }
  SECTION("the peer is back: reads go on at once, the rest when both have it, uncounted") {
    REQUIRE(rig.connect());
    rig.settle_locally();
    CHECK(rig.client().ok(read));
    CHECK_FALSE(rig.client().done(written));
    rig.settle();
    CHECK(rig.client().ok(written));
    CHECK(rig.client().ok(flushed));
    CHECK(rig.images_equal());
    CHECK(rig.metadata().localcnt == 0);
  }
  SECTION("the peer is back and lost again: they still wait, and the permission has to be new") {
    rig.primary().permit_alone();
    rig.settle();
    REQUIRE(rig.connect());
    rig.settle();
    rig.disconnect();
    const auto late = rig.client().write(0, 4096, 6);
    rig.settle();
    CHECK_FALSE(rig.client().done(late));
    rig.primary().set_go_alone(GoAlone::freely);  // a reload
    rig.settle();
    CHECK(rig.client().ok(late));
  }
  SECTION("the clients are gone: everything ends, and nothing was promised (INV-7)") {
    rig.primary().clients_left();
    rig.settle();
    CHECK(rig.client().done(written));
    CHECK_FALSE(rig.client().ok(written));
    CHECK_FALSE(rig.client().ok(flushed));
    CHECK(rig.metadata().localcnt == 0);
  }
  rig.primary().clients_left();
  rig.settle();
}

TEST_CASE(
    "freeze: a peer that went on alone is the source, and what waited is done on both (INV-6)") {
  PrimaryRig rig(freezing());
  rig.start_connected();
  rig.client().write(0, 4096, 3);
  rig.client().write(kExtent, 4096, 3);
  rig.settle();
  rig.disconnect();
  const auto written = rig.client().write(0, 4096, 4);
  const auto forced = rig.client().write_fua(kExtent, 4096, 5);
  const auto read = rig.client().read(2 * kExtent, 4096);
  rig.settle();
  REQUIRE_FALSE(rig.client().done(written));
  // Meanwhile it served clients of its own.
  rig.peer().media().preset(2 * kExtent, std::vector<std::byte>(4096, std::byte{9}));
  rig.peer().media().preset(4096, std::vector<std::byte>(4096, std::byte{9}));
  rig.identity.counters.local = 1;
  rig.identity.dirty = {0, 2};
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.client().ok(written));
  CHECK(rig.client().ok(forced));
  CHECK(rig.client().holds(read, 9));
  CHECK(rig.images_equal());
  CHECK(filled_with(rig.data().subspan(0, 4096), 4));
  CHECK(filled_with(rig.data().subspan(4096, 4096), 9));
  CHECK(rig.metadata().localcnt == 0);
}

TEST_CASE("freeze: what the peer failed to do waits until it has been told apart") {
  PrimaryRig rig(freezing());
  rig.start_connected();
  rig.peer().fail({.kind = IoKind::write});
  const auto id = rig.client().write(0, 4096, 3);
  rig.settle();  // the link is dropped over it
  CHECK_FALSE(rig.client().done(id));
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.images_equal());
}

TEST_CASE("freeze: a flush while the peer is brought up to date needs no permission") {
  PrimaryRig rig(freezing());
  rig.start();
  rig.primary().permit_alone();
  rig.client().write(0, 4096, 3);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle_locally();
  const auto flushed = rig.client().flush();
  rig.settle_locally();
  while (!rig.client().done(flushed) && rig.peer().take() + rig.peer().arrived() > 0) {
    const auto flush = rig.peer().first_of(IoKind::flush);
    if (!flush) break;
    rig.peer().reply(*flush);
    rig.settle_locally();
  }
  CHECK(rig.client().ok(flushed));
  rig.settle();
}

TEST_CASE(
    "freeze: in async what was acknowledged before the loss is counted all the same (INV-3)") {
  PrimaryRig rig(freezing(Replication::async));
  rig.start_connected();
  const auto id = rig.client().write(0, 4096, 3);
  rig.settle_locally();
  REQUIRE(rig.client().ok(id));
  rig.disconnect();
  rig.settle();
  CHECK(rig.metadata().localcnt == 1);
}

TEST_CASE("freeze: a permission given while the peer is there is none for when it is gone") {
  PrimaryRig rig(freezing());
  rig.start_connected();
  rig.primary().permit_alone();
  rig.disconnect();
  const auto id = rig.client().write(0, 4096, 3);
  rig.settle();
  CHECK_FALSE(rig.client().done(id));
  rig.primary().permit_alone();
  rig.settle();
  CHECK(rig.client().ok(id));
}

TEST_CASE("freeze: nobody reads past a primary that may not answer itself") {
  PrimaryRig rig(freezing());
  rig.start_connected();
  CHECK(rig.host().reads_locally);
  rig.disconnect();
  CHECK_FALSE(rig.host().reads_locally);
  rig.primary().permit_alone();
  CHECK(rig.host().reads_locally);
  REQUIRE(rig.connect());
  CHECK(rig.host().reads_locally);
}
