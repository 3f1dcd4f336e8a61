#include "hast/adapter/disk_inline.hpp"

#ifdef __linux__
#include <linux/magic.h>
#include <sys/vfs.h>
#endif
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "hast/adapter/component_disk.hpp"
#include "opened_by.hpp"
#include "os_answers.hpp"
#include "support/catch.hpp"
#include "temp_dir.hpp"

namespace hast::adapter {
namespace {

using test::TempDir;

constexpr std::size_t kBlock = 4096;
constexpr std::uint64_t kSize = 64 * kBlock;

struct World {
  World() {
    auto component = Component::open(path);
    if (!component) FAIL(component.error().message());
    disk = std::make_unique<InlineDisk>(std::move(*component));
  }
  int run(IoKind kind, std::uint64_t block, int fill = 0) {
    std::memset(buffer.data(), fill, kBlock);
    op.kind = kind;
    op.offset_bytes = block * kBlock;
    op.length_bytes = kind == IoKind::flush ? 0 : kBlock;
    op.data = buffer.data();
    op.error = -1;
    port::completes_with<&World::completed>(op, this);
    disk->submit(op);
    disk->kick();
    return op.error;
  }
  void completed(port::DiskOp&) { ++completions; }
  bool holds(int value) const {
    return std::all_of(buffer.begin(), buffer.end(),
                       [value](std::byte byte) { return byte == std::byte(value); });
  }

  TempDir dir;
  std::string path = dir.make_file("data", kSize);
  std::unique_ptr<InlineDisk> disk;
  std::vector<std::byte> buffer = std::vector<std::byte>(kBlock);
  port::DiskOp op;
  int completions = 0;
};

}  // namespace

TEST_CASE("An inline operation completes in the kick that follows, never inside submit") {
  World world;
  world.op.kind = IoKind::write;
  world.op.length_bytes = kBlock;
  world.op.data = world.buffer.data();
  port::completes_with<&World::completed>(world.op, &world);
  world.disk->submit(world.op);
  CHECK(world.completions == 0);
  world.disk->kick();
  CHECK(world.completions == 1);
  world.disk->kick();
  CHECK(world.completions == 1);
}

TEST_CASE("Every kind of inline operation does its work") {
  World world;
  CHECK(world.run(IoKind::write, 3, 0x42) == 0);
  CHECK(world.run(IoKind::flush, 0) == 0);
  CHECK(world.run(IoKind::read, 3) == 0);
  CHECK(world.holds(0x42));
  CHECK(world.run(IoKind::write_zeroes, 3) == 0);
  CHECK(world.run(IoKind::read, 3, 0x17) == 0);
  CHECK(world.holds(0));
  CHECK(world.run(IoKind::write, 4, 0x43) == 0);
  CHECK(world.run(IoKind::discard, 4) == test::kFileDiscard);
  CHECK(world.run(IoKind::read, 4, 0x17) == 0);
  CHECK(world.holds(test::kFileDiscard == 0 ? 0 : 0x43));
  CHECK(world.run(IoKind::write, kSize / kBlock) == EINVAL);
}

TEST_CASE("What an inline completion submits runs in the next turn, so none can keep the loop") {
  World world;
  struct Again {
    void completed(port::DiskOp& op) {
      ++completions;
      if (completions < 3) world->disk->submit(op);
    }
    World* world;
    int completions = 0;
  } again{&world};
  world.op.kind = IoKind::flush;
  port::completes_with<&Again::completed>(world.op, &again);
  world.disk->submit(world.op);
  for (int turn = 1; turn <= 3; ++turn) {
    world.disk->kick();
    CHECK(again.completions == turn);
  }
}

TEST_CASE("The last inline completion may destroy the disk") {
  World world;
  struct Last {
    void completed(port::DiskOp&) { world->disk.reset(); }
    World* world;
  } last{&world};
  world.op.kind = IoKind::flush;
  port::completes_with<&Last::completed>(world.op, &last);
  world.disk->submit(world.op);
  world.disk->kick();
  CHECK(world.disk == nullptr);
  CHECK(Component::open(world.path));  // the lock went with it
}

#ifdef __linux__
TEST_CASE("A file in memory gets inline calls, one on a disk does not") {
  const std::string path = "/dev/shm/hast-inline-test." + std::to_string(::getpid());
  boost::asio::io_context io;
  ComponentDiskOpener opener(io.get_executor());
  std::filesystem::remove(path);
  { std::ofstream(path).put('x'); }
  std::filesystem::resize_file(path, kSize);
  {
    const auto disk = test::opened_by(opener, io, path);
    REQUIRE(disk);
    CHECK(dynamic_cast<InlineDisk*>(disk->get()) != nullptr);
  }
  std::filesystem::remove(path);
  const TempDir dir;
  const std::string elsewhere = dir.make_file("data", kSize);
  const auto component = Component::open(elsewhere);
  REQUIRE(component);
  struct statfs status {};
  REQUIRE(::statfs(elsewhere.c_str(), &status) == 0);
  CHECK(InlineDisk::suits(**component) == (status.f_type == TMPFS_MAGIC));
}
#endif

}  // namespace hast::adapter
