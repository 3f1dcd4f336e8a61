#include "hast/core/range_lock.hpp"

#include <deque>
#include <random>
#include <vector>

#include "support/catch.hpp"

using hast::core::RangeClaim;
using hast::core::RangeLock;
using Kind = RangeClaim::Kind;

namespace {

struct Claimant {
  RangeClaim claim;
  bool held = false;
  std::vector<int>* order = nullptr;
  int number = 0;
};

class Ranges {
 public:
  RangeLock lock;
  std::vector<int> granted;

  Claimant& make(std::uint64_t begin, std::uint64_t end, Kind kind = Kind::exclusive) {
    Claimant& made = claimants_.emplace_back();
    made.claim.begin = begin;
    made.claim.end = end;
    made.claim.kind = kind;
    made.claim.owner = &made;
    made.order = &granted;
    made.number = static_cast<int>(claimants_.size()) - 1;
    made.claim.granted = [](RangeClaim& claim) {
      Claimant& mine = *static_cast<Claimant*>(claim.owner);
      mine.held = true;
      mine.order->push_back(mine.number);
    };
    return made;
  }
  Claimant& acquire(std::uint64_t begin, std::uint64_t end, Kind kind = Kind::exclusive) {
    Claimant& made = make(begin, end, kind);
    made.held = lock.acquire(made.claim);
    return made;
  }
  void release(Claimant& claimant) {
    claimant.held = false;
    lock.release(claimant.claim);
  }
  std::deque<Claimant>& all() { return claimants_; }

 private:
  std::deque<Claimant> claimants_;
};

}  // namespace

TEST_CASE("ranges that do not overlap are held at once, neighbours included") {
  Ranges ranges;
  Claimant& a = ranges.acquire(0, 10);
  Claimant& b = ranges.acquire(10, 20);
  CHECK(a.held);
  CHECK(b.held);
  ranges.release(a);
  CHECK_FALSE(ranges.lock.empty());
  ranges.release(b);
  CHECK(ranges.lock.empty());
}

TEST_CASE("an overlapping exclusive claim waits and is granted by the release") {
  Ranges ranges;
  Claimant& a = ranges.acquire(0, 10);
  Claimant& b = ranges.acquire(9, 12);
  CHECK_FALSE(b.held);
  ranges.release(a);
  CHECK(b.held);
  ranges.release(b);
  CHECK(ranges.lock.empty());
}

TEST_CASE("shared claims overlap each other, but no exclusive one") {
  Ranges ranges;
  Claimant& a = ranges.acquire(0, 10, Kind::shared);
  Claimant& b = ranges.acquire(5, 15, Kind::shared);
  Claimant& w = ranges.acquire(5, 6);
  CHECK(a.held);
  CHECK(b.held);
  CHECK_FALSE(w.held);
  ranges.release(a);
  CHECK_FALSE(w.held);
  ranges.release(b);
  CHECK(w.held);
  ranges.release(w);
}

TEST_CASE("who waits is not overtaken by later claims of its range") {
  Ranges ranges;
  Claimant& small = ranges.acquire(0, 4);
  Claimant& large = ranges.acquire(0, 100);  // a resync range, say
  Claimant& later = ranges.acquire(50, 54);  // free now, but the large one came first
  CHECK_FALSE(large.held);
  CHECK_FALSE(later.held);
  ranges.release(small);
  CHECK(large.held);
  CHECK_FALSE(later.held);
  ranges.release(large);
  CHECK(later.held);
  ranges.release(later);
}

TEST_CASE("one release grants everything it frees, in the order of arrival") {
  Ranges ranges;
  Claimant& all = ranges.acquire(0, 100);
  Claimant& one = ranges.acquire(0, 10);
  Claimant& two = ranges.acquire(5, 20);
  Claimant& three = ranges.acquire(30, 40);
  ranges.release(all);
  CHECK(ranges.granted == std::vector<int>{one.number, three.number});
  CHECK_FALSE(two.held);
  ranges.release(one);
  CHECK(two.held);
  ranges.release(two);
  ranges.release(three);
}

TEST_CASE("a grant may release its claim at once and the next is granted") {
  Ranges ranges;
  Claimant& first = ranges.acquire(0, 10);
  struct Hasty {
    Ranges* ranges;
    RangeClaim claim;
    bool ran = false;
  } hasty{&ranges, {}, false};
  hasty.claim.begin = 0;
  hasty.claim.end = 10;
  hasty.claim.owner = &hasty;
  hasty.claim.granted = [](RangeClaim& claim) {
    Hasty& mine = *static_cast<Hasty*>(claim.owner);
    mine.ran = true;
    mine.ranges->lock.release(claim);
  };
  REQUIRE_FALSE(ranges.lock.acquire(hasty.claim));
  Claimant& last = ranges.acquire(0, 10);
  ranges.release(first);
  CHECK(hasty.ran);
  CHECK(last.held);
  ranges.release(last);
  CHECK(ranges.lock.empty());
}

TEST_CASE(
    "random claims: no two conflicting ones are ever held, overlapping ones keep their order") {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    Ranges ranges;
    for (int step = 0; step < 60; ++step) {
      const std::uint64_t begin = random() % 30;
      ranges.acquire(begin, begin + 1 + random() % 8,
                     random() % 3 == 0 ? Kind::shared : Kind::exclusive);
      if (random() % 2 == 0) {
        for (Claimant& held : ranges.all()) {
          if (!held.held || random() % 2 == 0) continue;
          ranges.release(held);
          held.claim.begin = held.claim.end = 1000;  // gone: conflicts with nobody
          break;
        }
      }
      for (Claimant& one : ranges.all()) {
        for (Claimant& other : ranges.all()) {
          if (one.number >= other.number || !one.claim.conflicts_with(other.claim)) continue;
          // Neither both at once, nor the later one first.
          REQUIRE_FALSE(other.held);
        }
      }
    }
    for (bool any = true; any;) {
      any = false;
      for (Claimant& held : ranges.all()) {
        if (!held.held) continue;
        ranges.release(held);
        any = true;
      }
    }
    REQUIRE(ranges.lock.empty());
  }
}
