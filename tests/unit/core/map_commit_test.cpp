#include "hast/core/map_commit.hpp"

#include <cerrno>
#include <vector>

#include "support/catch.hpp"
#include "support/fake_disk.hpp"
#include "support/test_component.hpp"

using namespace hast;
using namespace hast::core;
using hast::test::ComponentShape;
using hast::test::DiskFault;
using hast::test::DiskMedia;
using hast::test::FakeDisk;

namespace {

struct Committed {
  Ticket ticket = 0;
  int error = 0;
};

/// A map commit over a disk in hand, with small extents so that the map has many pages.
struct Rig final : MapCommit::Observer {
  explicit Rig(std::uint64_t extents = 100'000, MapCommit::Flush flush = MapCommit::Flush::yes,
               std::uint32_t sector_bytes = 512) {
    shape.extents = extents;
    shape.extent_bytes = 4096;
    shape.sector_bytes = sector_bytes;
    // Only metadata and map are ever touched: no need for the data.
    media.emplace(shape.layout().data_offset, sector_bytes);
    disk.emplace(*media);
    component.disk = &*disk;
    component.layout = shape.layout();
    map.emplace(shape.data_bytes(), shape.extent_bytes, 64);
    commit.emplace(component, *map, flush, *this);
  }

  void map_committed(Ticket ticket, int error) override {
    ended.push_back({ticket, error});
    if (on_committed) on_committed();
  }
  bool is_stable(std::uint64_t extent) {
    const bool stable = map->begin_write({extent, extent}) == DirtyMap::Start::stable;
    map->end_write({extent, extent}, DirtyMap::Outcome::on_both);
    return stable;
  }
  Ticket mark(std::uint64_t extent) {
    map->begin_write({extent, extent});
    return commit->commit();
  }
  bool on_disk(std::uint64_t extent) const {
    return test::map_on(*media, shape, test::Layer::durable).test(extent);
  }

  ComponentShape shape;
  std::optional<DiskMedia> media;
  std::optional<FakeDisk> disk;
  Component component;
  std::optional<DirtyMap> map;
  std::optional<MapCommit> commit;
  std::vector<Committed> ended;
  std::function<void()> on_committed;
};

}  // namespace

TEST_CASE("INV-1: a commit writes the changed page durably, and only then reports") {
  Rig rig;
  const Ticket ticket = rig.mark(7);
  REQUIRE(rig.disk->held() == 1);
  CHECK(rig.disk->held(0).kind == IoKind::write);
  CHECK(rig.disk->held(0).offset_bytes == ondisk::kMapOffset);
  CHECK(rig.disk->held(0).length_bytes == DirtyMap::kPageBytes);
  CHECK(rig.disk->held(0).durable);
  CHECK(rig.ended.empty());
  rig.disk->complete();
  CHECK(rig.disk->held() == 0);
  REQUIRE(rig.ended.size() == 1);
  CHECK(rig.ended[0].ticket == ticket);
  CHECK(rig.ended[0].error == 0);
  CHECK(rig.on_disk(7));
  CHECK(rig.is_stable(7));
  CHECK(rig.commit->idle());
}

TEST_CASE("INV-1: several runs of pages share one flush, and only then the commit reports") {
  Rig rig;
  const std::uint64_t third_page = 2 * DirtyMap::kPageBytes * 8;
  rig.map->begin_write({7, 7});
  rig.mark(third_page);
  REQUIRE(rig.disk->held() == 2);
  CHECK_FALSE(rig.disk->held(0).durable);
  CHECK_FALSE(rig.disk->held(1).durable);
  rig.disk->complete();
  rig.disk->complete();
  CHECK(rig.ended.empty());
  CHECK_FALSE(rig.on_disk(7));
  REQUIRE(rig.disk->held() == 1);
  CHECK(rig.disk->held(0).kind == IoKind::flush);
  rig.disk->complete();
  CHECK(rig.ended.size() == 1);
  CHECK(rig.on_disk(7));
  CHECK(rig.is_stable(third_page));
  rig.mark(9);  // one run again
  CHECK(rig.disk->held(0).durable);
  rig.disk->run_all();
}

TEST_CASE("INV-1: without metaflush the write alone ends the commit") {
  Rig rig(1000, MapCommit::Flush::no);
  rig.mark(7);
  CHECK_FALSE(rig.disk->held(0).durable);
  rig.disk->run_all();
  CHECK(rig.ended.size() == 1);
  CHECK(rig.disk->logged(IoKind::flush) == 0);
  CHECK(rig.is_stable(7));
}

TEST_CASE("INV-1: a commit that is running does not cover bits marked after it began") {
  Rig rig;
  const Ticket first = rig.mark(1);
  const Ticket second = rig.mark(2);
  CHECK(second == first + 1);
  rig.disk->complete();
  REQUIRE(rig.ended.size() == 1);
  CHECK(rig.ended[0].ticket == first);
  CHECK(rig.is_stable(1));
  CHECK_FALSE(rig.is_stable(2));
  rig.disk->run_all();
  REQUIRE(rig.ended.size() == 2);
  CHECK(rig.ended[1].ticket == second);
  CHECK(rig.is_stable(2));
}

TEST_CASE("all who arrive while a commit runs share the next one") {
  Rig rig;
  rig.mark(1);
  const Ticket shared = rig.mark(2);
  for (std::uint64_t e = 3; e < 50; ++e) CHECK(rig.mark(e) == shared);
  rig.disk->run_all();
  CHECK(rig.ended.size() == 2);
  CHECK(rig.disk->logged(IoKind::write) == 2);
  CHECK(rig.disk->logged(IoKind::flush) == 0);
}

TEST_CASE("neighbouring changed pages are written at once, distant ones in parallel") {
  Rig rig(DirtyMap::kPageBytes * 8 * 200);
  const std::uint64_t per_page = DirtyMap::kPageBytes * 8;
  for (std::uint64_t page : {0, 1, 2, 10, 20})
    rig.map->begin_write({page * per_page, page * per_page});
  rig.commit->commit();
  REQUIRE(rig.disk->held() == 3);
  CHECK(rig.disk->held(0).length_bytes == 3 * DirtyMap::kPageBytes);
  CHECK(rig.disk->held(1).offset_bytes == ondisk::kMapOffset + 10 * DirtyMap::kPageBytes);
  rig.disk->complete(2);
  rig.disk->complete(0);
  CHECK(rig.disk->held() == 1);  // no flush before the last write
  rig.disk->run_all();
  for (std::uint64_t page : {0, 1, 2, 10, 20}) CHECK(rig.on_disk(page * per_page));
}

TEST_CASE("a map of many scattered pages is written through a bounded number of operations") {
  Rig rig(DirtyMap::kPageBytes * 8 * 200);
  const std::uint64_t per_page = DirtyMap::kPageBytes * 8;
  for (std::uint64_t page = 0; page < 200; page += 2)
    rig.map->begin_write({page * per_page, page * per_page});
  rig.commit->commit();
  CHECK(rig.disk->held() == 8);
  rig.disk->run_all();
  CHECK(rig.disk->logged(IoKind::write) == 100);
  CHECK(rig.disk->logged(IoKind::flush) == 1);
  for (std::uint64_t page = 0; page < 200; page += 2) CHECK(rig.on_disk(page * per_page));
}

TEST_CASE("a commit of an unchanged map still flushes: its caller wants stable storage") {
  Rig rig;
  rig.commit->commit();
  REQUIRE(rig.disk->held() == 1);
  CHECK(rig.disk->held(0).kind == IoKind::flush);
  rig.disk->complete();
  CHECK(rig.ended.size() == 1);
}

TEST_CASE("an original's map of one sector is written as one sector, data follow at once") {
  Rig rig(1000);
  CHECK(rig.shape.layout().map_bytes == 512);
  rig.mark(999);
  CHECK(rig.disk->held(0).length_bytes == 512);
  rig.disk->run_all();
  CHECK(rig.on_disk(999));
  CHECK(rig.is_stable(999));
}

TEST_CASE("INV-4: after a failed write nothing is stable, nothing is flushed, the page stays due") {
  Rig rig;
  rig.disk->fail({.kind = IoKind::write, .error = ENOSPC});
  rig.mark(7);
  rig.disk->run_all();
  REQUIRE(rig.ended.size() == 1);
  CHECK(rig.ended[0].error == ENOSPC);
  CHECK(rig.disk->logged(IoKind::flush) == 0);
  CHECK_FALSE(rig.is_stable(7));
  CHECK(rig.map->changed_pages().test(0));
  rig.commit->commit();  // the next one carries it
  rig.disk->run_all();
  CHECK(rig.ended.back().error == 0);
  CHECK(rig.on_disk(7));
}

TEST_CASE("INV-4: after a failed flush nothing is stable and the page stays due") {
  Rig rig;
  rig.disk->fail({.kind = IoKind::flush});
  rig.map->begin_write({2 * DirtyMap::kPageBytes * 8, 2 * DirtyMap::kPageBytes * 8});
  rig.mark(7);
  rig.disk->run_all();
  CHECK(rig.ended.at(0).error == EIO);
  CHECK_FALSE(rig.is_stable(7));
  CHECK(rig.map->changed_pages().test(0));
}

TEST_CASE("INV-4: one failed write among several fails the commit after the others ended") {
  Rig rig(DirtyMap::kPageBytes * 8 * 200);
  const std::uint64_t per_page = DirtyMap::kPageBytes * 8;
  rig.disk->fail({.kind = IoKind::write, .skip = 1});
  for (std::uint64_t page = 0; page < 40; page += 2)
    rig.map->begin_write({page * per_page, page * per_page});
  rig.commit->commit();
  rig.disk->run_all();
  REQUIRE(rig.ended.size() == 1);
  CHECK(rig.ended[0].error == EIO);
  CHECK(rig.disk->logged(IoKind::write) < 20);  // no new ones after the failure
  for (std::uint64_t page = 0; page < 40; page += 2) CHECK(rig.map->changed_pages().test(page));
}

TEST_CASE("INV-4: a failed commit does not fail the one that shares its page and follows") {
  Rig rig;
  rig.disk->fail({.kind = IoKind::write});
  const Ticket first = rig.mark(1);
  const Ticket second = rig.mark(2);
  rig.disk->run_all();
  REQUIRE(rig.ended.size() == 2);
  CHECK(rig.ended[0].ticket == first);
  CHECK(rig.ended[0].error != 0);
  CHECK(rig.ended[1].ticket == second);
  CHECK(rig.ended[1].error == 0);
  CHECK(rig.on_disk(1));  // carried along
  CHECK(rig.on_disk(2));
}

TEST_CASE("a component that cannot flush has nothing volatile: the commit succeeds") {
  Rig rig;
  rig.disk->fail({.kind = IoKind::flush, .error = EOPNOTSUPP});
  rig.map->begin_write({2 * DirtyMap::kPageBytes * 8, 2 * DirtyMap::kPageBytes * 8});
  rig.mark(7);
  rig.disk->run_all();
  CHECK(rig.ended.at(0).error == 0);
  CHECK(rig.is_stable(7));
}

TEST_CASE("who hears of a commit may ask for the next one at once") {
  Rig rig;
  rig.on_committed = [&rig] {
    if (rig.ended.size() == 1) rig.mark(9);
  };
  rig.mark(8);
  rig.disk->run_all();
  REQUIRE(rig.ended.size() == 2);
  CHECK(rig.ended[1].ticket == rig.ended[0].ticket + 1);
  CHECK(rig.on_disk(9));
}

TEST_CASE("INV-1: a bit cleaned and marked again during a commit becomes stable with the next") {
  Rig rig(1000);
  rig.mark(3);
  rig.disk->run_all();
  rig.map->end_write({3, 3}, DirtyMap::Outcome::on_both);
  rig.map->flush_proven(rig.map->begin_flush());
  rig.map->forget_hot_set();
  REQUIRE(rig.map->clean() == 1);
  rig.commit->commit();  // writes the bit's absence
  CHECK(rig.map->begin_write({3, 3}) == DirtyMap::Start::needs_commit);
  rig.commit->commit();
  rig.disk->complete();
  CHECK_FALSE(rig.on_disk(3));
  CHECK_FALSE(rig.is_stable(3));
  rig.disk->run_all();
  CHECK(rig.on_disk(3));
  CHECK(rig.is_stable(3));
}

TEST_CASE("a large map is written in pieces, so that no operation is without bound") {
  const std::uint64_t page = DirtyMap::kPageBytes;
  Rig rig(100 * page * 8);  // bits of a hundred pages
  for (std::uint64_t p = 0; p < 100; ++p) rig.map->begin_write({p * page * 8, p * page * 8});
  rig.commit->commit();
  REQUIRE(rig.disk->held() == 2);
  CHECK(rig.disk->held(0).length_bytes == 64 * page);
  CHECK(rig.disk->held(1).offset_bytes == rig.disk->held(0).offset_bytes + 64 * page);
  CHECK(rig.disk->held(1).length_bytes == 36 * page);
  rig.disk->run_all();
  CHECK(rig.on_disk(0));
  CHECK(rig.on_disk(99 * page * 8));
}

TEST_CASE("INV-4: a commit with several failed writes reports the first error, once") {
  const std::uint64_t page = DirtyMap::kPageBytes;
  Rig rig(100'000, MapCommit::Flush::yes);
  rig.map->begin_write({0, 0});
  rig.map->begin_write({2 * page * 8, 2 * page * 8});  // not the next page: another write
  rig.disk->fail({.kind = IoKind::write, .error = EIO});
  rig.disk->fail({.kind = IoKind::write, .skip = 1, .error = ENOSPC});
  rig.commit->commit();
  REQUIRE(rig.disk->held() == 2);
  rig.disk->run_all();
  REQUIRE(rig.ended.size() == 1);
  CHECK(rig.ended[0].error == EIO);
  CHECK_FALSE(rig.is_stable(0));
  CHECK_FALSE(rig.is_stable(2 * page * 8));
}
