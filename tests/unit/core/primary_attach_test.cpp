// Giving the component up and taking one back: what the one may lack that comes, and when it may
// come. INV-2, INV-5, INV-11. The course of it is in primary_component_test.cpp.
#include "support/catch.hpp"
#include "support/primary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

constexpr std::uint64_t kExtent = 256 * 1024;

/// The component has lost what was written there.
void empty_extent(PrimaryRig& rig, std::uint64_t extent) {
  rig.media().preset(rig.shape().layout().data_offset + extent * kExtent,
                     std::vector<std::byte>(kExtent));
}

}  // namespace

TEST_CASE("INV-2: attach brings back what the component had not flushed when it was given up") {
  PrimaryRig rig(RigOptions::detaching());
  rig.start_filled(3, 1);
  const auto id = rig.client().write(2 * kExtent, 4096, 7);  // on both nodes, flushed on none
  rig.settle();
  REQUIRE(rig.client().ok(id));
  rig.lose_component(4);
  empty_extent(rig, 2);
  REQUIRE(rig.attach());
  rig.settle();
  CHECK(rig.images_equal());
  const auto read = rig.client().read(2 * kExtent, 4096);
  rig.settle();
  CHECK(rig.client().holds(read, 7));
}

TEST_CASE("INV-1: attach trusts no bit that was on the component before") {
  PrimaryRig rig(RigOptions::detaching());
  rig.start_filled(3, 1);
  rig.lose_component(4);
  preset_map(rig.media(), rig.shape(), {});
  REQUIRE(rig.attach());
  rig.settle_locally();
  REQUIRE_FALSE(rig.primary().local_lost());
  CHECK(rig.map().test(0));  // the extent was marked before, too
  rig.settle();
  CHECK(rig.images_equal());
}

TEST_CASE("attach: a new disk is copied whole although no metadata were ever written before") {
  PrimaryRig rig(RigOptions::detaching());
  rig.start_filled(3, 2);
  REQUIRE(rig.metadata().sequence == 0);
  rig.lose_component(5);
  store_metadata(rig.media(), rig.shape(), fresh_metadata(rig.shape()));
  rig.media().preset(rig.shape().layout().data_offset,
                     std::vector<std::byte>(rig.shape().data_bytes()));
  REQUIRE(rig.attach());
  rig.settle();
  CHECK(rig.events().last(Event::Kind::sync_started).bytes == rig.shape().data_bytes());
  CHECK(rig.images_equal());
}

TEST_CASE("attach: a disk of an original's format has one copy of its metadata, as before") {
  RigOptions options = RigOptions::detaching();
  options.shape.second_copy = false;
  PrimaryRig rig(options);
  rig.start_filled(3, 1);
  rig.lose_component(4);
  REQUIRE(rig.attach());
  rig.settle();
  CHECK_FALSE(rig.primary().local_lost());
  CHECK(rig.images_equal());
  CHECK_FALSE(rig.metadata().inconsistent);
}

TEST_CASE("a primary that stops while a disk is attached copies nothing to it") {
  PrimaryRig rig(RigOptions::detaching());
  rig.start_filled(3, 1);
  rig.lose_component(4);
  REQUIRE(rig.attach());
  rig.primary().prepare_stop();
  rig.settle();
  CHECK_FALSE(rig.primary().attaching());
  CHECK(rig.events().count(Event::Kind::sync_started) == 0);
  CHECK(rig.metadata().inconsistent);  // INV-5
  CHECK(rig.primary().quiet());
}

TEST_CASE("a component may be replaced when nothing at all is on its way to it") {
  RigOptions options;
  options.shape.keepdirty = 1;
  PrimaryRig rig(options);
  const auto busy = [&rig] { return !rig.primary().component_idle(); };
  SECTION("a client's request") {
    rig.start_filled(3, 1);
    rig.client().read(0, 4096);
    CHECK(busy());
  }
  SECTION("the map") {
    rig.start_filled(3, 1);
    rig.client().write(5 * kExtent, 4096, 3);
    REQUIRE(rig.held_map() == 1);
    CHECK(busy());
  }
  SECTION("the metadata") {
    rig.start_filled(3, 1);
    rig.disconnect();
    rig.client().write(0, 4096, 4);
    while (rig.disk().held_of([](const port::DiskOp& op) { return op.offset_bytes == 0; }) == 0)
      rig.disk().complete();
    while (rig.host().delivery_due) rig.deliver();
    REQUIRE(rig.held_data() == 0);
    CHECK(busy());
  }
  SECTION("a block of a resync, which is still with the peer") {
    rig.identity.counters = {1, 0};
    rig.identity.dirty = {0};
    rig.start();
    REQUIRE(rig.connect());
    rig.settle_locally();
    REQUIRE(rig.peer().take() > 0);
    REQUIRE(rig.disk().held() == 0);
    CHECK(busy());
  }
  SECTION("a repair, which is still with the peer") {
    rig.start_filled(3, 1);
    rig.disk().fail(rig.data_fault(IoKind::read, 0, 4096));
    rig.client().read(0, 4096);
    rig.settle_locally();
    rig.peer().take();
    rig.peer().reply(0);
    rig.settle_locally();
    REQUIRE(rig.peer().take() == 1);
    REQUIRE(rig.disk().held() == 0);
    CHECK(busy());
  }
  SECTION("a barrier, whose other half is still with the peer") {
    rig.start_filled(3, 2);
    rig.client().write(kExtent, 4096, 3);
    rig.client().write(5 * kExtent, 4096, 3);
    rig.settle();
    rig.primary().tick();
    rig.settle_locally();
    REQUIRE(rig.peer().take() == 1);
    REQUIRE(rig.disk().held() == 0);
    CHECK(busy());
  }
  rig.settle();
  CHECK_FALSE(busy());
}
