// Slots: back-pressure, waiters, limits; INV-9 for clients.
#include <cerrno>
#include <vector>

#include "support/catch.hpp"
#include "support/primary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

constexpr std::uint64_t kBlock = port::kBlockBytes;

RigOptions slots(std::size_t count, Replication mode = Replication::fullsync) {
  RigOptions options;
  options.primary.slots = count;
  options.primary.replication = mode;
  return options;
}

class Waiter final : public port::SlotWaiter {
 public:
  Waiter(int number, std::vector<int>& order, port::RequestSink& sink)
      : number_(number), order_(order), sink_(sink) {}
  void slot_freed() override {
    order_.push_back(number_);
    taken = sink_.acquire();
  }
  port::IoRequest* taken = nullptr;

 private:
  int number_;
  std::vector<int>& order_;
  port::RequestSink& sink_;
};

}  // namespace

TEST_CASE("there are as many slots as configured, then nothing: that is the back-pressure") {
  PrimaryRig rig(slots(3));
  rig.start();
  rig.client().keep_slots();
  for (int i = 0; i < 3; ++i) rig.client().read(0, 512);
  CHECK(rig.primary().acquire() == nullptr);
  rig.settle();
  CHECK(rig.primary().acquire() == nullptr);  // answered, but the client keeps them
  rig.client().release(1);
  port::IoRequest* freed = rig.primary().acquire();
  REQUIRE(freed != nullptr);
  rig.primary().release(*freed);
}

TEST_CASE("who waits for a slot gets one, in the order of waiting, one each") {
  PrimaryRig rig(slots(1));
  rig.start();
  rig.client().keep_slots();
  rig.client().read(0, 512);
  std::vector<int> order;
  Waiter one(1, order, rig.primary());
  Waiter two(2, order, rig.primary());
  Waiter three(3, order, rig.primary());
  rig.primary().wait_for_slot(one);
  rig.primary().wait_for_slot(two);
  rig.primary().wait_for_slot(three);
  rig.settle();
  CHECK(order.empty());
  rig.client().release(0);
  rig.settle();
  CHECK(order == std::vector<int>{1});
  rig.primary().cancel_wait(two);
  rig.primary().cancel_wait(two);  // not waiting: nothing happens
  rig.primary().release(*one.taken);
  rig.settle();
  CHECK(order == std::vector<int>{1, 3});
  rig.primary().release(*three.taken);
}

TEST_CASE("answers that free slots wake those who wait without anybody else's help") {
  PrimaryRig rig(slots(2));
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  rig.client().write(8192, 4096, 1);
  std::vector<int> order;
  Waiter one(1, order, rig.primary());
  Waiter two(2, order, rig.primary());
  rig.primary().wait_for_slot(one);
  rig.primary().wait_for_slot(two);
  rig.settle();
  CHECK(order == std::vector<int>{1, 2});
  rig.primary().release(*one.taken);
  rig.primary().release(*two.taken);
}

TEST_CASE("a slot released before its write is settled comes back when it is") {
  for (Replication mode : {Replication::memsync, Replication::async}) {
    PrimaryRig rig(slots(1, mode));
    rig.start_connected();
    const auto id = rig.client().write(0, 4096, 1);
    rig.settle_locally();
    rig.peer().take();
    if (mode == Replication::memsync) rig.peer().send_received(0);
    rig.settle_locally();
    REQUIRE(rig.client().ok(id));  // and the client has released it
    CHECK(rig.primary().acquire() == nullptr);
    CHECK_FALSE(rig.primary().quiet());
    std::vector<int> order;
    Waiter waiter(1, order, rig.primary());
    rig.primary().wait_for_slot(waiter);
    rig.peer().reply(0);
    rig.settle_locally();
    REQUIRE(order == std::vector<int>{1});
    rig.primary().release(*waiter.taken);
    CHECK(rig.primary().quiet());
  }
}

TEST_CASE("a slot settled before the client releases it comes back with the release") {
  PrimaryRig rig(slots(1, Replication::async));
  rig.start_connected();
  rig.client().keep_slots();
  rig.client().write(0, 4096, 1);
  rig.settle();
  CHECK(rig.primary().acquire() == nullptr);
  CHECK_FALSE(rig.primary().quiet());
  const std::size_t before = rig.host().changes;
  rig.client().release(0);
  CHECK(rig.primary().quiet());
  CHECK(rig.host().changes > before);
}

TEST_CASE("answers are delivered from deliver(), asked for once, never from submit()") {
  // CoreClient asserts that no answer comes from inside submit().
  PrimaryRig rig;
  rig.start();
  rig.client().submit(IoKind::read, 1, 1);
  CHECK(rig.host().delivery_due);
  CHECK_FALSE(rig.client().done(0));
  rig.deliver();
  CHECK(rig.client().error(0) == EINVAL);
  CHECK_FALSE(rig.host().delivery_due);
}

TEST_CASE("a client may submit the next request from inside an answer") {
  PrimaryRig rig(slots(1));
  rig.start();
  struct Chain {
    Primary* primary;
    int left;
    static void next(Chain& chain) {
      port::IoRequest* request = chain.primary->acquire();
      REQUIRE(request != nullptr);
      request->kind = IoKind::read;
      request->offset_bytes = chain.left % 2 ? 0 : 1;  // every other one is refused at once
      request->length_bytes = 512;
      request->owner = &chain;
      request->completed = [](port::IoRequest& done) {
        Chain& mine = *static_cast<Chain*>(done.owner);
        mine.primary->release(done);
        if (--mine.left > 0) next(mine);
      };
      chain.primary->submit(*request);
    }
  } chain{&rig.primary(), 10};
  Chain::next(chain);
  rig.settle();
  CHECK(chain.left == 0);
}

TEST_CASE("INV-9: out of range, misaligned, empty, oversized: EINVAL, and nothing moves") {
  PrimaryRig rig;
  rig.start();
  const std::uint64_t size = rig.primary().volume().size_bytes;
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  struct Shape {
    IoKind kind;
    std::uint64_t offset;
    std::uint64_t length;
  };
  const std::vector<Shape> bad{
      {IoKind::read, size, 512},
      {IoKind::read, size - 512, 1024},
      {IoKind::read, kMost - 511, 512},
      {IoKind::read, kMost - 511, 1024},  // the sum wraps
      {IoKind::read, 0, 0},
      {IoKind::read, 0, kMost},
      {IoKind::write, 256, 512},
      {IoKind::write, 0, 511},
      {IoKind::write, size, 0},
      {IoKind::write, 0, kBlock + 512},
      {IoKind::write, kBlock - 512, 1024},  // crosses a block
      {IoKind::write_zeroes, kBlock - 512, 1024},
      {IoKind::write_zeroes, 0, 2 * kBlock},
      {IoKind::discard, 0, port::kMaxDiscardBytes + 512},
      {IoKind::discard, size - 512, 1024},
      {IoKind::discard, 512, kMost - 1023},
  };
  for (const Shape& shape : bad) {
    INFO(to_string(shape.kind) << " " << shape.offset << " " << shape.length);
    const auto id = rig.client().submit(shape.kind, shape.offset, shape.length);
    rig.settle();
    CHECK(rig.client().done(id));
    CHECK(rig.client().error(id) == EINVAL);
  }
  CHECK(rig.disk().submitted() == 0);
  const auto last = rig.client().read(size - 512, 512);
  const auto block = rig.client().write(kBlock, kBlock, 1);
  rig.settle();
  CHECK(rig.client().ok(last));
  CHECK(rig.client().ok(block));
}

TEST_CASE("a discard over many extents is one request, all of them are marked") {
  PrimaryRig rig;
  rig.start_connected();
  const auto id = rig.client().discard(512, rig.primary().volume().size_bytes - 1024);
  rig.settle();
  CHECK(rig.client().ok(id));
  for (std::uint64_t e = 0; e < rig.shape().extents; ++e) CHECK(rig.map().test(e));
}

TEST_CASE("a volume whose last extent and block are short is usable to its end") {
  RigOptions options;
  options.shape.last_extent_bytes = 1536;
  PrimaryRig rig(options);
  rig.start();
  const std::uint64_t size = rig.primary().volume().size_bytes;
  rig.client().write(size - 1536, 1536, 5);
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle();
  CHECK(rig.images_equal());
  CHECK(filled_with(rig.peer().data().subspan(size - 1536, 1536), 5));
}

TEST_CASE("status tells queues, slots and what is dirty") {
  PrimaryRig rig;
  rig.start_connected();
  rig.client().write(0, 512, 1);
  rig.settle();
  rig.client().write(0, 4096, 1);
  const PrimaryStatus during = rig.primary().status();
  CHECK(during.local_queue == 1);
  CHECK(during.send_queue == 1);
  CHECK(during.receive_queue == 0);
  CHECK(during.slots_free == rig.options().primary.slots - 1);
  CHECK(during.dirty_bytes == rig.shape().extent_bytes);
  rig.peer().take();
  CHECK(rig.primary().status().receive_queue == 1);
  rig.settle();
  const PrimaryStatus after = rig.primary().status();
  CHECK(after.local_queue == 0);
  CHECK(after.dirty_bytes == 0);
  CHECK(after.slots_free == rig.options().primary.slots);
}

TEST_CASE("usage tells what is under way, and the most of it since it was asked last") {
  PrimaryRig rig;
  rig.start_connected();
  rig.client().write(0, 512, 1);
  rig.client().write(4096, 512, 1);
  rig.settle();
  rig.client().write(0, 512, 1);
  const Usage usage = rig.primary().usage();
  CHECK(usage.now == 1);
  CHECK(usage.most == 2);
  CHECK(rig.primary().usage().most == 1);
  rig.settle();
  CHECK(rig.primary().usage().now == 0);
  CHECK(rig.primary().usage().most == 0);
}

TEST_CASE("a large request counts in the most as the small ones it is worth") {
  PrimaryRig rig;
  rig.start_connected();
  const auto most_with = [&rig](std::uint32_t bytes) {
    rig.client().write(0, bytes, 1);
    const Usage usage = rig.primary().usage();
    CHECK(usage.now == 1);
    rig.settle();
    (void)rig.primary().usage();
    return usage.most;
  };
  CHECK(most_with(16 * 1024) == 1);
  CHECK(most_with(16 * 1024 + 512) == 2);
  CHECK(most_with(128 * 1024) == 8);
}

TEST_CASE("a call into the core from inside an answer delivers no other answer inside it") {
  PrimaryRig rig(slots(2));
  rig.start();
  struct Owner {
    core::Primary& primary;
    int inside = 0;
    int answers = 0;
  } owner{rig.primary()};
  for (int i = 0; i < 2; ++i) {
    port::IoRequest* request = rig.primary().acquire();
    REQUIRE(request != nullptr);
    request->kind = IoKind::read;
    request->length_bytes = 0;  // refused at once: both answers are due
    request->owner = &owner;
    request->completed = [](port::IoRequest& done) {
      Owner& mine = *static_cast<Owner*>(done.owner);
      CHECK(mine.inside++ == 0);
      mine.primary.set_go_alone(GoAlone::freely);
      --mine.inside;
      ++mine.answers;
      mine.primary.release(done);
    };
    rig.primary().submit(*request);
  }
  rig.settle();
  CHECK(owner.answers == 2);
}

TEST_CASE("what is refused while slots are handed out is answered without anybody else's help") {
  PrimaryRig rig(slots(1));
  rig.start();
  struct Hasty final : port::SlotWaiter {
    explicit Hasty(port::RequestSink& to) : sink(to) {}
    void slot_freed() override {
      port::IoRequest* request = sink.acquire();
      request->kind = IoKind::flush;
      request->length_bytes = 512;  // is no flush
      request->owner = this;
      request->completed = [](port::IoRequest& done) {
        Hasty& mine = *static_cast<Hasty*>(done.owner);
        mine.error = done.error;
        mine.sink.release(done);
      };
      sink.submit(*request);
    }
    port::RequestSink& sink;
    int error = 0;
  } hasty(rig.primary());
  rig.client().keep_slots();
  const auto id = rig.client().read(0, 512);
  rig.primary().wait_for_slot(hasty);
  rig.settle();
  rig.client().release(id);
  rig.settle();
  CHECK(hasty.error == EINVAL);
}
