#include "hast/core/metadata_writer.hpp"

#include <cerrno>
#include <vector>

#include "support/catch.hpp"
#include "support/fake_disk.hpp"
#include "support/test_component.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

struct Rig final : MetadataWriter::Observer {
  explicit Rig(bool second_copy = true)
      : shape(shape_with(second_copy)), media(formatted_media(shape)) {
    writer.emplace(open_component(disk, media, shape), *this);
  }
  static ComponentShape shape_with(bool second_copy) {
    ComponentShape shape;
    shape.extents = 1;
    shape.second_copy = second_copy;
    return shape;
  }
  void metadata_committed(Ticket ticket, int error) override {
    tickets.push_back(ticket);
    errors.push_back(error);
    if (takes_back && error != 0) {
      writer->change().localcnt = 0;
      writer->taken_back();
    }
    if (again) {
      again = false;
      ++writer->change().localcnt;
      writer->commit();
    }
  }
  Ticket count() {
    ++writer->change().localcnt;
    return writer->commit();
  }
  std::uint64_t localcnt_on_disk() const { return metadata_on(media, shape).value().localcnt; }

  ComponentShape shape;
  DiskMedia media;
  FakeDisk disk{media};
  std::optional<MetadataWriter> writer;
  std::vector<Ticket> tickets;
  std::vector<int> errors;
  bool again = false;
  bool takes_back = false;
};

std::vector<IoKind> kinds(const FakeDisk& disk) {
  std::vector<IoKind> seen;
  for (const DiskLogEntry& entry : disk.log()) seen.push_back(entry.kind);
  return seen;
}

}  // namespace

TEST_CASE("INV-10: copy one is written and flushed before copy two is touched") {
  Rig rig;
  rig.count();
  rig.disk.run_all();
  CHECK(kinds(rig.disk) == std::vector{IoKind::write, IoKind::flush, IoKind::write, IoKind::flush});
  CHECK(rig.disk.log()[0].offset_bytes == 0);
  CHECK(rig.disk.log()[2].offset_bytes == *rig.shape.layout().second_copy);
  CHECK(rig.tickets == std::vector<Ticket>{1});
  CHECK(rig.errors == std::vector<int>{0});
  CHECK(rig.localcnt_on_disk() == 1);
}

TEST_CASE("INV-10: a power loss at any moment leaves a readable copy, old or new") {
  for (int steps = 0; steps <= 4; ++steps) {
    for (std::size_t torn : {0u, 1u}) {  // of each unflushed sector: lost or on the platter
      Rig rig;
      rig.count();
      for (int i = 0; i < steps; ++i) rig.disk.complete();
      rig.disk.cut();
      rig.disk.run_all();
      // Every other sector makes it: a torn block.
      rig.media.power_loss([torn](std::uint64_t sector, std::size_t versions) {
        return (sector + torn) % 2 == 0 ? versions : std::size_t{0};
      });
      const Result<ondisk::Metadata> found = metadata_on(rig.media, rig.shape);
      INFO("after " << steps << " steps");
      REQUIRE(found);
      CHECK(found->localcnt <= 1);
      if (steps == 4) CHECK(found->localcnt == 1);
    }
  }
}

TEST_CASE("each commit carries a higher sequence") {
  Rig rig;
  const std::uint64_t before = metadata_on(rig.media, rig.shape).value().sequence;
  rig.count();
  rig.disk.run_all();
  rig.count();
  rig.disk.run_all();
  CHECK(metadata_on(rig.media, rig.shape).value().sequence == before + 2);
}

TEST_CASE("an original's component has one copy: written and flushed") {
  Rig rig(false);
  rig.count();
  rig.disk.run_all();
  CHECK(kinds(rig.disk) == std::vector{IoKind::write, IoKind::flush});
  CHECK(rig.localcnt_on_disk() == 1);
  CHECK(metadata_on(rig.media, rig.shape).value().sequence == 1);  // ours, guarded by a checksum
}

TEST_CASE("changes made while a commit runs share the next one") {
  Rig rig;
  const Ticket first = rig.count();
  const Ticket second = rig.count();
  CHECK(rig.count() == second);
  CHECK(second == first + 1);
  rig.disk.run_all();
  CHECK(rig.tickets == std::vector<Ticket>{first, second});
  CHECK(rig.localcnt_on_disk() == 3);
  CHECK(rig.disk.logged(IoKind::write) == 4);
}

TEST_CASE("INV-4: a failure of any step is reported with its error and ends the commit") {
  for (unsigned step = 0; step < 4; ++step) {
    Rig rig;
    const std::vector<DiskFault> faults{{.kind = IoKind::write, .skip = step / 2, .error = ENOSPC},
                                        {.kind = IoKind::flush, .skip = step / 2, .error = ENOSPC}};
    rig.disk.fail(faults[step % 2]);
    rig.count();
    rig.disk.run_all();
    INFO("step " << step);
    CHECK(rig.errors == std::vector<int>{ENOSPC});
    CHECK(rig.disk.log().size() == step + 1);
    CHECK(rig.writer->idle());
  }
}

TEST_CASE("INV-4: a failed commit does not fail the next") {
  Rig rig;
  rig.disk.fail({.kind = IoKind::write});
  rig.count();
  rig.count();
  rig.disk.run_all();
  CHECK(rig.errors == std::vector<int>{EIO, 0});
  CHECK(rig.localcnt_on_disk() == 2);
}

TEST_CASE("a component that cannot flush is written all the same") {
  Rig rig;
  rig.disk.fail({.kind = IoKind::flush, .times = DiskFault::kForever, .error = EOPNOTSUPP});
  rig.count();
  rig.disk.run_all();
  CHECK(rig.errors == std::vector<int>{0});
  CHECK(rig.disk.logged(IoKind::write) == 2);
}

TEST_CASE("the observer may change and commit again at once") {
  Rig rig;
  rig.again = true;
  rig.count();
  rig.disk.run_all();
  CHECK(rig.tickets == std::vector<Ticket>{1, 2});
  CHECK(rig.localcnt_on_disk() == 2);
}

TEST_CASE("INV-10: where the first copy alone is good, the second is made new before it") {
  Rig rig;
  Component component = open_component(rig.disk, rig.media, rig.shape);
  component.second_copy_stale = true;
  rig.writer.emplace(component, rig);
  rig.count();
  rig.disk.complete();
  REQUIRE(rig.disk.log().size() == 1);
  CHECK(rig.disk.log().back().offset_bytes == *rig.shape.layout().second_copy);
  rig.disk.run_all();
  rig.count();
  rig.disk.complete();
  CHECK(rig.disk.log().back().offset_bytes == 0);  // from now on as always
  rig.disk.run_all();
  CHECK(rig.errors == std::vector<int>{0, 0});
}

TEST_CASE("INV-10: after a failed commit the copy that is good is not touched first") {
  // The step of the first commit that fails, and how far the next one comes before the power goes.
  for (int failing = 0; failing < 4; ++failing) {
    for (int steps = 0; steps <= 4; ++steps) {
      for (std::size_t torn : {0u, 1u}) {
        Rig rig;
        rig.count();
        for (int i = 0; i < failing; ++i) rig.disk.complete();
        rig.disk.fail({});
        rig.disk.complete();
        REQUIRE(rig.errors == std::vector<int>{EIO});
        rig.count();
        for (int i = 0; i < steps; ++i) rig.disk.complete();
        rig.disk.cut();
        rig.disk.run_all();
        rig.media.power_loss([torn](std::uint64_t sector, std::size_t versions) {
          return sector % 2 == torn ? versions : 0;
        });
        INFO("step " << failing << " failed, then " << steps << " steps");
        CHECK(metadata_on(rig.media, rig.shape));
      }
    }
  }
}

TEST_CASE(
    "INV-4: fields that are taken back are so on the platter, too, when the next commit ends") {
  Rig rig;
  rig.takes_back = true;
  rig.count();
  rig.writer->commit();  // begins with the fields as they are when the first one has failed
  rig.disk.fail({});
  rig.disk.run_all();
  REQUIRE(rig.errors == std::vector<int>{EIO, 0, 0});
  CHECK(rig.writer->is_durable());
  CHECK(rig.localcnt_on_disk() == 0);
}

TEST_CASE("what was committed last is durable when it has ended well") {
  Rig rig;
  CHECK(rig.writer->is_durable());
  rig.count();
  CHECK_FALSE(rig.writer->is_durable());
  rig.disk.run_all();
  CHECK(rig.writer->is_durable());
  rig.disk.fail({});
  rig.count();
  rig.disk.run_all();
  CHECK_FALSE(rig.writer->is_durable());
  rig.writer->commit();
  rig.disk.run_all();
  CHECK(rig.writer->is_durable());
}
