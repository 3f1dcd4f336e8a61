#include "hast/core/dirty_map.hpp"

#include <vector>

#include "support/catch.hpp"

using hast::Bitmap;
using hast::core::DirtyMap;
using Start = DirtyMap::Start;
using Outcome = DirtyMap::Outcome;

namespace {

constexpr std::uint32_t kExtent = 1024;

/// Ten extents of 1 KiB; helpers do what MapCommit and the engine would.
struct Map : DirtyMap {
  explicit Map(std::uint32_t keepdirty = 2, std::uint64_t extents = 10)
      : DirtyMap(extents * kExtent, kExtent, keepdirty) {}

  void make_stable() {
    std::vector<std::byte> page(kPageBytes);
    for (std::uint64_t p = 0; p < changed_pages().size(); ++p) {
      export_image(p * kPageBytes, page);
      page_stable(p, page);
    }
    changed_pages().reset_all();
  }
  void write(std::uint64_t extent, Outcome outcome = Outcome::on_both) {
    begin_write({extent, extent});
    make_stable();
    end_write({extent, extent}, outcome);
  }
  void flush() { flush_proven(begin_flush()); }
  /// A new hot set, so that the extents of interest are no longer in it.
  void cool() { forget_hot_set(); }
};

std::vector<std::uint64_t> bits(const Bitmap& map) {
  std::vector<std::uint64_t> set;
  for (std::uint64_t e = map.find_next(0); e != Bitmap::npos; e = map.find_next(e + 1))
    set.push_back(e);
  return set;
}
using Extents = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("a byte range touches the extents of its first and last byte") {
  const Map map;
  const auto one = map.extents_of(0, kExtent);
  CHECK(one.first == 0);
  CHECK(one.last == 0);
  const auto two = map.extents_of(kExtent - 1, 2);
  CHECK(two.first == 0);
  CHECK(two.last == 1);
}

TEST_CASE("INV-1: a write to a new extent needs a commit until its bit is stable") {
  Map map;
  CHECK(map.begin_write({3, 3}) == Start::needs_commit);
  CHECK(map.begin_write({3, 3}) == Start::needs_commit);  // still not on disk
  map.make_stable();
  CHECK(map.begin_write({3, 3}) == Start::stable);
  CHECK(map.begin_write({3, 4}) == Start::needs_commit);  // one of two is new
  CHECK(bits(map.image()) == Extents{3, 4});
}

TEST_CASE("INV-1: a bit marked after the page was copied is not stable when the write ends") {
  Map map;
  map.begin_write({1, 1});
  std::vector<std::byte> page(DirtyMap::kPageBytes);
  map.export_image(0, page);
  map.begin_write({2, 2});  // while the page is on its way
  map.page_stable(0, page);
  CHECK(map.begin_write({1, 1}) == Start::stable);
  CHECK(map.begin_write({2, 2}) == Start::needs_commit);
}

TEST_CASE("INV-1: a bit that was cleaned has to be made stable again") {
  Map map;
  map.write(5);
  map.flush();
  map.cool();
  REQUIRE(map.clean() == 1);
  CHECK(map.begin_write({5, 5}) == Start::needs_commit);
}

TEST_CASE("INV-1: bits found on disk are stable and need a resync") {
  Map map;
  const std::vector<std::byte> image{std::byte{0b10000010}, std::byte{0xff}};
  map.load(image);
  CHECK(bits(map.unsynced()) == Extents{1, 7, 8, 9});  // surplus bits are nobody's
  CHECK(map.dirty_extents() == 4);
  CHECK_FALSE(map.changed_pages().any());
  CHECK(map.begin_write({7, 7}) == Start::stable);
  CHECK(map.begin_write({6, 6}) == Start::needs_commit);
}

TEST_CASE("marking changes its page once, and only when a bit changes") {
  Map map(2, 100'000);  // four pages of bits
  map.begin_write({40'000, 40'000});
  CHECK(bits(map.changed_pages()) == Extents{1});
  map.changed_pages().reset_all();
  map.begin_write({40'000, 40'000});
  CHECK_FALSE(map.changed_pages().any());
}

TEST_CASE("INV-2: a finished write is not clean before a flush that began after its last reply") {
  Map map;
  map.begin_write({4, 4});
  const auto before = map.begin_flush();  // began while the write was in flight
  map.end_write({4, 4}, Outcome::on_both);
  map.cool();
  map.flush_proven(before);
  CHECK(map.clean() == 0);
  map.flush();
  CHECK(map.clean() == 1);
  CHECK_FALSE(map.image().any());
}

TEST_CASE("INV-2: a flush that ends late proves nothing about writes that ended while it ran") {
  Map map;
  map.write(1);
  const auto running = map.begin_flush();
  map.write(2);
  map.cool();
  map.flush_proven(running);
  CHECK(map.clean() == 1);
  CHECK(bits(map.image()) == Extents{2});
}

TEST_CASE("INV-2: flushes may end in any order; the later proof holds for earlier writes") {
  Map map;
  map.write(1);
  const auto first = map.begin_flush();
  map.write(2);
  const auto second = map.begin_flush();
  map.cool();
  map.flush_proven(second);
  map.flush_proven(first);  // must not take anything back
  CHECK(map.clean() == 2);
}

TEST_CASE("INV-2: an extent with another write in flight is not cleaned") {
  Map map;
  map.begin_write({4, 4});
  map.begin_write({4, 4});
  map.end_write({4, 4}, Outcome::on_both);
  map.flush();
  map.cool();
  CHECK(map.clean() == 0);
  map.end_write({4, 4}, Outcome::on_both);
  map.flush();
  CHECK(map.clean() == 1);
}

TEST_CASE("INV-2: success on one side alone needs a resync and is never cleaned by flushes") {
  Map map;
  map.write(6, Outcome::on_one);
  map.cool();
  map.flush();
  CHECK(map.clean() == 0);
  CHECK(bits(map.unsynced()) == Extents{6});
  CHECK(map.dirty_extents() == 1);
}

TEST_CASE("INV-2: a resynced extent is clean only after a flush that began after the copy") {
  Map map;
  map.need_sync({6, 6});
  const auto before = map.begin_flush();
  map.synced(6);
  map.flush_proven(before);
  CHECK(map.clean() == 0);
  map.flush();
  CHECK(map.clean() == 1);
}

TEST_CASE("INV-2: the hot set stays, in order of use, and never grows") {
  Map map(2);
  map.write(1);
  map.write(2);
  map.write(1);  // 2 is the coldest now
  map.write(3);
  map.flush();
  CHECK(map.clean() == 1);
  CHECK(bits(map.image()) == Extents{1, 3});
}

TEST_CASE("a hot set of one works: the original dies of it (weaknesses 17)") {
  Map map(1);
  for (std::uint64_t e : {1, 2, 2, 3}) map.write(e);
  map.flush();
  CHECK(map.clean() == 2);
  CHECK(bits(map.image()) == Extents{3});
}

TEST_CASE("a hot set of zero counts as one") {
  Map map(0);
  map.write(1);
  map.write(2);
  map.flush();
  map.clean();
  CHECK(bits(map.image()) == Extents{2});
}

TEST_CASE("a hot set larger than the map holds every extent") {
  Map map(1000);
  for (std::uint64_t e = 0; e < 10; ++e) map.write(e);
  map.flush();
  CHECK(map.clean() == 0);
  map.forget_hot_set();
  CHECK(map.clean() == 10);
}

TEST_CASE("after the hot set was forgotten it works as before") {
  Map map(2);
  for (std::uint64_t e : {1, 2, 3}) map.write(e);
  map.forget_hot_set();
  for (std::uint64_t e : {4, 5, 6}) map.write(e);
  map.flush();
  CHECK(map.clean() == 4);
  CHECK(bits(map.image()) == Extents{5, 6});
}

TEST_CASE("INV-2: when the peer is lost, all that is not proven needs a resync") {
  Map map(10);
  map.write(1);
  map.flush();              // 1 is proven, and stays in the map only because it is hot
  map.write(2);             // replied, but never flushed: the peer's power loss would drop it
  map.begin_write({3, 3});  // in flight
  map.peer_lost();
  CHECK(bits(map.unsynced()) == Extents{2, 3});
  CHECK(bits(map.image()) == Extents{1, 2, 3});
  map.end_write({3, 3}, Outcome::on_one);
}

TEST_CASE("INV-2: a proof from before the peer was lost does not hold for later writes") {
  Map map(10);
  map.write(1);
  map.flush();
  map.write(1);
  map.peer_lost();
  CHECK(bits(map.unsynced()) == Extents{1});
}

TEST_CASE("the peer's map is merged: its bits need a resync, surplus ones do not exist") {
  Map map;
  map.write(0);
  const std::vector<std::byte> peer{std::byte{0b00000110}, std::byte{0b11111100}, std::byte{0xff}};
  map.need_sync_bits(peer);
  CHECK(bits(map.unsynced()) == Extents{1, 2});
  CHECK(bits(map.image()) == Extents{0, 1, 2});
  map.need_sync_bits({});  // no map at all
  CHECK(bits(map.unsynced()) == Extents{1, 2});
}

TEST_CASE("dirty extents count writes in flight and resyncs, each extent once") {
  Map map;
  map.begin_write({1, 2});
  CHECK(map.dirty_extents() == 2);
  map.begin_write({2, 3});
  map.need_sync({3, 3});
  CHECK(map.dirty_extents() == 3);
  map.end_write({1, 2}, Outcome::on_both);
  CHECK(map.dirty_extents() == 2);
  map.end_write({2, 3}, Outcome::on_both);
  CHECK(map.dirty_extents() == 1);
  map.synced(3);
  CHECK(map.dirty_extents() == 0);
  map.synced(3);  // once more changes nothing
  CHECK(map.dirty_extents() == 0);
}

TEST_CASE("a write that ends on one side while a resync is pending is counted once") {
  Map map;
  map.begin_write({1, 1});
  map.need_sync({1, 1});
  map.end_write({1, 1}, Outcome::on_one);
  CHECK(map.dirty_extents() == 1);
  map.synced(1);
  CHECK(map.dirty_extents() == 0);
}

TEST_CASE("cleaning is worth a flush only when something is neither hot nor waiting for a resync") {
  Map map(1);
  map.write(1);
  map.need_sync({5, 5});
  for (int tick = 0; tick < 20; ++tick) {
    map.age();
    CHECK_FALSE(map.is_cleaning_due());
  }
}

TEST_CASE("cleaning waits for ten ticks, so that what is written everywhere stays marked") {
  Map map(2);
  for (std::uint64_t e : {1, 2, 3}) map.write(e);  // 1 is no longer hot
  for (int tick = 0; tick < 10; ++tick) {
    CHECK_FALSE(map.is_cleaning_due());
    map.age();
  }
  CHECK(map.is_cleaning_due());
  map.flush();
  CHECK(map.clean() == 1);
  CHECK_FALSE(map.is_cleaning_due());
  map.write(4);
  map.age();
  CHECK_FALSE(map.is_cleaning_due());  // it counts anew
}

TEST_CASE("cleaning does not wait when there is more to clean than the hot set holds") {
  Map map(2);
  for (std::uint64_t e : {1, 2, 3, 4}) map.write(e);
  CHECK_FALSE(map.is_cleaning_due());
  map.write(5);
  CHECK(map.is_cleaning_due());
}

TEST_CASE("the last extent may be short") {
  const DirtyMap map(3 * kExtent + 512, kExtent, 1);
  CHECK(map.extents() == 4);
  CHECK(map.extents_of(3 * kExtent, 512).last == 3);
}

namespace {

/// Written, flushed on both, proven: cleaned unless hot.
void write_and_clean(DirtyMap& map, std::uint64_t extent) {
  (void)map.begin_write({extent, extent});
  map.end_write({extent, extent}, DirtyMap::Outcome::on_both);
  map.flush_proven(map.begin_flush());
  map.clean();
}

std::uint64_t marked(const DirtyMap& map) { return map.image().count(); }

}  // namespace

TEST_CASE("the hot set grows with a working set that is larger, and no further than its bound") {
  DirtyMap map(1000 * 4096, 4096, 2);
  for (int round = 0; round < 100; ++round) {
    for (std::uint64_t e = 0; e < 10; ++e) write_and_clean(map, e);
    map.age();
  }
  CHECK(map.hot_limit() >= 10);
  CHECK(map.hot_limit() <= 2 * DirtyMap::kHotGrowth);
  CHECK(marked(map) == 10);  // none of them is cleaned any more
  for (int round = 0; round < 100; ++round) {
    for (std::uint64_t e = 0; e < 500; ++e) write_and_clean(map, e);
    map.age();
  }
  CHECK(map.hot_limit() == 2 * DirtyMap::kHotGrowth);
  CHECK(marked(map) == 2 * DirtyMap::kHotGrowth);
}

TEST_CASE("the hot set shrinks to what was asked for when the working set does") {
  DirtyMap map(1000 * 4096, 4096, 2);
  for (int round = 0; round < 20; ++round) {
    for (std::uint64_t e = 0; e < 30; ++e) write_and_clean(map, e);
    map.age();
  }
  REQUIRE(map.hot_limit() > 20);
  for (int tick = 0; tick < 2000; ++tick) {
    map.age();
    if (tick % 10 == 0) write_and_clean(map, 29);
  }
  CHECK(map.hot_limit() == 2);
  CHECK(marked(map) == 2);
  CHECK(map.image().test(29));
}

TEST_CASE("extents that are written once do not make the hot set grow") {
  DirtyMap map(1000 * 4096, 4096, 2);
  for (std::uint64_t e = 0; e < 900; ++e) {
    write_and_clean(map, e);
    map.age();
  }
  CHECK(map.hot_limit() == 2);
}
