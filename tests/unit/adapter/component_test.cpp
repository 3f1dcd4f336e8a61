#include "hast/adapter/component.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "failing_syscall.hpp"
#include "loop_device.hpp"
#include "os_answers.hpp"
#include "support/catch.hpp"
#include "temp_dir.hpp"

namespace hast::adapter {
namespace {

using test::TempDir;

constexpr std::uint64_t kSize = 1024 * 1024;

Errc open_error(const std::string& path, ComponentOptions options = {}) {
  const auto opened = Component::open(path, options);
  REQUIRE(!opened);
  CHECK(opened.error().detail.find(path) != std::string::npos);
  return opened.error().code;
}

std::unique_ptr<Component> open_component(const std::string& path, ComponentOptions options = {}) {
  auto opened = Component::open(path, options);
  if (!opened) FAIL(opened.error().message());
  return std::move(*opened);
}

struct AlignedBuffer {
  explicit AlignedBuffer(std::size_t size, int fill = 0) : bytes(size + 4096) {
    void* start = bytes.data();
    std::size_t space = bytes.size();
    span = ByteSpan(static_cast<std::byte*>(std::align(4096, size, start, space)), size);
    std::fill(span.begin(), span.end(), static_cast<std::byte>(fill));
  }
  bool all(int value) const {
    return std::all_of(span.begin(), span.end(),
                       [&](std::byte b) { return b == static_cast<std::byte>(value); });
  }
  std::vector<std::byte> bytes;
  ByteSpan span;
};

std::uint64_t allocated_bytes(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

// Fills the component with 0xaa, empties the middle by `empty`, and checks every byte.
template <class Empty>
void check_emptied(Component& component, Empty empty) {
  AlignedBuffer pattern(kSize, 0xaa);
  REQUIRE(component.write(0, pattern.span) == 0);
  REQUIRE(empty(256 * 1024, 512 * 1024) == 0);
  AlignedBuffer before(256 * 1024), middle(512 * 1024), after(256 * 1024);
  REQUIRE(component.read(0, before.span) == 0);
  REQUIRE(component.read(256 * 1024, middle.span) == 0);
  REQUIRE(component.read(768 * 1024, after.span) == 0);
  CHECK(before.all(0xaa));
  CHECK(middle.all(0));
  CHECK(after.all(0xaa));
}

}  // namespace

TEST_CASE("A component that does not exist is reported as not found") {
  const TempDir dir;
  CHECK(open_error(dir.file("missing")) == Errc::component_not_found);
  CHECK(open_error(dir.make_file("plain", 1) + "/below") == Errc::component_not_found);
}

TEST_CASE("Only regular files and disks are components") {
  const TempDir dir;
  REQUIRE(::mkfifo(dir.file("fifo").c_str(), 0600) == 0);
  CHECK(open_error(dir.path()) == Errc::component_unsupported);
  CHECK(open_error(dir.file("fifo")) == Errc::component_unsupported);  // and does not wait for it
  CHECK(open_error("/dev/null") == Errc::component_unsupported);
}

TEST_CASE("An exclusively opened component is busy for a second holder until it is closed") {
  const TempDir dir;
  const std::string path = dir.make_file("data", kSize);
  {
    const auto first = open_component(path);
    CHECK(open_error(path) == Errc::component_busy);
    SECTION("but can be looked at") {
      const auto dump = open_component(path, {.access = Access::read_only});
      AlignedBuffer block(4096, 1);
      CHECK(dump->read(0, block.span) == 0);
      CHECK(block.all(0));
      CHECK(dump->write(0, block.span) == test::kReadOnlyWrite);
    }
    SECTION("or written without a lock") {
      const auto second = open_component(path, {.access = Access::unlocked});
      CHECK(second->write(0, AlignedBuffer(512, 7).span) == 0);
    }
  }
  CHECK(open_component(path)->kind() == ComponentKind::file);
}

TEST_CASE("Running out of descriptors is an I/O failure that names the path") {
  const TempDir dir;
  const std::string path = dir.make_file("data", kSize);
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit none{0, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto opened = Component::open(path);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  REQUIRE(!opened);
  CHECK(opened.error().code == Errc::io_failed);
  CHECK(opened.error().os_error == EMFILE);
  CHECK(opened.error().detail == path);
}

TEST_CASE("A file has its own size and sectors of 512 bytes") {
  const TempDir dir;
  const auto component = open_component(dir.make_file("data", kSize + 100));
  CHECK(component->geometry().size_bytes == kSize + 100);
  CHECK(component->geometry().sector_bytes == 512);
  CHECK(open_component(dir.make_file("empty", 0))->geometry().size_bytes == 0);
}

TEST_CASE("What was written is read back, also by another descriptor") {
  const TempDir dir;
  const std::string path = dir.make_file("data", kSize);
  const auto component = open_component(path);
  REQUIRE(component->write(4096, AlignedBuffer(8192, 0x5a).span) == 0);
  REQUIRE(component->flush() == 0);
  AlignedBuffer back(8192);
  REQUIRE(open_component(path, {.access = Access::read_only})->read(4096, back.span) == 0);
  CHECK(back.all(0x5a));
}

TEST_CASE("Nothing reaches past the end of a component") {
  const TempDir dir;
  const std::string path = dir.make_file("data", kSize);
  const auto component = open_component(path);
  AlignedBuffer block(4096);
  CHECK(component->read(kSize - 512, block.span) == EINVAL);
  CHECK(component->write(kSize - 512, block.span) == EINVAL);
  CHECK(component->write(~std::uint64_t{0}, block.span) == EINVAL);
  CHECK(component->discard(kSize - 512, 1024) == EINVAL);
  CHECK(component->write_zeroes(kSize, 512) == EINVAL);
  CHECK(component->discard(512, ~std::uint64_t{0}) == EINVAL);
  CHECK(std::filesystem::file_size(path) == kSize);
}

TEST_CASE("A file that was cut behind our back reads as an I/O error, not as old bytes") {
  const TempDir dir;
  const std::string path = dir.make_file("data", kSize);
  const auto component = open_component(path);
  std::filesystem::resize_file(path, 6000);
  AlignedBuffer block(4096);
  CHECK(component->read(0, block.span) == 0);
  CHECK(component->read(4096, block.span) == EIO);
  CHECK(component->read(8192, block.span) == EIO);
}

TEST_CASE("Discarded and zeroed ranges of a file read as zeros, their neighbours are untouched") {
  const TempDir dir;
  const std::string path = dir.make_file("data", kSize);
  const auto component = open_component(path);
  SECTION("discard gives the space back") {
    if (test::kFileDiscard != 0) {
      CHECK(component->discard(0, 4096) == test::kFileDiscard);
    } else {
      check_emptied(*component,
                    [&](auto offset, auto length) { return component->discard(offset, length); });
      CHECK(allocated_bytes(path) <= kSize / 2 + 64 * 1024);
    }
  }
  SECTION("write-zeroes") {
    check_emptied(*component, [&](auto offset, auto length) {
      return component->write_zeroes(offset, length);
    });
  }
  SECTION("nothing is nothing") {
    CHECK(component->discard(4096, 0) == 0);
    CHECK(component->write_zeroes(kSize, 0) == 0);
  }
  CHECK(std::filesystem::file_size(path) == kSize);
}

#if defined(__linux__)

using test::run_with_failing;

TEST_CASE("Where the kernel has no fallocate, discard says so and zeros are written") {
  const TempDir dir;
  const auto component = open_component(dir.make_file("data", kSize));
  const bool armed = run_with_failing(SYS_fallocate, EOPNOTSUPP, [&] {
    CHECK(component->discard(0, 4096) == EOPNOTSUPP);
    check_emptied(*component, [&](auto offset, auto length) {
      return component->write_zeroes(offset, length);
    });
  });
  if (!armed) WARN("no seccomp filters here: not tested");
  // The refusal is remembered: the working call of this thread is not tried again.
  if (armed) CHECK(component->discard(0, 4096) == EOPNOTSUPP);
}

TEST_CASE("An error of fallocate that is no refusal passes through and is not remembered") {
  const TempDir dir;
  const auto component = open_component(dir.make_file("data", kSize));
  const bool armed = run_with_failing(SYS_fallocate, EIO, [&] {
    CHECK(component->discard(0, 4096) == EIO);
    CHECK(component->write_zeroes(0, 4096) == EIO);
  });
  if (!armed) WARN("no seccomp filters here: not tested");
  CHECK(component->discard(0, 4096) == 0);
}

TEST_CASE("Errors of reads and writes pass through as errno") {
  const TempDir dir;
  const auto component = open_component(dir.make_file("data", kSize));
  AlignedBuffer block(4096);
  const bool armed =
      run_with_failing(SYS_pwrite64, ENOSPC,
                       [&] { CHECK(component->write(0, block.span) == ENOSPC); }) &&
      run_with_failing(SYS_pread64, EIO, [&] { CHECK(component->read(0, block.span) == EIO); });
  if (!armed) WARN("no seccomp filters here: not tested");
  CHECK(component->write(0, block.span) == 0);
}

TEST_CASE("After a failed flush every flush fails, because the kernel forgets what it dropped") {
  const TempDir dir;
  const std::string path = dir.make_file("data", kSize);
  auto component = open_component(path);
  const bool armed =
      run_with_failing(SYS_fdatasync, EIO, [&] { CHECK(component->flush() == EIO); });
  if (!armed) {
    WARN("no seccomp filters here: not tested");
    return;
  }
  CHECK(component->flush() == EIO);
  SECTION("until it is opened again") {
    component.reset();
    CHECK(open_component(path)->flush() == 0);
  }
  SECTION("or everybody who relied on one has heard of it") {
    component->flush_again();
    CHECK(component->flush() == 0);
  }
}

TEST_CASE("What was written durably is read back; nothing reaches past the end") {
  const TempDir dir;
  const std::string path = dir.make_file("data", kSize);
  const auto component = open_component(path);
  AlignedBuffer out(4096, 7);
  AlignedBuffer in(4096, 0);
  CHECK(component->write_durably(8192, out.span) == 0);
  CHECK(component->read(8192, in.span) == 0);
  CHECK(in.all(7));
  CHECK(component->write_durably(kSize - 2048, out.span) == EINVAL);
  CHECK(std::filesystem::file_size(path) == kSize);
}

#ifdef __linux__
TEST_CASE("A durable write that fails counts as a failed flush") {
  const TempDir dir;
  auto component = open_component(dir.make_file("data", kSize));
  AlignedBuffer block(4096, 7);
  const bool armed = run_with_failing(
      SYS_pwritev2, EIO, [&] { CHECK(component->write_durably(0, block.span) == EIO); });
  if (!armed) {
    WARN("no seccomp filters here: not tested");
    return;
  }
  CHECK(component->flush() == EIO);
  CHECK(component->write_durably(0, block.span) == EIO);
  component->flush_again();
  CHECK(component->write_durably(0, block.span) == 0);
  CHECK(run_with_failing(SYS_fdatasync, EIO, [&] { CHECK(component->flush() == EIO); }));
  CHECK(component->write_durably(0, block.span) == EIO);
}

TEST_CASE("Where the kernel has no durable writes, a flush follows the write") {
  const TempDir dir;
  auto component = open_component(dir.make_file("data", kSize));
  AlignedBuffer block(4096, 7);
  AlignedBuffer in(4096, 0);
  const bool armed = run_with_failing(SYS_pwritev2, EOPNOTSUPP,
                                      [&] { CHECK(component->write_durably(0, block.span) == 0); });
  if (!armed) {
    WARN("no seccomp filters here: not tested");
    return;
  }
  CHECK(component->read(0, in.span) == 0);
  CHECK(in.all(7));
  CHECK(run_with_failing(SYS_fdatasync, EIO,
                         [&] { CHECK(component->write_durably(0, block.span) == EIO); }));
  CHECK(component->flush() == EIO);
}
#endif

TEST_CASE("A lock that the file system does not know is only warned of") {
  const TempDir dir;
  const std::string path = dir.make_file("data", kSize);
  const bool armed =
      run_with_failing(SYS_flock, EOPNOTSUPP, [&] { CHECK(Component::open(path)); }) &&
      run_with_failing(SYS_flock, EIO, [&] { CHECK(open_error(path) == Errc::io_failed); });
  if (!armed) WARN("no seccomp filters here: not tested");
}

TEST_CASE("A block device is opened directly and exclusively, with its own sectors") {
  for (const std::uint32_t sector_bytes : {512U, 4096U}) {
    const TempDir dir;
    const test::LoopDevice loop(dir.make_file("backing", kSize), sector_bytes);
    if (loop.path().empty()) {
      WARN("no loop device to be had: block devices are not tested");
      return;
    }
    const auto component = open_component(loop.path());
    CHECK(component->kind() == ComponentKind::device);
    CHECK(component->geometry().size_bytes == kSize);
    CHECK(component->geometry().sector_bytes == sector_bytes);
    CHECK(open_error(loop.path()) == Errc::component_busy);

    AlignedBuffer block(4096, 0x33);
    CHECK(component->write(0, block.span) == 0);
    CHECK(component->flush() == 0);
    AlignedBuffer back(4096);
    CHECK(open_component(loop.path(), {.access = Access::read_only})->read(0, back.span) == 0);
    CHECK(back.all(0x33));
    CHECK(component->write(100, block.span.first(sector_bytes)) == EINVAL);  // direct I/O

    check_emptied(*component, [&](auto offset, auto length) {
      return component->write_zeroes(offset, length);
    });
    check_emptied(*component,
                  [&](auto offset, auto length) { return component->discard(offset, length); });
  }
}

TEST_CASE("A block device can be opened buffered") {
  const TempDir dir;
  const test::LoopDevice loop(dir.make_file("backing", kSize), 512);
  if (loop.path().empty()) {
    WARN("no loop device to be had: block devices are not tested");
    return;
  }
  const auto component = open_component(loop.path(), {.io = IoMode::buffered});
  AlignedBuffer block(100, 0x44);
  CHECK(component->write(100, block.span) == 0);
  AlignedBuffer back(100);
  CHECK(component->read(100, back.span) == 0);
  CHECK(back.all(0x44));
}

#endif

}  // namespace hast::adapter
