#include <functional>

#include "hast/adapter/ublk/frontend.hpp"
#include "support/catch.hpp"
#include "support/fake_ublk_kernel.hpp"
#include "support/frontend_daemon.hpp"

namespace ublk = hast::adapter::ublk;
using namespace std::chrono_literals;
using hast::IoKind;
using hast::Result;
using hast::test::FakeUblkKernel;
using hast::test::RamSink;
using hast::test::RamSinkOptions;
using hast::test::UblkDevices;

namespace {

constexpr std::uint64_t kBlock = hast::port::kBlockBytes;
constexpr std::uint64_t kMiB = 1024 * 1024;

std::vector<std::byte> filled(std::uint64_t bytes, int value) {
  return std::vector<std::byte>(bytes, std::byte(value));
}

struct Daemon : hast::test::FrontendDaemon<ublk::UblkFrontend> {
  explicit Daemon(UblkDevices& devices_in, RamSinkOptions sink_options = {8 * kMiB, 512, 64})
      : FrontendDaemon(sink_options), devices(devices_in) {
    auto fake = std::make_unique<FakeUblkKernel>(devices, context);
    kernel = fake.get();
    ublk::UblkOptions options;
    options.name = "shared";
    options.departure = &departure;
    options.retry_interval = 1ms;
    frontend.emplace(context.get_executor(), std::move(fake), std::move(options));
    REQUIRE(frontend->start());
    frontend->withdraw("the role is init", [] {});  // as a resource does when it starts
    settle();
  }

  /// Until clients find it.
  void serve() {
    FrontendDaemon::serve();
    bool open = false;
    frontend->when_open([&open] { open = true; });
    run_until([&] { return open; });
  }
  /// SIGUSR2.
  void depart() {
    departure.come_back();
    stop();
  }
  /// SIGKILL. What is left of the object is cleaned up without the kernel noticing.
  void kill() {
    kernel->kill();
    stop();
  }
  int wait(const UblkDevices::BioPtr& bio) {
    run_until([&] { return bio->result.has_value(); });
    return *bio->result;
  }

  UblkDevices& devices;
  FakeUblkKernel* kernel = nullptr;
};

}  // namespace

// In service --------------------------------------------------------------------------------------

TEST_CASE("a primary's volume is a ublk device, which has its name once it was read from") {
  UblkDevices devices;
  Daemon daemon(devices);
  CHECK(daemon.frontend->location() == "/dev/hast/shared");
  CHECK(devices.devices.empty());
  daemon.sink.hold();
  daemon.hast::test::FrontendDaemon<ublk::UblkFrontend>::serve();
  bool open = false;
  daemon.frontend->when_open([&open] { open = true; });
  daemon.settle();
  CHECK_FALSE(open);
  CHECK(devices.links.empty());
  CHECK(devices.only().volume.size_bytes == 8 * kMiB);
  daemon.sink.unhold();
  daemon.run_until([&] { return open; });
  CHECK(devices.links.at("shared") == 0);
  bool open_now = false;
  daemon.frontend->when_open([&open_now] { open_now = true; });
  CHECK(open_now);
}

TEST_CASE("what is written to a ublk device is read back from it") {
  UblkDevices devices;
  Daemon daemon(devices);
  daemon.serve();
  CHECK(daemon.wait(devices.write(512, filled(1024, 7))) == 0);
  const auto read = devices.read(0, 2048);
  CHECK(daemon.wait(read) == 0);
  CHECK(read->data[511] == std::byte(0));
  CHECK(read->data[512] == std::byte(7));
  CHECK(read->data[1535] == std::byte(7));
  CHECK(read->data[1536] == std::byte(0));
}

TEST_CASE("every command of a ublk device reaches the sink as what it is") {
  UblkDevices devices;
  Daemon daemon(devices);
  daemon.serve();
  daemon.sink.keep_journal();
  CHECK(daemon.wait(devices.write(kBlock, filled(kBlock, 1), true)) == 0);
  CHECK(daemon.wait(devices.submit(IoKind::flush, 0, 0)) == 0);
  CHECK(daemon.wait(devices.submit(IoKind::discard, 4096, 3 * kMiB)) == 0);
  CHECK(daemon.wait(devices.submit(std::nullopt, 0, 512)) == EOPNOTSUPP);
  CHECK(daemon.sink.take_journal() ==
        std::vector<RamSink::Entry>{{IoKind::write, kBlock, kBlock, true},
                                    {IoKind::flush, 0, 0, false},
                                    {IoKind::discard, 4096, 3 * kMiB, false}});
}

TEST_CASE("INV-9: requests that the kernel was told not to make are refused") {
  UblkDevices devices;
  Daemon daemon(devices, {64 * kMiB, 4096, 16});
  daemon.serve();
  daemon.sink.keep_journal();
  CHECK(daemon.wait(devices.read(64 * kMiB, 4096)) == EINVAL);
  CHECK(daemon.wait(devices.read(512, 4096)) == EINVAL);
  CHECK(daemon.wait(devices.read(0, 512)) == EINVAL);
  CHECK(daemon.wait(devices.read(0, 0)) == EINVAL);
  CHECK(daemon.wait(devices.read(kBlock - 4096, 8192)) == EINVAL);
  CHECK(daemon.wait(devices.write(0, filled(2 * kBlock, 1))) == EINVAL);
  CHECK(daemon.wait(devices.submit(IoKind::discard, 0, 32 * kMiB + 4096)) == EINVAL);
  CHECK(daemon.wait(devices.submit(IoKind::discard, ~std::uint64_t{0} - 4095, 4096)) == EINVAL);
  CHECK(daemon.sink.take_journal().empty());
}

TEST_CASE("requests of a ublk device wait for slots in the order they came") {
  UblkDevices devices;
  Daemon daemon(devices, {8 * kMiB, 512, 3});
  daemon.serve();
  daemon.sink.keep_journal();
  std::vector<UblkDevices::BioPtr> bios;
  for (int i = 0; i < 200; ++i)
    bios.push_back(devices.write(static_cast<std::uint64_t>(i) * 4096, filled(4096, i)));
  for (const auto& bio : bios) CHECK(daemon.wait(bio) == 0);
  const std::vector<RamSink::Entry> journal = daemon.sink.take_journal();
  REQUIRE(journal.size() == 200);
  for (std::size_t i = 0; i < 200; ++i) CHECK(journal[i].offset_bytes == i * 4096);
  CHECK(daemon.sink.all_free());
}

TEST_CASE("errors reach the clients of a ublk device, and no slot is lost") {
  UblkDevices devices;
  Daemon daemon(devices, {8 * kMiB, 512, 2});
  daemon.serve();
  daemon.sink.fail(IoKind::read, 4096, 4096, EIO);
  CHECK(daemon.wait(devices.read(4096, 512)) == EIO);
  CHECK(daemon.wait(devices.read(0, 512)) == 0);
  devices.load_error = EFAULT;
  for (int i = 0; i < 5; ++i) CHECK(daemon.wait(devices.write(0, filled(512, 1))) == EFAULT);
  devices.load_error = 0;
  CHECK(daemon.wait(devices.write(0, filled(512, 1))) == 0);
  CHECK(daemon.sink.all_free());
}

// Out of service ----------------------------------------------------------------------------------

TEST_CASE("a ublk device goes with the role: what the sink has is answered, the rest fails") {
  UblkDevices devices;
  Daemon daemon(devices, {8 * kMiB, 512, 2});
  daemon.serve();
  daemon.sink.hold();
  std::vector<UblkDevices::BioPtr> bios;
  for (int i = 0; i < 4; ++i) bios.push_back(devices.write(0, filled(512, i)));
  daemon.settle();
  REQUIRE(daemon.sink.submitted() == 2);
  bool done = false;
  daemon.frontend->withdraw("the role is secondary", [&done] { done = true; });
  CHECK(devices.links.empty());
  const auto late = devices.write(0, filled(512, 9));
  daemon.settle();
  CHECK_FALSE(done);
  CHECK(daemon.wait(late) == EIO);
  daemon.sink.unhold();
  daemon.run_until([&done] { return done; });
  CHECK(bios[0]->result == 0);
  CHECK(bios[1]->result == 0);
  CHECK(bios[2]->result == EIO);
  CHECK(bios[3]->result == EIO);
  CHECK(devices.devices.empty());
}

TEST_CASE("a slot that was waited for is given back when the role goes") {
  UblkDevices devices;
  Daemon daemon(devices, {8 * kMiB, 512, 1});
  daemon.serve();
  daemon.sink.hold();
  const auto first = devices.write(0, filled(512, 1));
  const auto second = devices.write(0, filled(512, 2));
  daemon.settle();
  CHECK(daemon.sink.waiters() == 1);
  daemon.sink.complete_at(0);
  daemon.sink.turn();  // the slot is reserved, and its request not submitted yet
  daemon.withdraw();
  CHECK(first->result == 0);
  CHECK(second->result == EIO);
}

TEST_CASE("a ublk device that is still being read from can be withdrawn") {
  UblkDevices devices;
  Daemon daemon(devices);
  daemon.sink.hold();
  daemon.hast::test::FrontendDaemon<ublk::UblkFrontend>::serve();
  bool open = false;
  daemon.frontend->when_open([&open] { open = true; });
  daemon.settle();
  bool done = false;
  daemon.frontend->withdraw("the role is secondary", [&done] { done = true; });
  CHECK(open);  // nobody waits for it any more
  daemon.sink.unhold();
  daemon.run_until([&done] { return done; });
  CHECK(devices.devices.empty());
  CHECK(devices.links.empty());
}

// A hastd that comes back -------------------------------------------------------------------------

TEST_CASE("a ublk device waits for a hastd that comes back, and loses nothing") {
  UblkDevices devices;
  std::vector<UblkDevices::BioPtr> bios;
  {
    Daemon daemon(devices, {8 * kMiB, 512, 2});
    daemon.serve();
    daemon.sink.hold();
    for (int i = 0; i < 4; ++i) bios.push_back(devices.write(4096, filled(512, i)));
    daemon.settle();
    daemon.depart();
    CHECK(bios[0]->result == 0);
    CHECK(bios[1]->result == 0);
    CHECK_FALSE(bios[2]->result);
    CHECK(daemon.logged("/dev/hast/shared stays; its requests wait for the next hastd."));
  }
  CHECK(devices.only().server == nullptr);
  CHECK(devices.links.count("shared") == 1);
  bios.push_back(devices.write(8192, filled(512, 4)));
  Daemon next(devices);
  next.serve();
  for (const auto& bio : bios) CHECK(next.wait(bio) == 0);
  CHECK(devices.devices.size() == 1);
  CHECK(next.sink.memory()[4096] == std::byte(3));
  CHECK(next.logged("Took over /dev/hast/shared (/dev/ublkb0), which was waiting for a hastd."));
}

TEST_CASE("what fails while a hastd departs is done by the next one") {
  UblkDevices devices;
  UblkDevices::BioPtr bio;
  {
    Daemon daemon(devices);
    daemon.serve();
    daemon.sink.hold();
    daemon.sink.fail(IoKind::write, 0, 512, EIO);
    bio = devices.write(0, filled(512, 1));
    daemon.settle();
    daemon.depart();
    CHECK_FALSE(bio->result);
  }
  Daemon next(devices);
  next.serve();
  CHECK(next.wait(bio) == 0);
}

TEST_CASE("a ublk device is taken over from a killed hastd, once the kernel has buried that") {
  UblkDevices devices;
  UblkDevices::BioPtr bio;
  {
    Daemon daemon(devices);
    daemon.serve();
    daemon.sink.hold();
    bio = devices.write(0, filled(512, 1));
    daemon.settle();
    daemon.kill();
  }
  CHECK_FALSE(bio->result);
  devices.former_server_exits = 3;
  Daemon next(devices);
  next.serve();
  CHECK(devices.former_server_exits == 0);
  CHECK(next.wait(bio) == 0);
}

TEST_CASE("a former server that does not go is complained about, once, and waited for") {
  UblkDevices devices;
  {
    Daemon daemon(devices);
    daemon.serve();
    daemon.kill();
  }
  devices.former_server_exits = 120;
  Daemon next(devices);
  next.serve();
  CHECK(next.times_logged("has another server") == 1);
  CHECK(next.wait(devices.read(0, 512)) == 0);
}

TEST_CASE("a hastd that waits for a former server may be withdrawn, and takes the device along") {
  UblkDevices devices;
  {
    Daemon daemon(devices);
    daemon.serve();
    daemon.kill();
  }
  devices.former_server_exits = 1'000'000;
  Daemon next(devices);
  next.hast::test::FrontendDaemon<ublk::UblkFrontend>::serve();
  next.withdraw();
  CHECK(devices.devices.empty());
}

TEST_CASE("what a former hastd left goes with a role that does not serve it, not with the start") {
  UblkDevices devices;
  {
    Daemon daemon(devices);
    daemon.serve();
    daemon.kill();
  }
  Daemon next(devices);
  CHECK(devices.devices.size() == 1);
  next.withdraw();
  CHECK(devices.devices.empty());
  CHECK(devices.links.empty());
}

TEST_CASE("a hastd that stops for good takes along what no role claimed, another leaves it") {
  UblkDevices devices;
  {
    Daemon daemon(devices);
    daemon.serve();
    daemon.kill();
  }
  { Daemon(devices).depart(); }
  CHECK(devices.devices.size() == 1);
  {
    Daemon daemon(devices);
    bool stopped = false;
    daemon.frontend->stop([&stopped] { stopped = true; });
    daemon.run_until([&stopped] { return stopped; });
  }
  CHECK(devices.devices.empty());
}

TEST_CASE("a ublk device that waits is taken over only if it fits the volume") {
  UblkDevices devices;
  {
    Daemon daemon(devices, {8 * kMiB, 4096, 16});
    daemon.serve();
    daemon.kill();
  }
  SECTION("smaller sectors") {
    Daemon next(devices, {8 * kMiB, 512, 16});
    const Result<void> served = next.frontend->serve(next.sink);
    REQUIRE_FALSE(served);
    CHECK(served.error().detail ==
          "/dev/hast/shared waits as /dev/ublkb0 with 8388608 bytes in sectors of 4096, the volume "
          "has 8388608 in sectors of 512; once nobody uses it, set the role to secondary or init, "
          "which removes it, and then this one again");
    next.withdraw();
    CHECK(devices.devices.empty());
    next.serve();
    CHECK(devices.only().volume.sector_bytes == 512);
  }
  SECTION("a smaller volume") {
    Daemon next(devices, {4 * kMiB, 4096, 16});
    CHECK_FALSE(next.frontend->serve(next.sink));
  }
  SECTION("a larger volume") {
    Daemon next(devices, {16 * kMiB, 4096, 16});
    next.serve();
    CHECK(next.logged("keeps its 8388608 bytes while it is in use"));
    CHECK(devices.only().volume.size_bytes == 8 * kMiB);
  }
}

// Trouble -----------------------------------------------------------------------------------------

TEST_CASE("a ublk device that cannot be made says so") {
  UblkDevices devices;
  Daemon daemon(devices);
  devices.add_error = EPERM;
  const Result<void> served = daemon.frontend->serve(daemon.sink);
  REQUIRE_FALSE(served);
  CHECK(served.error().message().find(
            "/dev/hast/shared cannot be made: hastd needs the capability CAP_SYS_ADMIN for it") !=
        std::string::npos);
  devices.add_error = 0;
  daemon.serve();
  CHECK(daemon.wait(devices.read(0, 512)) == 0);
}

TEST_CASE("a half-made ublk device is made anew") {
  UblkDevices devices;
  {
    Daemon daemon(devices);
    daemon.serve();
    daemon.kill();
  }
  devices.only().has_disk = false;
  Daemon next(devices, {16 * kMiB, 512, 16});
  next.serve();
  REQUIRE(devices.devices.size() == 1);
  CHECK(devices.only().volume.size_bytes == 16 * kMiB);
  CHECK(next.wait(devices.read(0, 512)) == 0);
}

TEST_CASE("a ublk device that does not start is complained about, and goes with the role") {
  UblkDevices devices;
  Daemon daemon(devices);
  devices.start_error = ENOMEM;
  daemon.serve();  // nobody waits for ever
  CHECK(daemon.logged("does not start: Cannot allocate memory"));
  CHECK(devices.links.empty());
  daemon.withdraw();
  CHECK(devices.devices.empty());
}

TEST_CASE("a ublk device without a name is there all the same") {
  UblkDevices devices;
  Daemon daemon(devices);
  devices.link_error = EROFS;
  daemon.serve();
  CHECK(daemon.logged("It is /dev/ublkb0 all the same."));
  CHECK(daemon.wait(devices.read(0, 512)) == 0);
}

TEST_CASE("somebody else removes a ublk device: it is said, and a new one can be made") {
  UblkDevices devices;
  Daemon daemon(devices);
  daemon.serve();
  daemon.kernel->lose();
  daemon.settle();
  CHECK(daemon.logged("was removed by somebody else"));
  daemon.withdraw();
  CHECK(devices.devices.empty());
  daemon.serve();
  CHECK(daemon.wait(devices.read(0, 512)) == 0);
}
