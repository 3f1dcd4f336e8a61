// The way of a write: INV-1, and when it is acknowledged in each mode.
#include <array>
#include <cerrno>
#include <string>

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

/// The extent's bit is stable: writes to it leave at once.
void warm(PrimaryRig& rig, std::uint64_t offset) {
  const auto id = rig.client().write(offset, 512, 0xee);
  rig.settle();
  REQUIRE(rig.client().ok(id));
}

}  // namespace

TEST_CASE("INV-1: a write to a new extent moves nothing before its bit is on stable storage") {
  for (Replication mode : {Replication::fullsync, Replication::memsync, Replication::async}) {
    PrimaryRig rig(with(mode));
    rig.start_connected();
    rig.client().write(0, 4096, 1);
    CHECK(rig.held_map() == 1);
    CHECK(rig.held_data() == 0);
    CHECK(rig.primary().outbox().waiting() == 0);
    rig.disk().complete();
    CHECK(rig.map().test(0));
    CHECK(rig.held_data() == 1);
    CHECK(rig.primary().outbox().waiting() == 1);
  }
}

TEST_CASE("INV-1: the same holds for discard, write_zeroes and without a peer") {
  for (IoKind kind : {IoKind::write, IoKind::discard, IoKind::write_zeroes}) {
    PrimaryRig rig;
    rig.start();
    rig.client().submit(kind, 0, 4096);
    CHECK(rig.held_data() == 0);
    rig.disk().complete();
    CHECK(rig.map().test(0));
    CHECK(rig.held_data() == 1);
  }
}

TEST_CASE("INV-1: without metaflush the written map is enough") {
  RigOptions options;
  options.primary.metaflush = MapCommit::Flush::no;
  PrimaryRig rig(options);
  rig.start_connected();
  rig.client().write(0, 4096, 1);
  CHECK(rig.held_data() == 0);
  rig.complete_map();
  CHECK(rig.held_data() == 1);
}

TEST_CASE("INV-1: a write to a marked extent leaves at once, to both sides") {
  PrimaryRig rig;
  rig.start_connected();
  warm(rig, 0);
  const std::size_t maps = rig.logged_map_writes();
  rig.client().write(4096, 4096, 1);
  CHECK(rig.held_data() == 1);
  CHECK(rig.primary().outbox().waiting() == 1);
  rig.settle();
  CHECK(rig.logged_map_writes() == maps);
}

TEST_CASE("INV-1: first touches share one map write, later arrivals the next") {
  PrimaryRig rig;
  rig.start_connected();
  rig.disk().clear_log();
  rig.client().write(0 * kExtent, 4096, 1);  // starts a commit
  rig.client().write(1 * kExtent, 4096, 1);  // these share the next
  rig.client().write(2 * kExtent, 4096, 1);
  rig.client().write(3 * kExtent, 4096, 1);
  rig.disk().complete();
  CHECK(rig.held_data() == 1);               // only the first
  rig.client().write(4 * kExtent, 4096, 1);  // a third commit
  rig.settle();
  CHECK(rig.logged_map_writes() == 3);
  CHECK(rig.disk().logged(IoKind::flush) == 0);
  CHECK(rig.client().unanswered() == 0);
}

TEST_CASE("INV-1: a write over two extents waits for both bits") {
  RigOptions options;
  options.shape.extent_bytes = 4096;
  PrimaryRig rig(options);
  rig.start_connected();
  warm(rig, 0);
  rig.client().write(0, 8192, 1);
  CHECK(rig.held_data() == 0);
  rig.settle();
  CHECK(rig.map().test(0));
  CHECK(rig.map().test(1));
}

TEST_CASE("INV-1, INV-4: without a peer a failed map write fails the writes that waited for it") {
  PrimaryRig rig;
  rig.start();
  rig.disk().fail(rig.map_fault());
  const auto first = rig.client().write(0, 4096, 1);
  const auto sharing_next = rig.client().write(kExtent, 4096, 1);
  rig.settle();
  CHECK(rig.client().error(first) == EIO);
  CHECK(rig.client().ok(sharing_next));
  CHECK(rig.events().count(Event::Kind::map_failed) == 1);
  CHECK(rig.logged_data_writes() == 1);               // of the second only
  const auto again = rig.client().write(0, 4096, 2);  // the next try carries it
  rig.settle();
  CHECK(rig.client().ok(again));
}

TEST_CASE(
    "INV-4, INV-12: a failed map write loses the local component if the peer has everything") {
  PrimaryRig rig;
  rig.start_connected();
  rig.disk().fail(rig.map_fault());
  const auto id = rig.client().write(0, 4096, 1);
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.events().count(Event::Kind::local_lost) == 1);
  CHECK(rig.primary().status().local_lost);
  CHECK(filled_with(rig.peer().data().subspan(0, 4096), 1));
  CHECK(rig.logged_data_writes() == 0);
  // Reads and writes go on, from the peer alone.
  const auto read = rig.client().read(0, 4096);
  const auto write = rig.client().write(kExtent, 4096, 2);
  rig.settle();
  CHECK(rig.client().holds(read, 1));
  CHECK(rig.client().ok(write));
  CHECK(rig.logged_data_writes() == 0);
  // Without the peer there is nothing left.
  rig.disconnect();
  const auto refused = rig.client().write(0, 4096, 3);
  const auto unread = rig.client().read(0, 4096);
  const auto unflushed = rig.client().flush();
  rig.settle();
  CHECK(rig.client().error(refused) == EIO);
  CHECK(rig.client().error(unread) == EIO);
  CHECK(rig.client().error(unflushed) == EIO);
}

TEST_CASE("INV-4: a failed map write does not lose the component while it alone has something") {
  PrimaryRig rig;
  rig.start();
  rig.client().write(5 * kExtent, 4096, 9);  // nobody else has this
  rig.settle();
  REQUIRE(rig.connect());
  rig.settle_locally();  // connected, but nothing was copied yet
  rig.disk().fail(rig.map_fault());
  const auto id = rig.client().write(0, 4096, 1);
  rig.settle_locally();
  CHECK_FALSE(rig.primary().status().local_lost);
  CHECK(rig.client().error(id) == EIO);
  rig.settle();
}

TEST_CASE("overlapping writes reach both sides in their order, others overtake") {
  PrimaryRig rig;
  rig.start_connected();
  warm(rig, 0);
  rig.client().write(0, 4096, 1);
  rig.client().write(0, 8192, 2);
  rig.client().write(16384, 4096, 3);
  rig.client().write(4096, 4096, 4);
  CHECK(rig.held_data() == 2);  // the first and the third
  rig.settle();
  CHECK(rig.client().unanswered() == 0);
  CHECK(filled_with(rig.data().subspan(0, 4096), 2));
  CHECK(filled_with(rig.data().subspan(4096, 4096), 4));
  CHECK(rig.images_equal());
}

TEST_CASE("a write is complete on both nodes and the nodes are equal, whatever its kind") {
  for (Replication mode : {Replication::fullsync, Replication::memsync, Replication::async}) {
    PrimaryRig rig(with(mode));
    rig.start_connected();
    rig.client().write(0, 65536, 7);
    rig.settle();
    rig.client().discard(4096, 8192);
    rig.client().write_zeroes(32768, 512);
    rig.settle();
    CHECK(rig.client().unanswered() == 0);
    CHECK(filled_with(rig.data().subspan(4096, 8192), 0));
    CHECK(filled_with(rig.data().subspan(32768, 512), 0));
    CHECK(filled_with(rig.data().subspan(0, 4096), 7));
    CHECK(rig.images_equal());
    CHECK(rig.primary().status().io.writes == 2);
    CHECK(rig.primary().status().io.deletes == 1);
  }
}

TEST_CASE("on the wire: memsync asks for the early reply of writes only, zeroes carry no data") {
  PrimaryRig rig(with(Replication::memsync));
  rig.start_connected();
  warm(rig, 0);
  rig.client().write(0, 4096, 1);
  rig.client().write_zeroes(8192, 4096);
  rig.client().discard(16384, 4096);
  rig.client().flush();
  rig.peer().take();
  REQUIRE(rig.peer().arrived() == 4);
  CHECK(rig.peer().arrived(0).memsync);
  CHECK(rig.peer().arrived(1).memsync);
  CHECK(rig.peer().arrived(1).kind == IoKind::write_zeroes);
  CHECK_FALSE(rig.peer().arrived(2).memsync);
  CHECK_FALSE(rig.peer().arrived(3).memsync);
  rig.settle();
}

// The completion table, acted out -----------------------------------------------------------------

namespace {

enum class Local { ok, failed, absent };
enum class Remote { received, ok, failed, absent };

/// What the client sees: nothing yet, success, or the error.
enum class Seen { nothing, success, failure };

struct Story {
  Replication mode;
  Local local;
  Remote remote;
  bool local_first;
};

std::string words(const Story& story) {
  static constexpr std::array local{"ok", "failed", "absent"};
  static constexpr std::array remote{"received", "ok", "failed", "absent"};
  return std::string(to_string(story.mode)) + ", local " + local[static_cast<int>(story.local)] +
         ", remote " + remote[static_cast<int>(story.remote)] +
         (story.local_first ? ", local first" : ", remote first");
}

Seen seen(PrimaryRig& rig, CoreClient::Id id) {
  while (rig.host().delivery_due) rig.deliver();
  if (!rig.client().done(id)) return Seen::nothing;
  return rig.client().ok(id) ? Seen::success : Seen::failure;
}

/// One write to a marked extent, of which each side has the given outcome.
class Act {
 public:
  explicit Act(const Story& story) : story_(story), rig_(with(story.mode)) {
    rig_.start_connected();
    warm(rig_, 0);
    if (story.local == Local::absent) {
      rig_.disk().fail(rig_.map_fault());  // of another extent: the component is lost
      rig_.client().write(kExtent, 512, 1);
      rig_.settle();
      REQUIRE(rig_.primary().status().local_lost);
    }
    if (story.local == Local::failed) rig_.disk().fail(rig_.data_fault(IoKind::write, 0, kExtent));
    id_ = rig_.client().write(0, 4096, 1);
    rig_.peer().take();
  }
  Seen local_ends() {
    if (story_.local != Local::absent) REQUIRE(rig_.complete_data());
    return now();
  }
  Seen remote_ends() {
    switch (story_.remote) {
      case Remote::received:
        if (rig_.peer().arrived(0).memsync) rig_.peer().send_received(0);
        break;
      case Remote::ok:
        rig_.peer().reply(0);
        break;
      case Remote::failed:
        rig_.peer().reply(0, EIO);
        break;
      case Remote::absent:
        rig_.disconnect();
        break;
    }
    return now();
  }
  /// Whatever else the answer may wait for on this node: the counter.
  Seen now() {
    for (bool moved = true; moved;) {
      while (rig_.host().delivery_due) rig_.deliver();
      const auto not_data = [this](const port::DiskOp& op) { return !rig_.is_data(op); };
      moved = rig_.disk().complete_first(not_data);
    }
    return seen(rig_, id_);
  }
  PrimaryRig& rig() { return rig_; }

 private:
  Story story_;
  PrimaryRig rig_;
  CoreClient::Id id_ = 0;
};

/// docs/invariants.md, the table of modes: semantics §3.5 without its marked defects.
Seen expected_after_both(const Story& story) {
  const bool local_ok = story.local == Local::ok;
  switch (story.remote) {
    case Remote::ok:
      return Seen::success;
    case Remote::failed:
    case Remote::absent:
      return local_ok ? Seen::success : Seen::failure;
    case Remote::received:
      if (!local_ok) return Seen::nothing;
      return story.mode == Replication::fullsync ? Seen::nothing : Seen::success;
  }
  return Seen::nothing;
}

Seen expected_after_local(const Story& story) {
  const bool early = story.mode == Replication::async && story.local == Local::ok;
  return early ? Seen::success : Seen::nothing;
}

/// With the local component absent the peer's answer is all there is.
Seen expected_after_remote(const Story& story) {
  return story.local == Local::absent ? expected_after_both(story) : Seen::nothing;
}

}  // namespace

TEST_CASE("each mode, local and remote outcome, in both orders: what the client sees, and when") {
  for (Replication mode : {Replication::fullsync, Replication::memsync, Replication::async}) {
    for (Local local : {Local::ok, Local::failed, Local::absent}) {
      for (Remote remote : {Remote::received, Remote::ok, Remote::failed, Remote::absent}) {
        for (bool local_first : {true, false}) {
          const Story story{mode, local, remote, local_first};
          INFO(words(story));
          Act act(story);
          if (local_first) {
            CHECK(act.local_ends() == expected_after_local(story));
            CHECK(act.remote_ends() == expected_after_both(story));
          } else {
            CHECK(act.remote_ends() == expected_after_remote(story));
            CHECK(act.local_ends() == expected_after_both(story));
          }
          act.rig().settle();  // whatever is open ends, and nothing leaks
        }
      }
    }
  }
}

TEST_CASE("weaknesses A8: memsync with a failed local write waits for the peer's final word") {
  for (const int remote_error : {0, EIO}) {
    PrimaryRig rig(with(Replication::memsync));
    rig.start_connected();
    warm(rig, 0);
    rig.disk().fail(rig.data_fault(IoKind::write, 0, kExtent));
    const auto id = rig.client().write(0, 4096, 1);
    rig.peer().take();
    rig.peer().send_received(0);
    rig.complete_data();
    rig.settle_locally();
    CHECK_FALSE(rig.client().done(id));
    rig.peer().reply(0, remote_error);
    rig.settle();
    CHECK(rig.client().ok(id) == (remote_error == 0));
  }
}

TEST_CASE("a peer's early reply counts once, and not at all for what did not ask for it") {
  PrimaryRig rig(with(Replication::memsync));
  rig.start_connected();
  warm(rig, 0);
  const auto discard = rig.client().discard(0, 4096);
  rig.peer().take();
  rig.complete_data();
  rig.peer().send_received(0);
  rig.settle_locally();
  CHECK_FALSE(rig.client().done(discard));
  rig.peer().reply(0);
  rig.settle_locally();
  CHECK(rig.client().ok(discard));
}

TEST_CASE("an error of the peer restarts the link; the write is acknowledged by this node alone") {
  PrimaryRig rig;
  rig.start_connected();
  warm(rig, 0);
  const auto id = rig.client().write(0, 4096, 1);
  rig.peer().take();
  rig.complete_data();
  rig.peer().reply(0, ENOSPC);
  CHECK(rig.host().drop_reasons.size() == 1);
  CHECK(rig.events().last(Event::Kind::peer_io_failed).error == ENOSPC);
  rig.settle();
  CHECK(rig.client().ok(id));
  CHECK(rig.metadata().localcnt == 1);  // INV-3
  CHECK(rig.map().test(0));
}

TEST_CASE("the mode may change while writes are on their way") {
  PrimaryRig rig(with(Replication::fullsync));
  rig.start_connected();
  warm(rig, 0);
  const auto id = rig.client().write(0, 4096, 1);
  rig.peer().take();
  CHECK_FALSE(rig.peer().arrived(0).memsync);
  rig.primary().set_replication(Replication::memsync);
  rig.complete_data();
  rig.settle_locally();
  CHECK_FALSE(rig.client().done(id));  // it never asked for the early reply
  rig.peer().reply(0);
  rig.settle_locally();
  CHECK(rig.client().ok(id));
}

TEST_CASE("an early reply that comes twice, or when it matters no more, answers nothing again") {
  PrimaryRig rig(with(Replication::memsync));
  rig.start_connected();
  warm(rig, 0);
  const auto id = rig.client().write(0, 4096, 1);
  rig.peer().take();
  REQUIRE(rig.peer().arrived(0).memsync);
  SECTION("twice") {
    rig.peer().send_received(0);
    rig.complete_data();
    rig.settle_locally();
    CHECK(rig.client().ok(id));
    rig.peer().send_received(0);
  }
  SECTION("after the mode has changed and this node has answered alone") {
    rig.primary().set_replication(Replication::async);
    rig.complete_data();
    rig.settle_locally();
    CHECK(rig.client().ok(id));
    rig.peer().send_received(0);
  }
  rig.settle_locally();
  CHECK(rig.client().order_of_answers().size() == 2);
  CHECK(rig.metadata().localcnt == 0);
  rig.disconnect();  // INV-3: the final reply never comes
  rig.settle();
  CHECK(rig.metadata().localcnt == 1);
}
