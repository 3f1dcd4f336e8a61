#include "hast/core/outbox.hpp"

#include <cerrno>
#include <deque>
#include <set>
#include <vector>

#include "support/catch.hpp"

using namespace hast::core;

namespace {

struct Ops final : Outbox::Observer {
  explicit Ops(std::size_t count = 4) : list(count) {
    outbox.observe(*this);
    for (Op& op : list) {
      op.ops = this;
      op.owner = &op;
      op.completed = [](RemoteOp& done) {
        Op& mine = *static_cast<Op*>(done.owner);
        ++mine.completions;
        mine.last_error = done.error;
        mine.ops->order.push_back(static_cast<std::size_t>(&mine - &mine.ops->list[0]));
      };
      outbox.enroll(op);
    }
  }
  ~Ops() {
    if (outbox.connected()) outbox.disconnect();
  }
  void outbox_filled() override { ++fillings; }

  struct Op : RemoteOp {
    Ops* ops = nullptr;
    int completions = 0;
    int last_error = -1;
  };
  Outbox outbox;
  std::vector<Op> list;
  std::vector<std::size_t> order;
  int fillings = 0;

  void connect() {
    outbox.connect();
    outbox.release();
  }
};

}  // namespace

TEST_CASE("requests leave in the order they were sent, once each") {
  Ops ops;
  ops.connect();
  ops.outbox.send(ops.list[2]);
  ops.outbox.send(ops.list[0]);
  CHECK(ops.outbox.waiting() == 2);
  CHECK(ops.outbox.next() == &ops.list[2]);
  CHECK(ops.outbox.next() == &ops.list[0]);
  CHECK(ops.outbox.next() == nullptr);
  CHECK(ops.outbox.outstanding() == 2);
}

TEST_CASE("nothing leaves before release(): the first request proves that the map is merged") {
  Ops ops;
  ops.outbox.connect();
  ops.outbox.send(ops.list[0]);
  CHECK(ops.fillings == 0);
  CHECK_FALSE(ops.outbox.has_next());
  CHECK(ops.outbox.next() == nullptr);
  ops.outbox.release();
  CHECK(ops.fillings == 1);
  CHECK(ops.outbox.next() == &ops.list[0]);
}

TEST_CASE("a release of an empty outbox wakes nobody, each later request does") {
  Ops ops;
  ops.connect();
  CHECK(ops.fillings == 0);
  ops.outbox.send(ops.list[0]);
  ops.outbox.send(ops.list[1]);
  CHECK(ops.fillings >= 1);
}

TEST_CASE("weaknesses H3: sequence numbers are never 0 and never used twice, across links too") {
  Ops ops;
  std::set<std::uint64_t> seen;
  for (int link = 0; link < 3; ++link) {
    ops.connect();
    for (int round = 0; round < 50; ++round) {
      for (Ops::Op& op : ops.list) {
        ops.outbox.send(op);
        CHECK(op.seq != 0);
        CHECK(seen.insert(op.seq).second);
        ops.outbox.complete(*ops.outbox.next(), 0);
      }
    }
    ops.outbox.disconnect();
  }
}

TEST_CASE("a reply finds its request, in any order") {
  Ops ops;
  ops.connect();
  ops.outbox.send(ops.list[0]);
  ops.outbox.send(ops.list[1]);
  ops.outbox.next();
  ops.outbox.next();
  const std::uint64_t first = ops.list[0].seq;
  CHECK(ops.outbox.find(ops.list[1].seq) == &ops.list[1]);
  REQUIRE(ops.outbox.find(first) == &ops.list[0]);
  ops.outbox.complete(ops.list[0], EIO);
  CHECK(ops.list[0].last_error == EIO);
  CHECK(ops.outbox.find(first) == nullptr);  // a second reply is nobody's
  CHECK(ops.outbox.outstanding() == 1);
}

TEST_CASE("INV-9: a reply nobody waits for is found nowhere") {
  Ops ops;
  ops.connect();
  ops.outbox.send(ops.list[0]);
  const std::uint64_t unsent = ops.list[0].seq;
  CHECK(ops.outbox.find(unsent) == nullptr);  // not sent yet
  ops.outbox.next();
  for (std::uint64_t seq : {std::uint64_t{0}, std::uint64_t{1}, unsent + 1, unsent + 4096,
                            unsent - 4096, ~std::uint64_t{0}, std::uint64_t{4095}})
    CHECK(ops.outbox.find(seq) == nullptr);
  CHECK(ops.outbox.find(unsent) == &ops.list[0]);
}

TEST_CASE("INV-9: a late reply to a request of the former link is found nowhere") {
  Ops ops;
  ops.connect();
  ops.outbox.send(ops.list[0]);
  ops.outbox.next();
  const std::uint64_t old = ops.list[0].seq;
  ops.outbox.disconnect();
  ops.connect();
  ops.outbox.send(ops.list[0]);
  ops.outbox.next();
  CHECK(ops.outbox.find(old) == nullptr);
  CHECK(ops.outbox.find(ops.list[0].seq) == &ops.list[0]);
}

TEST_CASE("a lost link completes everything with ENOTCONN, what was sent first") {
  Ops ops;
  ops.connect();
  ops.outbox.send(ops.list[3]);
  ops.outbox.send(ops.list[1]);
  ops.outbox.next();
  ops.outbox.disconnect();
  CHECK(ops.order == std::vector<std::size_t>{3, 1});
  CHECK(ops.list[3].last_error == ENOTCONN);
  CHECK(ops.list[1].last_error == ENOTCONN);
  CHECK(ops.list[3].completions == 1);
  CHECK(ops.outbox.waiting() + ops.outbox.outstanding() == 0);
  CHECK_FALSE(ops.outbox.connected());
  CHECK_FALSE(ops.outbox.released());
}

TEST_CASE("an operation may be sent again from its own completion") {
  Ops ops(1);
  struct Again : RemoteOp {
    Outbox* outbox = nullptr;
    int left = 3;
  } again;
  again.outbox = &ops.outbox;
  again.owner = &again;
  again.completed = [](RemoteOp& op) {
    Again& mine = *static_cast<Again*>(op.owner);
    if (--mine.left > 0) mine.outbox->send(mine);
  };
  ops.outbox.enroll(again);
  ops.connect();
  ops.outbox.send(again);
  while (RemoteOp* op = ops.outbox.next()) ops.outbox.complete(*op, 0);
  CHECK(again.left == 0);
  CHECK(ops.outbox.outstanding() == 0);
}
