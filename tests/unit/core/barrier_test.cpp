#include "hast/core/barrier.hpp"

#include <cerrno>
#include <optional>

#include "support/catch.hpp"
#include "support/fake_disk.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

struct Rig final : Outbox::Observer {
  Rig() {
    outbox.observe(*this);
    outbox.connect();
    outbox.release();
    map.begin_write({0, 0});
    map.end_write({0, 0}, DirtyMap::Outcome::on_both);
    map.forget_hot_set();
  }
  ~Rig() {
    if (outbox.connected()) outbox.disconnect();
    disk.run_all();
  }
  void outbox_filled() override {}
  void run() {
    barrier.run([this](int local, int remote) {
      ++ended;
      local_error = local;
      remote_error = remote;
    });
  }
  void reply(int error = 0) { outbox.complete(*outbox.next(), error); }
  bool proven() { return map.clean() == 1; }

  DiskMedia media{4096};
  FakeDisk disk{media};
  Outbox outbox;
  DirtyMap map{4096, 1024, 1};
  int flush_lost = 0;
  Barrier barrier{disk, outbox, map, flush_lost};
  int ended = 0;
  int local_error = -1;
  int remote_error = -1;
};

}  // namespace

TEST_CASE("INV-2: a barrier proves only when both nodes flushed, in either order") {
  for (bool local_first : {true, false}) {
    Rig rig;
    rig.run();
    CHECK_FALSE(rig.barrier.idle());
    local_first ? rig.disk.complete() : rig.reply();
    CHECK(rig.ended == 0);
    CHECK_FALSE(rig.proven());
    local_first ? rig.reply() : rig.disk.complete();
    CHECK(rig.ended == 1);
    CHECK(rig.local_error == 0);
    CHECK(rig.remote_error == 0);
    CHECK(rig.proven());
    CHECK(rig.barrier.idle());
  }
}

TEST_CASE("INV-2: a flush that failed on one side proves nothing") {
  Rig local;
  local.disk.fail({.kind = IoKind::flush});
  local.run();
  local.reply();
  local.disk.complete();
  CHECK(local.local_error == EIO);
  CHECK(local.remote_error == 0);
  CHECK_FALSE(local.proven());

  Rig remote;
  remote.run();
  remote.reply(EIO);
  remote.disk.complete();
  CHECK(remote.local_error == 0);
  CHECK(remote.remote_error == EIO);
  CHECK_FALSE(remote.proven());
}

TEST_CASE("INV-2: a flush after one that failed proves nothing of this node") {
  Rig rig;
  rig.flush_lost = EIO;
  rig.run();
  rig.reply();
  rig.disk.complete();
  CHECK(rig.local_error == EIO);
  CHECK(rig.remote_error == 0);
  CHECK_FALSE(rig.proven());
}

TEST_CASE("INV-2: a link lost during the barrier proves nothing") {
  Rig rig;
  rig.run();
  rig.disk.complete();
  rig.outbox.disconnect();
  CHECK(rig.ended == 1);
  CHECK(rig.remote_error == ENOTCONN);
  CHECK_FALSE(rig.proven());
}

TEST_CASE("INV-2: a write that ends while the barrier runs is not proven by it") {
  Rig rig;
  rig.run();
  rig.map.begin_write({0, 0});
  rig.map.end_write({0, 0}, DirtyMap::Outcome::on_both);
  rig.map.forget_hot_set();
  rig.disk.complete();
  rig.reply();
  CHECK(rig.ended == 1);
  CHECK_FALSE(rig.proven());
}

TEST_CASE("nodes that cannot flush have nothing volatile: that proves") {
  Rig rig;
  rig.disk.fail({.kind = IoKind::flush, .error = EOPNOTSUPP});
  rig.run();
  rig.disk.complete();
  rig.reply(EOPNOTSUPP);
  CHECK(rig.local_error == 0);
  CHECK(rig.remote_error == 0);
  CHECK(rig.proven());
}

TEST_CASE("a barrier may be started from the end of the former one") {
  Rig rig;
  int ended = 0;
  rig.barrier.run([&](int, int) {
    ++ended;
    rig.barrier.run([&](int, int) { ++ended; });
  });
  rig.disk.complete();
  rig.reply();
  CHECK(ended == 1);
  rig.disk.complete();
  rig.reply();
  CHECK(ended == 2);
  CHECK(rig.barrier.idle());
}

TEST_CASE("flush_result: a missing flush is no error, any other error is") {
  CHECK(port::flush_result(0) == 0);
  CHECK(port::flush_result(EOPNOTSUPP) == 0);
  CHECK(port::flush_result(EIO) == EIO);
  CHECK(port::flush_result(ENOTCONN) == ENOTCONN);
}
