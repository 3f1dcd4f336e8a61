#include "hast/adapter/net.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "awaiting.hpp"
#include "failing_syscall.hpp"
#include "support/catch.hpp"
#include "temp_dir.hpp"

namespace hast::adapter {
namespace {

using namespace std::chrono_literals;
using test::Pending;
using test::TempDir;
using Accepted = Result<std::unique_ptr<port::Stream>>;
using Counted = Result<std::size_t>;
using Family = Address::Family;

Address address_of(const std::string& text) {
  Result<Address> address = Address::parse(text, 0);
  if (!address) FAIL(address.error().message());
  return *address;
}

struct Pair {
  std::unique_ptr<port::Stream> client;
  std::unique_ptr<port::Stream> server;
};

struct World {
  std::unique_ptr<port::Listener> listen(const std::string& text) {
    auto listener = net.listen(address_of(text), io.get_executor());
    if (!listener) FAIL(listener.error().message());
    return std::move(*listener);
  }
  Accepted dial(const std::string& to, std::optional<Address> source = std::nullopt,
                std::chrono::milliseconds timeout = 10s) {
    return test::run(io, dialer->dial(address_of(to), source, timeout));
  }
  Pair connect(port::Listener& listener, std::optional<Address> source = std::nullopt) {
    Pending<Accepted> accepted(io, listener.accept());
    Accepted dialled = dial(listener.local(), source);
    if (!dialled) FAIL(dialled.error().message());
    Accepted server = accepted.get();
    REQUIRE(server);
    return {std::move(*dialled), std::move(*server)};
  }
  Counted read(port::Stream& stream, ByteSpan into) {
    return test::run(io, stream.read_some(into));
  }
  Counted write(port::Stream& stream, const std::string& text) {
    const std::array from{boost::asio::const_buffer(text.data(), text.size())};
    return test::run(io, stream.write_some(from));
  }
  std::string read_text(port::Stream& stream) {
    std::array<std::byte, 100> into;
    const Counted count = read(stream, into);
    if (!count) return std::string(to_string(count.error().code));
    return std::string(as_text(ConstByteSpan(into).first(*count)));
  }

  boost::asio::io_context io{1};
  AsioNet net;
  std::unique_ptr<port::Dialer> dialer = net.make_dialer(io.get_executor());
};

/// A plain socket, for what the adapters do not do.
struct RawSocket {
  explicit RawSocket(int family) : fd(::socket(family, SOCK_STREAM, 0)) { REQUIRE(fd >= 0); }
  ~RawSocket() { close(); }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;
  void close() {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  sockaddr_in bind_loopback() const {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof name;
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&name), length) == 0);
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) == 0);
    return name;
  }
  int connect_to(std::uint16_t port) const {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = htons(port);
    return ::connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name);
  }
  int fd;
};

std::uint16_t port_of(const port::Listener& listener) { return address_of(listener.local()).port; }

#if defined(__linux__)  // FreeBSD resets where a queue is full
/// A port on which connections are neither accepted nor refused: its queue is full.
struct BlackHole {
  BlackHole() {
    const sockaddr_in name = listener.bind_loopback();
    REQUIRE(::listen(listener.fd, 0) == 0);
    url = "tcp://127.0.0.1:" + std::to_string(ntohs(name.sin_port));
    for (int i = 0; i < 4; ++i) {
      queued.push_back(std::make_unique<RawSocket>(AF_INET));
      ::fcntl(queued.back()->fd, F_SETFL, O_NONBLOCK);
      (void)queued.back()->connect_to(ntohs(name.sin_port));
    }
  }
  RawSocket listener{AF_INET};
  std::vector<std::unique_ptr<RawSocket>> queued;
  std::string url;
};
#endif

bool have_ipv6() {
  const RawSocket probe(AF_INET6);
  sockaddr_in6 name{};
  name.sin6_family = AF_INET6;
  name.sin6_addr = in6addr_loopback;
  return ::bind(probe.fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
}

}  // namespace

TEST_CASE("Bytes cross a TCP connection both ways and both ends know each other") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  Pair pair = world.connect(*listener);
  CHECK(pair.client->peer() == listener->local());
  CHECK(pair.server->local() == listener->local());
  CHECK(pair.client->local() == pair.server->peer());
  CHECK(pair.client->peer_host() == "127.0.0.1");
  CHECK(pair.server->peer_host() == "127.0.0.1");

  CHECK(*world.write(*pair.client, "request") == 7);
  CHECK(world.read_text(*pair.server) == "request");
  CHECK(*world.write(*pair.server, "reply") == 5);
  CHECK(world.read_text(*pair.client) == "reply");
}

TEST_CASE("A write gathers its buffers") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  Pair pair = world.connect(*listener);
  const std::string header = "header ", payload = "payload";
  const std::array from{boost::asio::const_buffer(header.data(), header.size()),
                        boost::asio::const_buffer(payload.data(), payload.size())};
  CHECK(*test::run(world.io, pair.client->write_some(from)) == 14);
  CHECK(world.read_text(*pair.server) == "header payload");
}

TEST_CASE("The end of a stream is connection_closed, after the bytes before it") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  Pair pair = world.connect(*listener);
  CHECK(world.write(*pair.client, "half a fra"));
  pair.client->close();
  CHECK(world.read_text(*pair.server) == "half a fra");
  CHECK(world.read_text(*pair.server) == "connection_closed");
  CHECK(world.read_text(*pair.server) == "connection_closed");
}

TEST_CASE("A reset connection is connection_closed with its errno") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  Pending<Accepted> accepted(world.io, listener->accept());
  RawSocket client(AF_INET);
  REQUIRE(client.connect_to(port_of(*listener)) == 0);
  const Accepted server = accepted.get();
  REQUIRE(server);
  const linger reset{1, 0};
  REQUIRE(::setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
  client.close();
  std::array<std::byte, 8> into;
  const Counted count = world.read(**server, into);
  REQUIRE(!count);
  CHECK(count.error().code == Errc::connection_closed);
  CHECK(count.error().os_error == ECONNRESET);
  const Counted written = world.write(**server, "into the void");
  REQUIRE(!written);  // and no SIGPIPE
  CHECK(written.error().code == Errc::connection_closed);
}

TEST_CASE("close() ends the waits of both directions with cancelled") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  Pair pair = world.connect(*listener);
  std::array<std::byte, 8> into;
  Pending<Counted> reading(world.io, pair.client->read_some(into));
  // The peer does not read: after some megabytes a write has to wait.
  const std::string block(1 << 20, 'x');
  const std::array from{boost::asio::const_buffer(block.data(), block.size())};
  std::optional<Pending<Counted>> writing;
  for (int i = 0; i < 100; ++i) {
    writing.emplace(world.io, pair.client->write_some(from));
    if (!writing->done()) break;
  }
  REQUIRE(!reading.done());
  REQUIRE(!writing->done());
  pair.client->close();
  CHECK(reading.get().error().code == Errc::cancelled);
  CHECK(writing->get().error().code == Errc::cancelled);
  CHECK(world.read(*pair.client, into).error().code == Errc::cancelled);
  CHECK(world.write(*pair.client, "late").error().code == Errc::cancelled);
}

TEST_CASE("A closed listener cancels its accept and frees its address") {
  World world;
  auto listener = world.listen("tcp://127.0.0.1");
  const std::string url = listener->local();
  Pending<Accepted> accepting(world.io, listener->accept());
  CHECK(!accepting.done());
  listener->close();
  CHECK(accepting.get().error().code == Errc::cancelled);
  CHECK(test::run(world.io, listener->accept()).error().code == Errc::cancelled);
  const auto again = world.listen(url);  // while the old object still exists
  CHECK(again->local() == url);
  CHECK(listener->local() == url);
}

TEST_CASE("Addresses that cannot be listened on say why") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  const auto error_of = [&](const std::string& url) {
    const auto second = world.net.listen(address_of(url), world.io.get_executor());
    REQUIRE(!second);
    CHECK(second.error().detail.find(url) != std::string::npos);
    return second.error().code;
  };
  CHECK(error_of(listener->local()) == Errc::address_in_use);
  CHECK(error_of("tcp://192.0.2.1:8457") == Errc::address_invalid);  // TEST-NET: not ours
}

TEST_CASE("An IPv6 listener leaves IPv4 alone, and its peers are shown as IPv6") {
  if (!have_ipv6()) {
    WARN("no IPv6 loopback here: not tested");
    return;
  }
  World world;
  const auto listener = world.listen("tcp6://[::]");
  const std::string port = std::to_string(port_of(*listener));
  const auto both = world.listen("tcp://0.0.0.0:" + port);
  const auto loopback = world.listen("tcp://[::1]");
  const Pair pair = world.connect(*loopback);
  CHECK(pair.server->peer_host() == "::1");
  CHECK(pair.client->peer() == loopback->local());
  CHECK(loopback->local().rfind("tcp://[::1]:", 0) == 0);
}

TEST_CASE("Where nobody listens, a dial is unreachable at once") {
  World world;
  std::string url;
  {
    const auto listener = world.listen("tcp://127.0.0.1");
    url = listener->local();
  }
  const Accepted refused = world.dial(url);
  REQUIRE(!refused);
  CHECK(refused.error().code == Errc::unreachable);
  CHECK(refused.error().os_error == ECONNREFUSED);
  CHECK(refused.error().detail.find(url) != std::string::npos);
}

#if defined(__linux__)
TEST_CASE("A dial that is not answered ends at its time-out") {
  World world;
  const BlackHole hole;
  const auto begin = std::chrono::steady_clock::now();
  const Accepted outcome = world.dial(hole.url, std::nullopt, 150ms);
  REQUIRE(!outcome);
  CHECK(outcome.error().code == Errc::timed_out);
  CHECK(std::chrono::steady_clock::now() - begin >= 150ms);
}

TEST_CASE("A dial that is not answered can be cancelled, and the dialer used again") {
  World world;
  const BlackHole hole;
  const auto listener = world.listen("tcp://127.0.0.1");
  Pending<Accepted> dialling(world.io, world.dialer->dial(address_of(hole.url), std::nullopt, 1h));
  world.io.run_for(20ms);
  REQUIRE(!dialling.done());
  world.dialer->cancel();
  CHECK(dialling.get().error().code == Errc::cancelled);
  world.dialer->cancel();  // nothing under way: nothing happens
  CHECK(world.connect(*listener).server);
}

TEST_CASE("A dialer may go while its answer is still on the way") {
  World world;
  const BlackHole hole;
  Pending<Accepted> dialling(world.io, world.dialer->dial(address_of(hole.url), std::nullopt, 1h));
  world.dialer.reset();
  CHECK(dialling.get().error().code == Errc::cancelled);
  world.io.run();  // no wait is left behind
}

// All of 127/8 is local.
TEST_CASE("The source address is the one that the peer sees") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  const Pair pair = world.connect(*listener, address_of("tcp://127.0.0.9"));
  CHECK(pair.server->peer_host() == "127.0.0.9");
  CHECK(pair.client->local() == pair.server->peer());
}
#endif

TEST_CASE("A source address that is not this host's, or of another family, is invalid") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  for (const char* source : {"tcp://192.0.2.1", "tcp://[::1]:1234", "unix:///tmp/source"}) {
    const Accepted outcome = world.dial(listener->local(), address_of(source));
    REQUIRE(!outcome);
    CHECK(outcome.error().code == Errc::address_invalid);
    CHECK(outcome.error().detail.find("source address") != std::string::npos);
  }
}

TEST_CASE("Names and literals resolve to the numbers that peers are compared with") {
  World world;
  const auto resolve = [&](const std::string& text) {
    const Result<std::string> host = test::run(world.io, world.dialer->resolve(address_of(text)));
    return host ? *host : std::string(to_string(host.error().code));
  };
  CHECK(resolve("tcp://127.0.0.2:8457") == "127.0.0.2");
  CHECK(resolve("tcp6://[0:0::0:1]:8457") == "::1");
  CHECK(resolve("tcp6://[fe80::1%lo]:8457") == "fe80::1");  // the scope is this host's affair
  CHECK(resolve("tcp4://localhost") == "127.0.0.1");
  CHECK(resolve("tcp6://127.0.0.1") == "address_invalid");
  CHECK(resolve("tcp4://[::1]:8457") == "address_invalid");
  CHECK(resolve("unix:///run/a/long/path/that/no/internet/address/would/hold/hast.sock") == "");
  CHECK(resolve("tcp://no..host") == "address_invalid");
}

TEST_CASE("A dial resolves names, in the family that was asked for") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  const std::string port = std::to_string(port_of(*listener));
  Pending<Accepted> accepted(world.io, listener->accept());
  CHECK(world.dial("tcp4://localhost:" + port));
  CHECK(accepted.get());
  const Accepted wrong = world.dial("tcp6://127.0.0.1:" + port);
  REQUIRE(!wrong);
  CHECK(wrong.error().code == Errc::address_invalid);
}

TEST_CASE("Waiting for the resolver can be cancelled") {
  World world;
  Pending<Result<std::string>> resolving(world.io,
                                         world.dialer->resolve(address_of("tcp4://localhost")));
  const bool answered = resolving.done();  // not before cancel(), but another thread resolves
  world.dialer->cancel();
  const Result<std::string> host = resolving.get();
  if (answered) {
    CHECK(host);
  } else {
    REQUIRE(!host);
    CHECK(host.error().code == Errc::cancelled);
  }
}

TEST_CASE("A UNIX socket carries bytes and has no host") {
  World world;
  const TempDir dir;
  const std::string url = "unix://" + dir.file("sock");
  const auto listener = world.listen(url);
  CHECK(listener->local() == "uds://" + dir.file("sock"));
  Pair pair = world.connect(*listener);
  CHECK(pair.server->peer_host().empty());
  CHECK(pair.client->peer_host().empty());
  CHECK(pair.client->peer() == listener->local());
  CHECK(world.write(*pair.client, "hello"));
  CHECK(world.read_text(*pair.server) == "hello");
  struct stat made {};
  REQUIRE(::stat(dir.file("sock").c_str(), &made) == 0);
  CHECK((made.st_mode & 0007) == 0);  // not for everybody
}

TEST_CASE("A stale UNIX socket is replaced, one in use is not, and no other file") {
  World world;
  const TempDir dir;
  const std::string path = dir.file("sock");
  const std::string url = "unix://" + path;
  {
    const RawSocket dead(AF_UNIX);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path.data(), path.size());
    REQUIRE(::bind(dead.fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
    REQUIRE(::listen(dead.fd, 1) == 0);
  }
  REQUIRE(std::filesystem::exists(path));
  const auto listener = world.listen(url);
  const auto error_of = [&](const std::string& at) {
    const auto second = world.net.listen(address_of(at), world.io.get_executor());
    REQUIRE(!second);
    return second.error().code;
  };
  CHECK(error_of(url) == Errc::address_in_use);
  CHECK(world.connect(*listener).server);  // unharmed
  dir.make_text("text", "precious");
  CHECK(error_of("unix://" + dir.file("text")) == Errc::address_invalid);
  CHECK(test::read_text(dir.file("text")) == "precious");
  listener->close();
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("A UNIX socket that does not exist, or that nobody serves, is unreachable") {
  World world;
  const TempDir dir;
  CHECK(world.dial("unix://" + dir.file("none")).error().code == Errc::unreachable);
  CHECK(world.dial("unix://" + dir.make_text("text", "")).error().code == Errc::unreachable);
}

#if defined(__linux__)
TEST_CASE("Without descriptors an accept waits instead of spinning, and goes on afterwards") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  const RawSocket client(AF_INET);
  Pending<Accepted> accepting(world.io, listener->accept());
  REQUIRE(client.connect_to(port_of(*listener)) == 0);
  std::size_t turns = 0;
  bool accepted = false;
  const bool armed = test::run_with_failing(SYS_accept, EMFILE, [&] {
    turns = world.io.run_for(450ms);
    accepted = accepting.done();
  });
  if (!armed) WARN("no seccomp filters here: not tested");
  CHECK(turns < 30);
  CHECK(!accepted);
  CHECK(accepting.get());
}

TEST_CASE("Closing a listener that is out of descriptors ends its accept at once") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  const RawSocket client(AF_INET);
  Pending<Accepted> accepting(world.io, listener->accept());
  REQUIRE(client.connect_to(port_of(*listener)) == 0);
  const bool armed = test::run_with_failing(SYS_accept, EMFILE, [&] {
    world.io.run_for(20ms);
    CHECK(!accepting.done());
    listener->close();
    CHECK(accepting.get().error().code == Errc::cancelled);
  });
  if (!armed) WARN("no seccomp filters here: not tested");
}

TEST_CASE("A dial without descriptors is this host's trouble, not the peer's") {
  World world;
  const auto listener = world.listen("tcp://127.0.0.1");
  const bool armed = test::run_with_failing(SYS_socket, EMFILE, [&] {
    const Accepted outcome = world.dial(listener->local());
    REQUIRE(!outcome);
    CHECK(outcome.error().code == Errc::io_failed);
    CHECK(outcome.error().os_error == EMFILE);
  });
  if (!armed) WARN("no seccomp filters here: not tested");
}
#endif

}  // namespace hast::adapter
