#ifdef __linux__
#include <algorithm>
#include <optional>

#include "hast/adapter/nbd_device/frontend.hpp"
#include "support/catch.hpp"
#include "support/fake_nbd_kernel.hpp"
#include "support/frontend_daemon.hpp"
#include "support/nbd_bytes.hpp"

namespace asio = boost::asio;
namespace device = hast::adapter::nbd_device;
using namespace std::chrono_literals;
using hast::Error;
using hast::IoKind;
using hast::Result;
using hast::adapter::Departure;
using hast::test::FakeNbdKernel;
using hast::test::nbd_pattern;
using hast::test::nbd_request;
using hast::test::nbd_write;
using hast::test::NbdDevices;
using hast::test::RamSink;
using hast::test::RamSinkOptions;
using hast::test::ReplyParser;
using hast::test::Wire;

namespace {

constexpr std::uint64_t kBlock = hast::port::kBlockBytes;
constexpr std::uint64_t kMiB = 1024 * 1024;
constexpr std::uint16_t kRead = 0, kFlush = 3;

using Adjust = std::function<void(device::NbdDeviceOptions&)>;

struct Daemon : hast::test::FrontendDaemon<device::NbdDevice> {
  explicit Daemon(
      NbdDevices& devices_in, RamSinkOptions sink_options = {8 * kMiB, 512, 64},
      const Adjust& adjust = [](device::NbdDeviceOptions&) {})
      : FrontendDaemon(sink_options), devices(devices_in) {
    sink.keep_journal();
    device::NbdDeviceOptions options;
    options.name = "shared";
    options.departure = &departure;
    options.reattach_interval = 1ms;
    // Nothing may depend on these, so they never pass, except where a test says so.
    options.connection.drain_timeout = 1h;
    options.connection.depart_timeout = 1h;
    adjust(options);
    frontend.emplace(context.get_executor(), std::make_unique<FakeNbdKernel>(devices),
                     std::move(options));
    REQUIRE(frontend->start());
    frontend->withdraw("the role is init", [] {});  // as a resource does when it starts
    settle();
  }

  void serve() {
    FrontendDaemon::serve();
    settle();
  }
  /// Leaves the device, as SIGUSR2 does.
  void depart() {
    departure.come_back();
    stop();
  }

  // The block layer's part.
  void send(const Wire& wire, std::size_t socket = 0) {
    std::string_view rest = wire.str();
    run_until([&] {
      const ssize_t sent =
          ::send(devices.only().sockets[socket], rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent > 0) rest.remove_prefix(static_cast<std::size_t>(sent));
      return rest.empty();
    });
  }
  std::string receive(std::size_t bytes, std::size_t socket = 0) {
    std::string received;
    run_until([&] {
      char chunk[65536];
      const std::size_t want = std::min(sizeof chunk, bytes - received.size());
      const ssize_t got = ::recv(devices.only().sockets[socket], chunk, want, 0);
      if (got > 0) received.append(chunk, static_cast<std::size_t>(got));
      REQUIRE((got != 0 || want == 0));  // closed too early
      return received.size() == bytes;
    });
    return received;
  }
  /// The error of the next reply, without data.
  std::uint32_t answer(std::uint64_t cookie, std::size_t socket = 0) {
    const std::string bytes = receive(16, socket);
    ReplyParser parser(bytes);
    const auto reply = parser.simple();
    REQUIRE(parser.valid());
    CHECK(reply.cookie == cookie);
    return reply.error;
  }
  std::string read_back(std::uint64_t cookie, std::uint64_t offset, std::uint32_t length) {
    send(nbd_request(kRead, cookie, offset, length));
    CHECK(answer(cookie) == 0);
    return receive(length);
  }
  bool has_hung_up(std::size_t socket = 0) {
    return NbdDevices::is_hung_up(devices.only().sockets[socket]);
  }

  NbdDevices& devices;
};

}  // namespace

// In service --------------------------------------------------------------------------------------

TEST_CASE("a primary's volume is an NBD device with a name of its own") {
  NbdDevices devices;
  Daemon daemon(devices);
  CHECK(daemon.frontend->location() == "/dev/hast/shared");
  CHECK(devices.devices.empty());
  daemon.serve();
  REQUIRE(devices.devices.size() == 1);
  const hast::test::DeviceSpec& spec = devices.only().spec;
  CHECK(spec.backend == "hast/shared");
  CHECK(spec.volume.size_bytes == 8 * kMiB);
  CHECK(spec.volume.sector_bytes == 512);
  CHECK(spec.dead_timeout_s == 300);
  CHECK(spec.repeat_after_ms == 5000);
  CHECK((spec.flags & 0x2d) == 0x2d);  // flags, flush, fua, trim
  CHECK(devices.links.at("shared") == 0);

  const std::string data = nbd_pattern(3 * kBlock, 1);
  daemon.send(nbd_write(1, 512, data));
  CHECK(daemon.answer(1) == 0);
  daemon.send(nbd_request(kFlush, 2, 0, 0));
  CHECK(daemon.answer(2) == 0);
  CHECK(daemon.read_back(3, 512, 3 * kBlock) == data);
}

TEST_CASE("a device may have several connections; then the kernel decides what is lost") {
  NbdDevices devices;
  Daemon daemon(devices, {8 * kMiB, 512, 64}, [](auto& options) { options.connections = 4; });
  daemon.serve();
  REQUIRE(devices.only().sockets.size() == 4);
  CHECK(devices.only().spec.repeat_after_ms == 0);
  CHECK((devices.only().spec.flags & 0x100) != 0);  // may have several
  for (std::size_t socket = 0; socket < 4; ++socket) {
    daemon.send(nbd_write(socket, socket * 512, nbd_pattern(512, 1)), socket);
    CHECK(daemon.answer(socket, socket) == 0);
  }
}

TEST_CASE("a device that was asked for by number and is taken is not replaced by another") {
  NbdDevices devices;
  devices.devices[3] = {};
  Daemon daemon(devices, {8 * kMiB, 512, 64}, [](auto& options) { options.index = 3; });
  const Result<void> served = daemon.frontend->serve(daemon.sink);
  REQUIRE_FALSE(served);
  CHECK(served.error().message().find("/dev/nbd3 is somebody else's") != std::string::npos);
}

TEST_CASE("a device without its name is removed again") {
  NbdDevices devices;
  devices.link_error = EROFS;
  Daemon daemon(devices);
  const Result<void> served = daemon.frontend->serve(daemon.sink);
  REQUIRE_FALSE(served);
  CHECK(served.error().os_error == EROFS);
  CHECK(devices.devices.empty());
}

TEST_CASE("a connection that the kernel gives up is replaced") {
  NbdDevices devices;
  Daemon daemon(devices);
  daemon.serve();
  NbdDevices::give_up(devices.only(), 0);
  daemon.run_until([&] { return devices.only().sockets[0] >= 0; });
  daemon.send(nbd_write(1, 0, nbd_pattern(512, 1)));
  CHECK(daemon.answer(1) == 0);
}

TEST_CASE("what is left on a connection that was given up is not executed") {
  // It comes again on another one, and may be overtaken there by what is written after it.
  NbdDevices devices;
  Daemon daemon(devices, {8 * kMiB, 512, 2});
  daemon.serve();
  SECTION("unread") {
    const std::string request = nbd_write(1, 0, nbd_pattern(512, 1)).str();
    REQUIRE(::send(devices.only().sockets[0], request.data(), request.size(), 0) == 540);
    NbdDevices::give_up(devices.only(), 0);
    daemon.run_until([&] { return devices.only().sockets[0] >= 0; });
    CHECK(daemon.sink.take_journal().empty());
  }
  SECTION("waiting for a slot") {
    daemon.sink.hold();
    for (std::uint64_t i = 0; i < 3; ++i) daemon.send(nbd_write(i, i * 512, nbd_pattern(512, 1)));
    daemon.run_until([&] { return daemon.sink.waiters() == 1; });
    NbdDevices::give_up(devices.only(), 0);
    daemon.sink.unhold();
    daemon.run_until([&] { return devices.only().sockets[0] >= 0; });
    const auto journal = daemon.sink.take_journal();
    CHECK(journal.size() == 2);
    CHECK(daemon.sink.all_free());
  }
}

TEST_CASE("a device that somebody removes is reported once and not made again") {
  NbdDevices devices;
  Daemon daemon(devices);
  daemon.serve();
  NbdDevices::close_all(devices.only());
  devices.devices.clear();
  daemon.run_until([&] { return daemon.logged("was removed by somebody else"); });
  const auto lines = daemon.log.size();
  for (int i = 0; i < 20; ++i) daemon.context.run_one_for(1ms);
  CHECK(daemon.log.size() == lines);
  CHECK(devices.devices.empty());
  daemon.withdraw();
  daemon.serve();
  CHECK(devices.devices.size() == 1);
}

TEST_CASE("a read that fails after its reply has begun becomes an error the next time") {
  NbdDevices devices;
  Daemon daemon(devices);
  daemon.serve();
  daemon.sink.fail(IoKind::read, kBlock, 512, EIO);
  daemon.send(nbd_request(kRead, 1, 0, 2 * kBlock));
  daemon.run_until([&] { return devices.reconnects > 0; });
  daemon.send(nbd_request(kRead, 2, 0, 2 * kBlock));
  CHECK(daemon.answer(2) == 5);
  daemon.send(nbd_write(3, 0, nbd_pattern(2 * kBlock, 7)));
  CHECK(daemon.answer(3) == 0);
  daemon.sink.heal();
  CHECK(daemon.read_back(4, 0, 2 * kBlock) == nbd_pattern(2 * kBlock, 7));
}

// Out of service ----------------------------------------------------------------------------------

TEST_CASE("a demotion answers what the sink has and removes the device, open or not") {
  NbdDevices devices;
  devices.held_open = true;
  Daemon daemon(devices);
  daemon.serve();
  daemon.sink.hold();
  daemon.send(nbd_write(1, 0, nbd_pattern(512, 1)));
  daemon.run_until([&] { return daemon.sink.submitted() == 1; });
  bool done = false;
  daemon.frontend->withdraw("the role is secondary", [&] { done = true; });
  daemon.settle();
  CHECK_FALSE(done);
  CHECK(devices.removed.empty());
  daemon.sink.unhold();
  CHECK(daemon.answer(1) == 0);
  daemon.run_until([&] { return done; });
  CHECK(devices.removed == std::vector<std::uint32_t>{0});
  CHECK(devices.links.empty());
  // The next promotion makes another one, while the old one is still open.
  daemon.serve();
  CHECK(devices.devices.size() == 2);
  CHECK(devices.links.at("shared") == 1);
}

TEST_CASE("a hastd that comes back leaves the device, and what it did not answer comes again") {
  NbdDevices devices;
  {
    Daemon daemon(devices, {8 * kMiB, 512, 64},
                  [](auto& options) { options.connection.depart_timeout = 10ms; });
    daemon.serve();
    daemon.sink.fail(IoKind::write, 4096, 512, ECANCELED);
    daemon.send(nbd_write(1, 4096, nbd_pattern(512, 1)));
    CHECK(daemon.answer(1) == 5);  // in service an error is an error
    daemon.sink.hold();
    daemon.send(nbd_write(2, 4096, nbd_pattern(512, 1)));
    daemon.send(nbd_write(3, 0, nbd_pattern(512, 3)));
    daemon.run_until([&] { return daemon.sink.submitted() == 2; });
    daemon.depart();
    // The one that succeeded is answered, the one that failed is not.
    std::string bytes(64, '\0');
    bytes.resize(static_cast<std::size_t>(
        std::max<ssize_t>(0, ::recv(devices.only().sockets[0], bytes.data(), bytes.size(), 0))));
    REQUIRE(bytes.size() == 16);
    ReplyParser parser(bytes);
    CHECK(parser.simple().cookie == 3);
    CHECK(daemon.logged("stays; its requests wait for the next hastd"));
  }
  REQUIRE(devices.devices.size() == 1);
  CHECK(devices.links.size() == 1);
  Daemon next(devices);
  CHECK(devices.only().sockets.size() == 1);
  next.serve();
  CHECK(next.logged("Took over /dev/hast/shared (/dev/nbd0)"));
  CHECK(devices.devices.size() == 1);
  next.send(nbd_write(2, 4096, nbd_pattern(512, 2)));
  CHECK(next.answer(2) == 0);
}

TEST_CASE("a hastd that comes back goes at the first moment without requests") {
  NbdDevices devices;
  Daemon daemon(devices);  // its time limits never pass
  daemon.serve();
  daemon.sink.hold();
  daemon.send(nbd_write(1, 0, nbd_pattern(512, 1)));
  daemon.run_until([&] { return daemon.sink.submitted() == 1; });
  daemon.departure.come_back();
  bool done = false;
  daemon.frontend->withdraw("hastd restarts", [&] { done = true; });
  daemon.settle();
  CHECK_FALSE(done);
  // What arrives meanwhile is taken, too.
  daemon.send(nbd_write(2, 512, nbd_pattern(512, 2)));
  daemon.run_until([&] { return daemon.sink.submitted() == 2; });
  daemon.sink.unhold();
  CHECK(daemon.answer(1) == 0);
  CHECK(daemon.answer(2) == 0);
  daemon.run_until([&] { return done; });
  CHECK(daemon.has_hung_up());
  CHECK(devices.devices.size() == 1);
}

TEST_CASE("a device that a killed hastd left waits for a role") {
  NbdDevices devices;
  {
    Daemon killed(devices);
    killed.serve();
    killed.depart();
  }
  Daemon daemon(devices);
  CHECK(devices.devices.size() == 1);  // init waits: it may be about to be served
  SECTION("as primary it is taken over, with as many connections as it has") {
    daemon.serve();
    CHECK(devices.removed.empty());
  }
  SECTION("as secondary it is removed: what waits must not be written here") {
    daemon.withdraw();
    CHECK(devices.devices.empty());
    CHECK(devices.links.empty());
  }
  SECTION("when hastd stops for good it goes along") {
    daemon.stop();
    CHECK(devices.devices.empty());
  }
  SECTION("when hastd comes back it stays") {
    daemon.depart();
    CHECK(devices.devices.size() == 1);
  }
}

TEST_CASE("a kernel that has not noticed the end of the former hastd is asked again") {
  NbdDevices devices;
  {
    Daemon killed(devices);
    killed.serve();
    killed.depart();
  }
  // The kernel's end is open and nobody has read the end of the former one's yet.
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
  ::close(std::exchange(devices.only().sockets[0], pair[0]));
  Daemon daemon(devices);
  daemon.serve();
  CHECK(devices.only().sockets[0] == pair[0]);
  ::close(pair[1]);
  daemon.run_until([&] { return !daemon.has_hung_up(); });
  daemon.send(nbd_write(1, 0, nbd_pattern(512, 1)));
  CHECK(daemon.answer(1) == 0);
}

TEST_CASE("a device that waits is taken over only if it fits the volume") {
  NbdDevices devices;
  const auto leave = [&](RamSinkOptions options) {
    Daemon killed(devices, options);
    killed.serve();
    killed.depart();
  };
  SECTION("one with other sectors is refused") { leave({8 * kMiB, 4096, 64}); }
  SECTION("a larger one is refused") { leave({16 * kMiB, 512, 64}); }
  SECTION("a smaller one is served as it is") {
    leave({4 * kMiB, 512, 64});
    Daemon daemon(devices);
    daemon.serve();
    CHECK(daemon.logged("keeps its 4194304 bytes while it is in use"));
    return;
  }
  Daemon daemon(devices);
  const Result<void> served = daemon.frontend->serve(daemon.sink);
  REQUIRE_FALSE(served);
  CHECK(served.error().code == hast::Errc::unsupported);
  CHECK(served.error().message().find("nbd-client -d /dev/nbd0") != std::string::npos);
  CHECK(devices.removed.empty());
}

TEST_CASE("the kernel of this machine is asked, and a clear word says if it has no NBD devices") {
  const auto kernel = device::nbd_kernel();
  if (kernel) {
    CHECK((*kernel)->find("hast/no device has this name").empty());
  } else {
    CHECK(kernel.error().code == hast::Errc::unsupported);
    CHECK(kernel.error().message().find("modprobe nbd") != std::string::npos);
  }
}
#endif
