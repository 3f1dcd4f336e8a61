#include "hast/adapter/disk_pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "hast/adapter/component_disk.hpp"
#include "hast/adapter/disk_uring.hpp"
#include "hast/base/error.hpp"
#include "opened_by.hpp"
#include "os_answers.hpp"
#include "support/catch.hpp"
#include "temp_dir.hpp"

// Every allocation of this program is counted, for the test that wants none. Sanitizers bring their
// own operator new, whose checks are worth more than the count.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAST_TEST_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAST_TEST_SANITIZED
#endif
#endif
#ifndef HAST_TEST_SANITIZED
namespace {
std::atomic<std::uint64_t> allocations{0};
}

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
// Inlined, g++ would take the free() for a mismatch of the new that it knows.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace hast::adapter {
namespace {

namespace asio = boost::asio;
using test::TempDir;

constexpr std::size_t kBlock = 4096;
constexpr std::uint64_t kSize = 1024 * kBlock;

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<std::byte, FreeMemory>;

Buffer make_buffer(int fill) {
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(port::kBufferAlignment, kBlock));
  std::memset(memory, fill, kBlock);
  return Buffer(memory);
}

// One operation with its buffer, that counts its completions and who ran them.
struct TestOp {
  TestOp() {
    op.data = buffer.get();
    port::completes_with<&TestOp::completed>(op, this);
  }
  void completed(port::DiskOp&) {
    ++completions;
    place = ++ended;
    thread = std::this_thread::get_id();
  }
  void submit_to(port::Disk& disk, IoKind kind, std::uint64_t block = 0) {
    op.kind = kind;
    op.offset_bytes = block * kBlock;
    op.length_bytes = kind == IoKind::flush ? 0 : kBlock;
    op.error = -1;
    disk.submit(op);
  }
  void fill(int value) { std::memset(buffer.get(), value, kBlock); }
  bool holds(int value) const {
    const Buffer expected = make_buffer(value);
    return std::memcmp(buffer.get(), expected.get(), kBlock) == 0;
  }

  Buffer buffer = make_buffer(0);
  port::DiskOp op;
  int completions = 0;
  static inline int ended = 0;  // of all
  int place = 0;                // among those
  std::thread::id thread;
};

enum class Way : std::uint8_t { pool, ring, direct_ring };

/// The disks behave alike: most tests run on each of them.
Way any_way() { return GENERATE(Way::pool, Way::ring, Way::direct_ring); }

struct World {
  explicit World(Way chosen = Way::pool,
                 const std::filesystem::path& base = std::filesystem::temp_directory_path())
      : way(chosen), dir(base) {
    disk = open(io.get_executor());
  }
  std::unique_ptr<port::Disk> open(DiskPool::Executor executor) {
    ComponentOptions options;
    if (way == Way::direct_ring) options.io = IoMode::direct;
    auto component = Component::open(path, options);
    if (!component) FAIL(component.error().message());
    auto pool = DiskPool::start(std::move(*component), executor, 4);
    if (!pool) FAIL(pool.error().message());
    if (way == Way::pool) return std::move(*pool);
    auto ring = UringDisk::start(*pool, executor);
    if (ring) return std::move(*ring);
    WARN("io_uring cannot be used here: " << errno_text(ring.error().os_error));
    return std::move(*pool);
  }
  // Runs the loop until the operation completed, and ends every turn with a kick.
  void finish(TestOp& awaited) {
    const int before = awaited.completions;
    disk->kick();
    while (awaited.completions == before) {
      if (io.run_one_for(std::chrono::seconds(20)) == 0) FAIL("the operation never completed");
      disk->kick();
    }
  }
  int run(TestOp& op, IoKind kind, std::uint64_t block = 0) {
    op.submit_to(*disk, kind, block);
    finish(op);
    return op.op.error;
  }

  Way way;
  TempDir dir;
  std::string path = dir.make_file("data", kSize);
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(io);
  std::unique_ptr<port::Disk> disk;
};

}  // namespace

TEST_CASE("A disk that cannot be opened says why") {
  const TempDir dir;
  asio::io_context io;
  ComponentDiskOpener opener(io.get_executor());
  const auto opened = test::opened_by(opener, io, dir.file("missing"));
  REQUIRE(!opened);
  CHECK(opened.error().code == Errc::component_not_found);
  const std::string path = dir.make_file("data", kSize);
  const auto first = test::opened_by(opener, io, path);
  REQUIRE(first);
  CHECK((*first)->geometry().size_bytes == kSize);
  const auto second = test::opened_by(opener, io, path);
  REQUIRE(!second);
  CHECK(second.error().code == Errc::component_busy);
}

TEST_CASE("A disk that is closed aside is closed, and free for others, when that is told") {
  const TempDir dir;
  asio::io_context io;
  DiskOptions options;
  options.closes_aside = true;
  ComponentDiskOpener opener(io.get_executor(), options);
  const std::string path = dir.make_file("data", kSize);
  int told = 0;
  opener.when_closed([&] { ++told; });
  CHECK(told == 1);  // nothing was ever open
  for (int round = 0; round < 50; ++round) {
    auto disk = test::opened_by(opener, io, path);
    REQUIRE(disk);
    disk->reset();
    bool closed = false;
    opener.when_closed([&] { closed = true; });
    CHECK_FALSE(closed);
    test::run_until(io, [&] { return closed; });
    CHECK(Component::open(path));
  }
}

TEST_CASE("An operation completes once, on the owner's executor, never inside submit") {
  World world;
  TestOp op;
  op.fill(0x11);
  op.submit_to(*world.disk, IoKind::write);
  world.disk->kick();
  ::usleep(20'000);  // long enough for the pool to have finished
  CHECK(op.completions == 0);
  world.finish(op);
  CHECK(op.completions == 1);
  CHECK(op.thread == std::this_thread::get_id());
  CHECK(op.op.error == 0);
  CHECK(world.io.poll() == 0);
}

TEST_CASE("Submissions wait for the kick that ends the turn") {
  World world(any_way());
  TestOp op;
  op.fill(0x77);
  op.submit_to(*world.disk, IoKind::write);
  ::usleep(20'000);
  CHECK(test::read_text(world.path).find('\x77') == std::string::npos);
  world.finish(op);
  CHECK(test::read_text(world.path).find('\x77') == 0);
}

TEST_CASE("Every kind of operation does its work") {
  World world(any_way());
  TestOp op;
  op.fill(0x42);
  CHECK(world.run(op, IoKind::write, 3) == 0);
  CHECK(world.run(op, IoKind::flush) == 0);
  op.fill(0);
  CHECK(world.run(op, IoKind::read, 3) == 0);
  CHECK(op.holds(0x42));
  CHECK(world.run(op, IoKind::discard, 3) == test::kFileDiscard);
  CHECK(world.run(op, IoKind::read, 3) == 0);
  CHECK(op.holds(test::kFileDiscard == 0 ? 0 : 0x42));
  op.fill(0x43);
  CHECK(world.run(op, IoKind::write, 3) == 0);
  CHECK(world.run(op, IoKind::write_zeroes, 3) == 0);
  CHECK(world.run(op, IoKind::read, 3) == 0);
  CHECK(op.holds(0));
}

TEST_CASE("Errors reach the operation they belong to") {
  World world(any_way());
  TestOp op;
  CHECK(world.run(op, IoKind::write, kSize / kBlock) == EINVAL);
  std::filesystem::resize_file(world.path, 3 * kBlock / 2);
  CHECK(world.run(op, IoKind::read, 1) == EIO);
  CHECK(world.run(op, IoKind::read, 2) == EIO);
  CHECK(world.run(op, IoKind::read, 0) == 0);
}

TEST_CASE("Many operations at once all complete with their own bytes") {
  World world(any_way());
  constexpr std::size_t kDepth = 32;
  std::vector<TestOp> ops(kDepth);
  std::vector<std::uint8_t> expected(kSize / kBlock, 0);
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    // Each round writes distinct blocks, flushes in between, then reads some of them back.
    for (std::size_t i = 0; i + 4 < kDepth; ++i) {
      const std::size_t block = i * 32 + random() % 32;
      expected[block] = static_cast<std::uint8_t>(random());
      ops[i].fill(expected[block]);
      ops[i].submit_to(*world.disk, IoKind::write, block);
    }
    for (std::size_t i = kDepth - 4; i < kDepth; ++i) ops[i].submit_to(*world.disk, IoKind::flush);
    for (TestOp& op : ops)
      if (op.completions == round) world.finish(op);
    for (const TestOp& op : ops) {
      REQUIRE(op.completions == round + 1);
      REQUIRE(op.op.error == 0);
    }
  }
  TestOp reader;
  for (std::size_t block = 0; block < expected.size(); ++block) {
    REQUIRE(world.run(reader, IoKind::read, block) == 0);
    REQUIRE(reader.holds(expected[block]));
  }
}

// Those the kernel made of this process, to wait behind a ring for what would have to.
std::size_t kernel_threads() {
  std::size_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream comm(task.path() / "comm");
    std::string name;
    if (comm >> name && name.starts_with("iou-wrk")) ++count;
  }
  return count;
}

// tmpfs is such a one, where it can be used past the page cache at all (Linux 6.6), and FUSE.
TEST_CASE("A file system that always waits is left to the threads") {
  if (!std::filesystem::is_directory("/dev/shm")) return;
  const std::size_t before = kernel_threads();
  World world(Way::direct_ring, "/dev/shm");
  std::vector<TestOp> ops(40);
  for (const IoKind kind : {IoKind::write, IoKind::read}) {
    for (std::size_t i = 0; i < ops.size(); ++i) {
      ops[i].completions = 0;
      ops[i].fill(kind == IoKind::write ? 7 : 0);
      ops[i].submit_to(*world.disk, kind, i);
    }
    for (TestOp& op : ops) {
      if (op.completions == 0) world.finish(op);
      CHECK(op.op.error == 0);
      CHECK(op.holds(7));
    }
  }
  CHECK(kernel_threads() <= before);
}

// Linux since 6.13 hands out twenty of them at a time, and speaks again when it has more.
TEST_CASE("However many completions have come meanwhile, all are taken up, without another kick") {
  World world(any_way());
  std::vector<TestOp> ops(200);
  // Written twice and read: where the file system has to look for room it works otherwise.
  int round = 0;
  for (const IoKind kind : {IoKind::write, IoKind::write, IoKind::read}) {
    ++round;
    for (std::size_t i = 0; i < ops.size(); ++i) ops[i].submit_to(*world.disk, kind, i);
    world.disk->kick();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto done = [&ops, round] {
      return std::all_of(ops.begin(), ops.end(),
                         [round](const TestOp& op) { return op.completions == round; });
    };
    while (!done())
      if (world.io.run_one_for(std::chrono::seconds(5)) == 0) FAIL("some never completed");
  }
}

TEST_CASE("Changes of a buffered file are made one after the other") {
  World world;  // of four threads
  std::vector<TestOp> ops(400);
  for (int round = 0; round < 20; ++round) {
    for (std::size_t i = 0; i < ops.size(); ++i)
      ops[i].submit_to(*world.disk, i % 3 == 0 ? IoKind::write_zeroes : IoKind::write, i);
    for (TestOp& op : ops)
      if (op.completions == round) world.finish(op);
    CHECK(std::is_sorted(ops.begin(), ops.end(), [](const TestOp& one, const TestOp& other) {
      return one.place < other.place;  // so they also end in their order
    }));
  }
}

TEST_CASE("More flushes than threads do not keep reads from running") {
  World world(any_way());
  std::vector<TestOp> flushes(16);
  TestOp read;
  for (TestOp& flush : flushes) flush.submit_to(*world.disk, IoKind::flush);
  CHECK(world.run(read, IoKind::read) == 0);
  for (TestOp& flush : flushes) {
    if (flush.completions == 0) world.finish(flush);
    CHECK(flush.op.error == 0);
  }
}

#ifndef HAST_TEST_SANITIZED
TEST_CASE("The steady state allocates nothing") {
  World world(any_way());
  TestOp op;
  for (int i = 0; i < 16; ++i) CHECK(world.run(op, IoKind::write) == 0);
  const std::uint64_t before = allocations;
  int failures = 0;
  for (std::uint64_t i = 0; i < 500; ++i)
    if (world.run(op, i % 2 == 0 ? IoKind::write : IoKind::read, i) != 0) ++failures;
  CHECK(allocations - before == 0);
  CHECK(failures == 0);
}
#endif

TEST_CASE("Operations complete on a strand too") {
  World world(any_way());
  world.disk.reset();
  auto strand = asio::make_strand(world.io);
  world.disk = world.open(strand);
  struct OnStrand : TestOp {
    explicit OnStrand(decltype(strand) s) : expected(std::move(s)) {
      port::completes_with<&OnStrand::check>(op, this);
    }
    void check(port::DiskOp& done) {
      CHECK(expected.running_in_this_thread());
      completed(done);
    }
    decltype(strand) expected;
  } op(strand);
  for (int i = 1; i <= 3; ++i) {
    asio::post(strand, [&] {  // as its owner would: what is done at once completes in there
      op.submit_to(*world.disk, IoKind::write);
      world.disk->kick();
    });
    while (op.completions < i && world.io.run_one_for(std::chrono::seconds(20)) > 0) {
    }
    CHECK(op.completions == i);
    CHECK(op.op.error == 0);
  }
}

TEST_CASE("The last completion may destroy the disk") {
  World world(any_way());
  struct Last : TestOp {
    explicit Last(World& w) : world(&w) { port::completes_with<&Last::done>(op, this); }
    void done(port::DiskOp&) {
      ++completions;
      world->disk.reset();
    }
    World* world;
  } op(world);
  op.submit_to(*world.disk, IoKind::write);
  world.disk->kick();
  while (op.completions == 0) world.io.run_one();
  CHECK(op.completions == 1);
  CHECK(world.disk == nullptr);
  CHECK(Component::open(world.path));  // the lock went with it
}

TEST_CASE("A disk that was never used stops at once") {
  World world(any_way());
  world.disk.reset();
  CHECK(Component::open(world.path));
}

}  // namespace hast::adapter
