#include "hast/adapter/ggate/frontend.hpp"

#include <atomic>
#include <random>
#include <thread>

#include "support/catch.hpp"
#include "support/fake_gate.hpp"
#include "support/frontend_daemon.hpp"

namespace asio = boost::asio;
namespace ggate = hast::adapter::ggate;
using namespace std::chrono_literals;
using hast::Error;
using hast::IoKind;
using hast::Result;
using hast::adapter::Departure;
using hast::test::FakeGate;
using hast::test::GateCommand;
using hast::test::GateKernel;
using hast::test::RamSink;

namespace {

constexpr std::uint64_t kBlock = hast::port::kBlockBytes;
constexpr std::uint64_t kMiB = 1024 * 1024;
const std::string kName = "hast/shared";

std::vector<std::byte> filled(std::uint64_t bytes, int value) {
  return std::vector<std::byte>(bytes, std::byte(value));
}

struct Daemon : hast::test::FrontendDaemon<ggate::GgateFrontend> {
  explicit Daemon(
      GateKernel& kernel_in, hast::test::RamSinkOptions sink_options = {8 * kMiB, 512, 64},
      std::function<void(ggate::GgateOptions&)> adjust = [](ggate::GgateOptions&) {})
      : FrontendDaemon(sink_options), kernel(kernel_in) {
    auto fake = std::make_unique<FakeGate>(kernel, kName);
    gate = fake.get();
    ggate::GgateOptions options;
    options.departure = &departure;
    options.limits.nudge_interval = 1ms;
    adjust(options);
    frontend.emplace(context.get_executor(), std::move(fake), std::move(options));
    REQUIRE(frontend->start());
    frontend->withdraw("the role is init", [] {});  // as a resource does when it starts
    settle();
  }

  /// SIGKILL. What is left of the object is cleaned up without the kernel noticing.
  void kill() {
    gate->kill();
    stop();
  }

  GateKernel::Outcome wait(const GateKernel::BioPtr& bio) {
    run_until([&] { return kernel.result(bio).done; });
    return kernel.result(bio);
  }
  int write(std::uint64_t offset, std::vector<std::byte> data) {
    return wait(kernel.write(kName, offset, std::move(data))).error;
  }
  void await_node() {
    run_until([&] { return kernel.has_node(kName); });
  }
  GateKernel& kernel;
  FakeGate* gate = nullptr;
};

}  // namespace

// In service --------------------------------------------------------------------------------------

TEST_CASE("the node of a gate device appears once what looks at new devices was answered") {
  GateKernel kernel;
  Daemon daemon(kernel);
  CHECK(daemon.frontend->location() == "/dev/hast/shared");
  daemon.serve();
  CHECK(kernel.exists(kName));
  CHECK_FALSE(kernel.has_node(kName));
  daemon.await_node();
  CHECK(kernel.size_of(kName) == 8 * kMiB);
}

TEST_CASE("what is written to a gate device is read back from it") {
  GateKernel kernel;
  Daemon daemon(kernel);
  daemon.serve();
  CHECK(daemon.write(512, filled(1024, 7)) == 0);
  const auto read = daemon.wait(kernel.read(kName, 0, 2048));
  CHECK(read.error == 0);
  CHECK(read.data[511] == std::byte(0));
  CHECK(read.data[512] == std::byte(7));
  CHECK(read.data[1535] == std::byte(7));
  CHECK(read.data[1536] == std::byte(0));
}

TEST_CASE("a request of 1 MiB reaches the sink in pieces that lie in one block each") {
  GateKernel kernel;
  kernel.tastes = 0;
  Daemon daemon(kernel);
  daemon.serve();
  daemon.sink.keep_journal();
  std::vector<std::byte> data(kMiB);
  std::mt19937 random(1);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  CHECK(daemon.write(kBlock - 512, data) == 0);
  const std::vector<RamSink::Entry> journal = daemon.sink.take_journal();
  REQUIRE(journal.size() == 9);
  CHECK(journal.front() == RamSink::Entry{IoKind::write, kBlock - 512, 512, false});
  CHECK(journal.back() == RamSink::Entry{IoKind::write, 8 * kBlock, kBlock - 512, false});
  const auto read = daemon.wait(kernel.read(kName, kBlock - 512, kMiB));
  CHECK(read.error == 0);
  CHECK(read.data == data);
}

TEST_CASE("deletes and flushes of a gate device reach the sink, unknown commands are refused") {
  GateKernel kernel;
  kernel.tastes = 0;
  Daemon daemon(kernel, {70 * kMiB, 512, 64});
  daemon.serve();
  CHECK(daemon.write(0, filled(512, 1)) == 0);
  daemon.sink.keep_journal();
  CHECK(daemon.wait(kernel.submit(kName, GateCommand::flush)).error == 0);
  CHECK(daemon.wait(kernel.submit(kName, GateCommand::remove, 0, 70 * kMiB)).error == 0);
  CHECK(daemon.wait(kernel.submit(kName, GateCommand::other)).error == EOPNOTSUPP);
  const std::vector<RamSink::Entry> expected{
      {IoKind::flush, 0, 0, false},
      {IoKind::discard, 0, 32 * kMiB, false},
      {IoKind::discard, 32 * kMiB, 32 * kMiB, false},
      {IoKind::discard, 64 * kMiB, 6 * kMiB, false},
  };
  CHECK(daemon.sink.take_journal() == expected);
  CHECK(daemon.sink.memory()[0] == std::byte(0));
}

TEST_CASE("requests of a gate device that make no sense are refused before the sink sees them") {
  GateKernel kernel;
  Daemon daemon(kernel);
  daemon.serve();
  CHECK(daemon.wait(kernel.read(kName, 8 * kMiB, 512)).error == EINVAL);
  CHECK(daemon.wait(kernel.read(kName, 8 * kMiB - 512, 1024)).error == EINVAL);
  CHECK(daemon.write(100, filled(512, 1)) == EINVAL);
  CHECK(daemon.write(512, filled(100, 1)) == EINVAL);
  CHECK(daemon.wait(kernel.submit(kName, GateCommand::remove, ~std::uint64_t{511}, 1024)).error ==
        EINVAL);
  CHECK(daemon.wait(kernel.read(kName, 0, 0)).error == 0);
  CHECK(daemon.sink.refused() == 0);
}

TEST_CASE("errors of the volume reach the clients of a gate device") {
  GateKernel kernel;
  Daemon daemon(kernel);
  daemon.serve();
  daemon.await_node();
  daemon.sink.fail(IoKind::read, 2 * kBlock, 1, ENXIO);
  daemon.sink.fail(IoKind::write, 2 * kBlock, 1, ENOSPC);
  daemon.sink.fail(IoKind::flush, 0, 1, EIO);
  CHECK(daemon.wait(kernel.read(kName, 0, kMiB)).error == ENXIO);
  CHECK(daemon.write(0, filled(kMiB, 1)) == ENOSPC);
  CHECK(daemon.write(0, filled(kBlock, 1)) == 0);
  CHECK(daemon.wait(kernel.submit(kName, GateCommand::flush)).error == EIO);
}

TEST_CASE("an EAGAIN of the volume is an EIO of the device: the kernel would repeat it for ever") {
  GateKernel kernel;
  Daemon daemon(kernel);
  daemon.serve();
  daemon.sink.fail(IoKind::write, 0, 1, EAGAIN);
  CHECK(daemon.write(0, filled(512, 1)) == EIO);
}

TEST_CASE("a request larger than the buffers of a gate device is taken with a larger one") {
  GateKernel kernel;
  Daemon daemon(kernel, {8 * kMiB, 512, 64},
                [](ggate::GgateOptions& options) { options.limits.buffer_bytes = 4096; });
  daemon.serve();
  CHECK(daemon.write(0, filled(4 * kMiB, 9)) == 0);
  const auto read = daemon.wait(kernel.read(kName, 0, 5 * kMiB));
  CHECK(read.error == 0);
  CHECK(read.data[4 * kMiB - 1] == std::byte(9));
  CHECK(read.data[4 * kMiB] == std::byte(0));
}

TEST_CASE("a request that is larger than any may be is an error, and is said") {
  GateKernel kernel;
  Daemon daemon(kernel, {64 * kMiB, 512, 64});
  daemon.serve();
  CHECK(daemon.wait(kernel.read(kName, 0, 40 * kMiB)).error == ENOMEM);
  // The kernel does not let go of a write that does not fit: it can only be waited for.
  const auto write = kernel.write(kName, 0, filled(40 * kMiB, 1));
  daemon.run_until([&] { return daemon.logged("a request of 41943040 bytes waits"); });
  CHECK_FALSE(kernel.result(write).done);
  daemon.withdraw();
  CHECK(kernel.result(write).error == ENXIO);
}

TEST_CASE("when the volume has no slot left, requests of a gate device wait, and all are done") {
  GateKernel kernel;
  Daemon daemon(kernel, {8 * kMiB, 512, 3});
  daemon.serve();
  std::vector<GateKernel::BioPtr> writes;
  for (int i = 0; i < 8; ++i)
    writes.push_back(
        kernel.write(kName, static_cast<std::uint64_t>(i) * kMiB, filled(kMiB, i + 1)));
  for (const auto& write : writes) CHECK(daemon.wait(write).error == 0);
  for (std::size_t i = 0; i < 8; ++i)
    CHECK(daemon.sink.memory()[i * kMiB + 12345] == std::byte(i + 1));
}

TEST_CASE("no more is taken from a gate device than can be held; the rest waits in the kernel") {
  GateKernel kernel;
  kernel.tastes = 0;
  Daemon daemon(kernel, {8 * kMiB, 512, 64},
                [](ggate::GgateOptions& options) { options.limits.exchanges = 4; });
  daemon.sink.hold();
  daemon.serve();
  std::vector<GateKernel::BioPtr> writes;
  for (std::uint64_t i = 0; i < 20; ++i)
    writes.push_back(kernel.write(kName, i * 512, filled(512, 1)));
  daemon.run_until([&] { return daemon.sink.submitted() == 4; });
  std::this_thread::sleep_for(20ms);  // more would have come by now, if it came
  daemon.settle();
  CHECK(kernel.taken(kName) == 4);
  CHECK(kernel.queued(kName) == 16);
  daemon.sink.unhold();
  for (const auto& write : writes) CHECK(daemon.wait(write).error == 0);
}

TEST_CASE("signals and refusals of the kernel do not end the service of a gate device") {
  GateKernel kernel;
  kernel.tastes = 0;
  Daemon daemon(kernel, {8 * kMiB, 512, 64},
                [](ggate::GgateOptions& options) { options.limits.threads = 1; });
  daemon.serve();
  kernel.disturb({EINTR, ECANCELED, EINTR});
  CHECK(daemon.write(0, filled(512, 1)) == 0);
  kernel.disturb({EFAULT});
  CHECK(daemon.write(512, filled(512, 1)) == 0);
  CHECK(daemon.logged("the kernel refuses to hand over requests"));
}

TEST_CASE("a gate device that cannot be made is a reason not to serve") {
  GateKernel kernel;
  kernel.create_error = ENFILE;
  Daemon daemon(kernel);
  const Result<void> served = daemon.frontend->serve(daemon.sink);
  REQUIRE_FALSE(served);
  CHECK(served.error().code == hast::Errc::io_failed);
  CHECK(served.error().os_error == ENFILE);
  CHECK(served.error().detail == "/dev/hast/shared cannot be created");
  daemon.serve();  // later it can
  CHECK(daemon.write(0, filled(512, 1)) == 0);
}

TEST_CASE("a volume that was resized resizes its gate device") {
  GateKernel kernel;
  Daemon daemon(kernel);
  CHECK_FALSE(daemon.frontend->volume_resized());
  daemon.serve();
  CHECK(daemon.frontend->volume_resized());
  CHECK(kernel.size_of(kName) == 8 * kMiB);
}

// Reads past hastd --------------------------------------------------------------------------------

namespace {

const std::string kDisk = "/dev/da1p3";
constexpr std::uint64_t kDataOffset = 64 * 1024;

/// A device of 8 MiB whose kernel knows its component, filled with 5 where the sink holds zeros.
struct DirectDaemon {
  explicit DirectDaemon(bool wanted = true)
      : disk(filled(kDataOffset + 8 * kMiB, 5)),
        daemon(kernel, {8 * kMiB, 512, 64},
               [wanted](ggate::GgateOptions& options) { options.direct_reads = wanted; }) {
    kernel.tastes = 0;
    kernel.providers[kDisk] = disk;
    std::fill_n(disk.begin(), kDataOffset, std::byte(1));
    daemon.serve();
  }
  void allow() { daemon.frontend->read_from(hast::port::LocalCopy{kDisk, kDataOffset}); }
  void forbid() { daemon.frontend->read_from(std::nullopt); }
  /// What a client finds in the first sector.
  std::byte first() { return daemon.wait(kernel.read(kName, 0, 512)).data[0]; }

  GateKernel kernel;
  std::vector<std::byte> disk;
  Daemon daemon;
};

}  // namespace

TEST_CASE("INV-6: a gate device reads from the component while it may, and no moment longer") {
  DirectDaemon direct;
  CHECK(direct.first() == std::byte(0));
  direct.daemon.sink.keep_journal();
  direct.allow();
  CHECK(direct.first() == std::byte(5));
  CHECK(direct.daemon.sink.take_journal().empty());
  CHECK(direct.daemon.write(0, filled(512, 7)) == 0);  // writes are hastd's
  CHECK(direct.daemon.sink.take_journal().size() == 1);
  direct.forbid();
  CHECK(direct.first() == std::byte(7));
  direct.allow();
  CHECK(direct.first() == std::byte(5));
  CHECK(direct.daemon.times_logged("go straight to /dev/da1p3") == 2);
}

TEST_CASE("a gate device of a component that the kernel cannot read goes on through hastd") {
  DirectDaemon direct;
  direct.daemon.frontend->read_from(hast::port::LocalCopy{"/var/shared.img", kDataOffset});
  CHECK(direct.first() == std::byte(0));
  CHECK(direct.daemon.logged("the kernel cannot read /var/shared.img by itself"));
  direct.daemon.frontend->read_from(hast::port::LocalCopy{kDisk, kDataOffset + 512});
  CHECK(direct.first() == std::byte(0));
  direct.forbid();
  CHECK(direct.first() == std::byte(0));
}

TEST_CASE("a gate device whose reads are to come through hastd never reads by itself") {
  DirectDaemon direct(false);
  direct.allow();
  CHECK(direct.first() == std::byte(0));
  CHECK_FALSE(direct.kernel.reads_directly(kName));
}

TEST_CASE("INV-6: a gate device that cannot be kept from reading by itself is removed") {
  DirectDaemon direct;
  direct.allow();
  direct.kernel.reads_for_ever = true;
  direct.forbid();
  CHECK_FALSE(direct.kernel.exists(kName));
  CHECK(direct.daemon.logged("goes on reading from a component that is not current any more"));
  direct.daemon.settle();
  CHECK_FALSE(direct.daemon.logged("by somebody else"));
}

TEST_CASE("INV-6: a gate device that is taken over does not go on reading by itself") {
  DirectDaemon direct;
  direct.allow();
  direct.daemon.kill();
  CHECK(direct.kernel.reads_directly(kName));
  Daemon next(direct.kernel);
  SECTION("the component may have grown old meanwhile") {
    next.serve();
    CHECK_FALSE(direct.kernel.reads_directly(kName));
    CHECK(next.wait(direct.kernel.read(kName, 0, 512)).data[0] == std::byte(0));
  }
  SECTION("or it is not taken over") {
    direct.kernel.reads_for_ever = true;
    const Result<void> served = next.frontend->serve(next.sink);
    REQUIRE_FALSE(served);
    CHECK(served.error().detail == "/dev/hast/shared goes on reading from a component by itself");
  }
}

TEST_CASE("a gate device that waits for the next hastd does not read meanwhile") {
  DirectDaemon direct;
  direct.allow();
  direct.daemon.departure.come_back();
  direct.daemon.withdraw();
  CHECK_FALSE(direct.kernel.reads_directly(kName));
  const auto read = direct.kernel.read(kName, 0, 512);
  CHECK_FALSE(direct.kernel.result(read).done);
}

TEST_CASE("what is said of reads of a gate device that is not served is of no consequence") {
  DirectDaemon direct;
  direct.daemon.withdraw();
  direct.allow();
  direct.forbid();
  direct.daemon.serve();
  CHECK(direct.first() == std::byte(0));
  CHECK(direct.kernel.destroy(kName) == 0);  // somebody else
  direct.allow();
  direct.forbid();
}

// Out of service ----------------------------------------------------------------------------------

TEST_CASE("withdrawing a gate device removes it, and its clients get ENXIO") {
  GateKernel kernel;
  Daemon daemon(kernel);
  daemon.serve();
  daemon.await_node();
  daemon.withdraw();
  CHECK_FALSE(kernel.exists(kName));
  CHECK(daemon.write(0, filled(512, 1)) == ENXIO);
  daemon.serve();  // and back
  CHECK(daemon.write(0, filled(512, 1)) == 0);
}

TEST_CASE("a withdrawal under I/O ends when the volume has its slots back") {
  GateKernel kernel;
  kernel.tastes = 0;
  Daemon daemon(kernel, {8 * kMiB, 512, 4},
                [](ggate::GgateOptions& options) { options.limits.exchanges = 8; });
  daemon.sink.hold();
  daemon.serve();
  std::vector<GateKernel::BioPtr> writes;
  for (std::uint64_t i = 0; i < 12; ++i)
    writes.push_back(kernel.write(kName, i * kBlock, filled(kBlock, 1)));
  daemon.run_until([&] { return daemon.sink.submitted() == 4 && kernel.taken(kName) == 8; });
  bool done = false;
  daemon.frontend->withdraw("demotion", [&] { done = true; });
  for (const auto& write : writes) CHECK(daemon.wait(write).error == ENXIO);
  daemon.run_until([&] { return !kernel.exists(kName); });
  for (int i = 0; i < 20; ++i) {
    daemon.settle();
    std::this_thread::sleep_for(1ms);
  }
  CHECK_FALSE(done);
  CHECK(daemon.sink.waiters() == 0);
  CHECK(daemon.sink.submitted() == 4);  // nothing new
  daemon.sink.unhold();
  daemon.run_until([&] { return done; });
  CHECK(daemon.sink.all_free());
}

TEST_CASE("a gate device is removed and resized while another one of this process is looked at") {
  GateKernel kernel;
  Daemon daemon(kernel);
  daemon.serve();
  daemon.await_node();
  // The other one is served by the same loop; what waits for it must not stop that.
  kernel.begin_tasting_elsewhere();
  auto answer_there = [&] { asio::post(daemon.context, [&] { kernel.end_tasting_elsewhere(); }); };
  SECTION("removed") {
    bool done = false;
    daemon.frontend->withdraw("demotion", [&] { done = true; });
    answer_there();
    daemon.run_until([&] { return done; });
    CHECK_FALSE(kernel.exists(kName));
    CHECK_FALSE(daemon.logged("cannot be removed"));
  }
  SECTION("resized") {
    CHECK(daemon.frontend->volume_resized());
    answer_there();
    CHECK(daemon.write(0, filled(512, 1)) == 0);
    daemon.withdraw();
    CHECK_FALSE(daemon.logged("cannot be resized"));
  }
}

TEST_CASE("who waits for a gate device is told when there is a node, or that there will be none") {
  GateKernel kernel;
  Daemon daemon(kernel);
  bool open = false;
  daemon.frontend->when_open([&] { open = true; });
  CHECK(open);  // nothing is served
  daemon.sink.hold();
  daemon.serve();
  open = false;
  daemon.frontend->when_open([&] { open = true; });
  daemon.run_until([&] { return kernel.taken(kName) > 0; });
  CHECK_FALSE(open);
  SECTION("there is one") {
    daemon.sink.unhold();
    daemon.run_until([&] { return open; });
    CHECK(kernel.has_node(kName));
  }
  SECTION("there will be none") {
    bool done = false;
    daemon.frontend->withdraw("demotion", [&] { done = true; });
    daemon.run_until([&] { return open; });
    CHECK_FALSE(kernel.has_node(kName));
    daemon.sink.unhold();
    daemon.run_until([&] { return done; });
  }
}

TEST_CASE("a gate device that cannot be removed does not hold up the withdrawal, and is said") {
  GateKernel kernel;
  Daemon daemon(kernel);
  daemon.serve();
  daemon.await_node();
  kernel.destroy_error = EPERM;
  daemon.withdraw();
  CHECK(kernel.exists(kName));
  CHECK(daemon.logged("cannot be removed"));
}

TEST_CASE("every withdrawal of a gate device is told") {
  GateKernel kernel;
  Daemon daemon(kernel);
  daemon.serve();
  int told = 0;
  daemon.frontend->withdraw("one", [&] { ++told; });
  daemon.frontend->withdraw("two", [&] { ++told; });
  daemon.run_until([&] { return told == 2; });
}

TEST_CASE("a gate device that somebody else removes is said, and comes back with the role") {
  GateKernel kernel;
  Daemon daemon(kernel);
  daemon.serve();
  daemon.await_node();
  CHECK(kernel.destroy(kName) == 0);
  daemon.run_until([&] { return daemon.logged("was removed by somebody else"); });
  daemon.withdraw();
  daemon.serve();
  CHECK(daemon.write(0, filled(512, 1)) == 0);
}

// Death and return --------------------------------------------------------------------------------

TEST_CASE("after kill -9 the waiting I/O of a gate device completes with the next hastd") {
  GateKernel kernel;
  kernel.tastes = 0;
  std::vector<GateKernel::BioPtr> writes;
  {
    Daemon killed(kernel);
    killed.sink.hold();
    killed.serve();
    for (std::uint64_t i = 0; i < 5; ++i)
      writes.push_back(kernel.write(kName, i * 512, filled(512, static_cast<int>(i) + 1)));
    killed.run_until([&] { return killed.sink.submitted() == 5; });
    killed.kill();
  }
  REQUIRE(kernel.exists(kName));
  CHECK(kernel.taken(kName) == 5);
  writes.push_back(kernel.write(kName, 5 * 512, filled(512, 6)));  // while nobody is there
  Daemon next(kernel);
  CHECK(kernel.exists(kName));  // role init touches nothing
  next.serve();
  CHECK(next.logged("Took over /dev/hast/shared"));
  for (const auto& write : writes) CHECK(next.wait(write).error == 0);
  for (std::size_t i = 0; i < 6; ++i) CHECK(next.sink.memory()[i * 512] == std::byte(i + 1));
}

TEST_CASE("a gate device is taken over by a larger volume and refused by one it does not fit") {
  GateKernel kernel;
  kernel.tastes = 0;
  {
    Daemon killed(kernel);
    killed.serve();
    killed.kill();
  }
  SECTION("larger") {
    Daemon next(kernel, {16 * kMiB, 512, 64});
    next.serve();
    next.run_until([&] { return kernel.size_of(kName) == 16 * kMiB; });
    CHECK(next.write(12 * kMiB, filled(512, 1)) == 0);
  }
  SECTION("smaller") {
    Daemon next(kernel, {4 * kMiB, 512, 64});
    const Result<void> served = next.frontend->serve(next.sink);
    REQUIRE_FALSE(served);
    CHECK(served.error().code == hast::Errc::unsupported);
    CHECK(served.error().detail.find("exists with 8388608 bytes in sectors of 512, the volume has "
                                     "4194304") != std::string::npos);
    CHECK(kernel.exists(kName));
    CHECK(kernel.size_of(kName) == 8 * kMiB);
  }
  SECTION("other sectors") {
    Daemon next(kernel, {8 * kMiB, 4096, 64});
    CHECK_FALSE(next.frontend->serve(next.sink));
    CHECK(kernel.exists(kName));
  }
  SECTION("not taken over by the kernel") {
    Daemon next(kernel);
    kernel.cancel_error = ENXIO;
    const Result<void> served = next.frontend->serve(next.sink);
    REQUIRE_FALSE(served);
    CHECK(served.error().detail == "/dev/hast/shared cannot be taken over");
  }
}

TEST_CASE("a gate device whose maker died before its node appeared gets the volume's size") {
  GateKernel kernel;
  {
    Daemon killed(kernel);
    killed.serve();
    killed.kill();
  }
  REQUIRE_FALSE(kernel.has_node(kName));
  Daemon next(kernel, {4 * kMiB, 512, 64});
  next.serve();
  next.run_until([&] { return kernel.size_of(kName) == 4 * kMiB; });
  next.await_node();
  CHECK(next.write(0, filled(512, 1)) == 0);
}

TEST_CASE("a gate device that nobody could open yet is removed before its component is opened") {
  GateKernel kernel;
  Daemon killed(kernel);
  killed.serve();
  SECTION("it has no node") {
    killed.kill();
    Daemon next(kernel);
    bool prepared = false;
    next.frontend->prepare([&] { prepared = true; });
    CHECK_FALSE(prepared);
    next.run_until([&] { return prepared; });
    CHECK_FALSE(kernel.exists(kName));
    next.serve();
    next.await_node();
  }
  SECTION("it has one: somebody may wait for it") {
    killed.await_node();
    killed.kill();
    const auto waiting = kernel.write(kName, 0, filled(512, 1));
    Daemon next(kernel);
    bool prepared = false;
    next.frontend->prepare([&] { prepared = true; });
    next.run_until([&] { return prepared; });
    next.serve();
    CHECK(next.wait(waiting).error == 0);
  }
}

TEST_CASE(
    "a look at a gate device that a hastd died under fails, all else waits for the next one") {
  GateKernel kernel;
  {
    Daemon killed(kernel);
    killed.serve();
    killed.await_node();
    killed.kill();
  }
  const auto look = kernel.look_again(kName);
  const auto waiting = kernel.write(kName, 512, filled(512, 1));
  Daemon next(kernel, {8 * kMiB, 512, 64},
              [](ggate::GgateOptions& options) { options.look_patience = 10ms; });
  bool prepared = false;
  next.frontend->prepare([&] { prepared = true; });
  next.run_until([&] { return prepared; });
  CHECK(kernel.result(look).error == EIO);
  CHECK_FALSE(kernel.result(waiting).done);
  next.serve();
  CHECK(next.wait(waiting).error == 0);
  const auto read = next.wait(kernel.read(kName, 512, 512));
  CHECK(read.data == filled(512, 1));
}

TEST_CASE("a gate device left behind loses no read while the kernel looks at nothing") {
  GateKernel kernel;
  {
    Daemon killed(kernel);
    killed.serve();
    killed.await_node();
    killed.kill();
  }
  const auto waiting = kernel.read(kName, 0, 512);
  Daemon next(kernel, {8 * kMiB, 512, 64},
              [](ggate::GgateOptions& options) { options.look_patience = 1h; });
  bool prepared = false;
  next.frontend->prepare([&] { prepared = true; });
  next.run_until([&] { return prepared; });
  CHECK_FALSE(kernel.result(waiting).done);
  next.serve();
  CHECK(next.wait(waiting).error == 0);
}

TEST_CASE("a gate device left behind is removed by the role secondary and by a stop for good") {
  GateKernel kernel;
  {
    Daemon killed(kernel);
    killed.serve();
    killed.await_node();
    killed.kill();
  }
  const auto waiting = kernel.write(kName, 0, filled(512, 1));
  SECTION("secondary: what waits must not be written here later") {
    Daemon next(kernel);
    REQUIRE(kernel.exists(kName));
    next.withdraw();
  }
  SECTION("stop") {
    Daemon next(kernel);
    bool stopped = false;
    next.frontend->stop([&] { stopped = true; });
    next.run_until([&] { return stopped; });
    next.frontend.reset();
  }
  CHECK_FALSE(kernel.exists(kName));
  CHECK(kernel.result(waiting).error == ENXIO);
}

TEST_CASE("a hastd that comes back leaves its gate device, and finishes what is on its way") {
  GateKernel kernel;
  kernel.tastes = 0;
  std::vector<GateKernel::BioPtr> writes;
  {
    Daemon first(kernel, {8 * kMiB, 512, 4}, [](ggate::GgateOptions& options) {
      options.limits.threads = 1;  // so they come in their order
    });
    first.sink.fail(IoKind::write, kBlock, 1, ENOTCONN);  // the peer goes, too
    first.sink.hold();
    first.serve();
    for (std::uint64_t i = 0; i < 12; ++i)
      writes.push_back(kernel.write(kName, i * kBlock, filled(kBlock, static_cast<int>(i) + 1)));
    first.run_until([&] { return first.sink.submitted() == 4 && kernel.taken(kName) == 12; });
    first.departure.come_back();
    bool done = false;
    first.frontend->withdraw("upgrade", [&] { done = true; });
    first.sink.unhold();
    first.run_until([&] { return done; });
    CHECK(first.logged("its requests wait for the next hastd"));
    // Three of the four that the sink had succeeded.
    CHECK(std::count_if(writes.begin(), writes.end(),
                        [&](const auto& write) { return kernel.result(write).done; }) == 3);
    for (const auto& write : writes) CHECK(kernel.result(write).error == 0);
    CHECK(kernel.taken(kName) == 0);
    CHECK(kernel.queued(kName) == 9);
    first.stop();
  }
  CHECK(kernel.exists(kName));
  Daemon next(kernel);
  next.serve();
  for (const auto& write : writes) CHECK(next.wait(write).error == 0);
  for (const std::size_t i : {1, 4, 5, 6, 7, 8, 9, 10, 11})
    CHECK(next.sink.memory()[i * kBlock] == std::byte(i + 1));
}

TEST_CASE("a hastd that comes back wakes its threads until they have noticed") {
  GateKernel kernel;
  for (int round = 0; round < 20; ++round) {
    Daemon daemon(kernel);
    daemon.serve();
    if (round % 2 == 0) daemon.await_node();
    daemon.departure.come_back();
    daemon.withdraw();
    CHECK(kernel.exists(kName));
    CHECK(kernel.taken(kName) == 0);
  }
}

TEST_CASE("a gate device keeps every acknowledged write through restarts under load") {
  constexpr int kClients = 3;
  constexpr std::uint64_t kShare = 2 * kMiB;  // of each client
  GateKernel kernel;
  std::atomic<bool> stopping{false};
  std::atomic<int> failures{0};
  std::vector<std::byte> memory(kClients * kShare);
  std::vector<std::vector<std::byte>> expected(kClients, std::vector<std::byte>(kShare));

  auto client = [&](int number) {
    std::mt19937 random(static_cast<unsigned>(number));
    const std::uint64_t base = static_cast<std::uint64_t>(number) * kShare;
    std::vector<std::byte>& mine = expected[static_cast<std::size_t>(number)];
    auto finished = [&](const GateKernel::BioPtr& bio) {
      GateKernel::Outcome outcome;
      while (!(outcome = kernel.result(bio)).done) std::this_thread::sleep_for(50us);
      if (outcome.error != 0) ++failures;
      return outcome;
    };
    while (!stopping) {
      const std::uint64_t offset = random() % (kShare / 512) * 512;
      const std::uint64_t length =
          std::min<std::uint64_t>((1 + random() % 700) * 512, kShare - offset);
      if (random() % 3 == 0) {
        const auto outcome = finished(kernel.read(kName, base + offset, length));
        if (!std::equal(outcome.data.begin(), outcome.data.end(),
                        mine.begin() + static_cast<std::ptrdiff_t>(offset)))
          ++failures;
      } else {
        const std::vector<std::byte> data = filled(length, static_cast<int>(random()));
        finished(kernel.write(kName, base + offset, data));
        std::copy(data.begin(), data.end(), mine.begin() + static_cast<std::ptrdiff_t>(offset));
      }
    }
  };

  std::vector<std::thread> clients;
  for (int round = 0; round < 12; ++round) {
    Daemon daemon(kernel, {kClients * kShare, 512, 8},
                  [](ggate::GgateOptions& options) { options.limits.exchanges = 6; });
    std::copy(memory.begin(), memory.end(), daemon.sink.memory());  // one disk, many hastds
    daemon.serve();
    if (round == 0) {
      for (int i = 0; i < kClients; ++i) clients.emplace_back(client, i);
    }
    const auto until = std::chrono::steady_clock::now() + 40ms;
    daemon.run_until([&] { return std::chrono::steady_clock::now() > until; });
    if (round == 11) {  // the last one answers everything
      stopping = true;
      std::thread joiner([&] {
        for (std::thread& thread : clients) thread.join();
        asio::post(daemon.context, [&] { clients.clear(); });
      });
      daemon.run_until([&] { return clients.empty(); });
      joiner.join();
    } else if (round % 2 == 0) {
      daemon.departure.come_back();
      daemon.withdraw();
    } else {
      daemon.kill();
    }
    std::copy(daemon.sink.memory(), daemon.sink.memory() + memory.size(), memory.begin());
  }
  CHECK(failures == 0);
  for (std::size_t i = 0; i < kClients; ++i)
    CHECK(std::equal(expected[i].begin(), expected[i].end(),
                     memory.begin() + static_cast<std::ptrdiff_t>(i * kShare)));
}
