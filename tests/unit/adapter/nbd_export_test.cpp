#include "hast/adapter/nbd/export.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <cstring>
#include <filesystem>
#include <future>
#include <thread>

#include "support/catch.hpp"
#include "support/frontend_daemon.hpp"
#include "support/nbd_bytes.hpp"

namespace nbd = hast::adapter::nbd;
namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;
using hast::Address;
using hast::test::nbd_option;
using hast::test::nbd_pattern;
using hast::test::nbd_query;
using hast::test::nbd_request;
using hast::test::nbd_write;
using hast::test::OptionReply;
using hast::test::RamSink;
using hast::test::ReplyParser;
using hast::test::Wire;

namespace {

constexpr std::uint64_t kBlock = hast::port::kBlockBytes;

nbd::NbdOptions options_for(Address listen) {
  nbd::NbdOptions options;
  options.listen = std::move(listen);
  options.export_name = "shared";
  options.description = "a test";
  return options;
}

struct Server : hast::test::FrontendDaemon<nbd::NbdExport> {
  explicit Server(
      std::function<void(nbd::NbdOptions&)> adjust = [](nbd::NbdOptions&) {},
      hast::test::RamSinkOptions sink_options = {4 << 20, 512, 16})
      : FrontendDaemon(sink_options) {
    std::string pattern = (fs::temp_directory_path() / "hast-nbd-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder = pattern;
    path = folder + "/s";
    nbd::NbdOptions options = options_for({Address::Family::unix_socket, path, 0});
    // Nothing may depend on these, so they never pass, except where a test says so.
    options.limits.connection.handshake_timeout = 1h;
    options.limits.connection.drain_timeout = 1h;
    adjust(options);
    frontend.emplace(context.get_executor(), std::move(options));
    const auto started = frontend->start();
    REQUIRE(started);
  }
  ~Server() {
    if (frontend) stop();
    fs::remove_all(folder);
  }

  std::string folder;
  std::string path;
};

/// A client's socket; waiting for it runs the server.
class Client {
 public:
  explicit Client(Server& server) : server_(server), fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, server.path.data(), server.path.size());
    connect(reinterpret_cast<sockaddr*>(&name), sizeof name);
  }
  Client(Server& server, std::uint16_t port)
      : server_(server), fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect(reinterpret_cast<sockaddr*>(&name), sizeof name);
  }
  ~Client() { hang_up(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void hang_up() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void end_of_requests() { ::shutdown(fd_, SHUT_WR); }

  void send(const Wire& wire) {
    std::string_view rest = wire.str();
    server_.run_until([&] {
      const ssize_t sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent > 0) rest.remove_prefix(static_cast<std::size_t>(sent));
      return rest.empty();
    });
  }
  /// Before the server sees any of it.
  void send_at_once(const Wire& wire) {
    const std::string_view all = wire.str();
    const int room = 1 << 20;
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    REQUIRE(::send(fd_, all.data(), all.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(all.size()));
  }
  std::string receive(std::size_t bytes) {
    std::string received;
    server_.run_until([&] {
      char chunk[65536];
      const std::size_t want = std::min(sizeof chunk, bytes - received.size());
      const ssize_t got = ::recv(fd_, chunk, want, 0);
      if (got > 0) received.append(chunk, static_cast<std::size_t>(got));
      REQUIRE((got != 0 || want == 0));  // closed too early
      return received.size() == bytes;
    });
    return received;
  }
  /// What still arrives until the server closes.
  std::string receive_rest() {
    std::string received;
    server_.run_until([&] {
      char chunk[65536];
      const ssize_t got = ::recv(fd_, chunk, sizeof chunk, 0);
      if (got > 0) received.append(chunk, static_cast<std::size_t>(got));
      return got == 0 || (got < 0 && errno != EAGAIN);
    });
    return received;
  }

  void greet(std::uint32_t flags = 3) {
    CHECK(receive(18).substr(0, 16) == "NBDMAGICIHAVEOPT");
    send(Wire{}.u32(flags));
  }
  /// The replies to one option, up to the final one.
  std::vector<OptionReply> ask(std::uint32_t option, std::string_view data = {}) {
    send(nbd_option(option, data));
    std::vector<OptionReply> replies;
    do {
      std::string bytes = receive(20);
      bytes += receive(hast::load_be<std::uint32_t>(hast::as_bytes(bytes).data() + 16));
      ReplyParser parser(bytes);
      replies.push_back(parser.option_reply());
      REQUIRE(parser.valid());
      REQUIRE(replies.back().option == option);
    } while (replies.back().type == 2 || replies.back().type == 3);
    return replies;
  }
  OptionReply final_reply(std::uint32_t option, std::string_view data = {}) {
    return ask(option, data).back();
  }
  void go() {
    greet();
    REQUIRE(final_reply(nbd::NBD_OPT_GO, nbd_query("shared")).type == nbd::NBD_REP_ACK);
  }
  /// The error of the next simple reply, without data.
  std::uint32_t answer(std::uint64_t cookie) {
    const std::string bytes = receive(16);
    ReplyParser parser(bytes);
    const auto reply = parser.simple();
    REQUIRE(parser.valid());
    CHECK(reply.cookie == cookie);
    return reply.error;
  }

 private:
  void connect(const sockaddr* name, socklen_t length) {
    REQUIRE(fd_ >= 0);
    REQUIRE(::connect(fd_, name, length) == 0);
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
  }

  Server& server_;
  int fd_;
};

}  // namespace

TEST_CASE("A client negotiates, writes, reads, flushes and leaves") {
  Server server;
  server.serve();
  Client client(server);
  client.go();
  const std::string data = nbd_pattern(3 * kBlock, 1);
  client.send(nbd_write(1, 512, data));
  CHECK(client.answer(1) == 0);
  client.send(nbd_request(3, 2, 0, 0));
  CHECK(client.answer(2) == 0);
  client.send(nbd_request(0, 3, 512, 3 * kBlock));
  const std::string reply = client.receive(16 + data.size());
  CHECK(reply.substr(16) == data);
  client.send(nbd_request(2, 4, 0, 0));
  CHECK(client.receive_rest().empty());
  server.run_until([&] { return server.frontend->connections() == 0; });
  CHECK(server.sink.all_free());
}

TEST_CASE("The export is reached by TCP too") {
  Server server([](nbd::NbdOptions& options) {
    options.listen = {Address::Family::v4, "127.0.0.1", 0};
  });
  server.serve();
  const std::string location = server.frontend->location();
  REQUIRE(location.substr(0, 16) == "nbd://127.0.0.1:");
  const auto port = static_cast<std::uint16_t>(std::stoi(location.substr(16)));
  CHECK(location == "nbd://127.0.0.1:" + std::to_string(port) + "/shared");
  Client client(server, port);
  client.go();
  const std::string data = nbd_pattern(1 << 20, 1);
  client.send(nbd_write(1, 0, data));
  CHECK(client.answer(1) == 0);
  client.send(nbd_request(0, 2, 0, 1 << 20));
  CHECK(client.receive(16 + data.size()).substr(16) == data);
}

TEST_CASE("The location is a URI that clients understand, whatever the name is") {
  asio::io_context context;
  nbd::NbdOptions options = options_for({Address::Family::unix_socket, "/run/a b/s.sock", 0});
  options.export_name = "my disk?";
  const nbd::NbdExport unix_export(context.get_executor(), options);
  CHECK(unix_export.location() == "nbd+unix:///my%20disk%3F?socket=/run/a%20b/s.sock");
  options.listen = {Address::Family::v6, "::1", 10809};
  const nbd::NbdExport tcp_export(context.get_executor(), options);
  CHECK(tcp_export.location() == "nbd://[::1]:10809/my%20disk%3F");
}

TEST_CASE("Before it is served and after it is withdrawn the export is refused with the reason") {
  Server server;
  Client client(server);
  client.greet();
  OptionReply refused = client.final_reply(nbd::NBD_OPT_GO, nbd_query("shared"));
  CHECK(refused.type == nbd::NBD_REP_ERR_POLICY);
  CHECK_FALSE(refused.data.empty());

  server.withdraw("resource shared is secondary on this node");
  refused = client.final_reply(nbd::NBD_OPT_INFO, nbd_query("shared"));
  CHECK(refused.type == nbd::NBD_REP_ERR_POLICY);
  CHECK(refused.data == "resource shared is secondary on this node");

  server.serve();
  CHECK(client.final_reply(nbd::NBD_OPT_GO, nbd_query("shared")).type == nbd::NBD_REP_ACK);
  client.send(nbd_request(3, 1, 0, 0));
  CHECK(client.answer(1) == 0);

  Client waiting(server);
  waiting.greet();
  server.withdraw("resource shared changes its role");
  CHECK(client.receive_rest().empty());
  refused = waiting.final_reply(nbd::NBD_OPT_GO, nbd_query("shared"));
  CHECK(refused.data == "resource shared changes its role");
  CHECK(waiting.final_reply(nbd::NBD_OPT_ABORT).type == nbd::NBD_REP_ACK);
  CHECK(waiting.receive_rest().empty());
}

TEST_CASE("A client of an old kind is disconnected when the export is closed") {
  Server server;
  Client client(server);
  client.greet(0);
  client.send(nbd_option(nbd::NBD_OPT_EXPORT_NAME, "shared"));
  CHECK(client.receive_rest().empty());
  server.serve();
  Client again(server);
  again.greet(0);
  again.send(nbd_option(nbd::NBD_OPT_EXPORT_NAME, "shared"));
  CHECK(again.receive(134).substr(0, 8) == Wire{}.u64(4 << 20).str());
  again.send(nbd_request(3, 1, 0, 0));
  CHECK(again.answer(1) == 0);
}

TEST_CASE("Withdrawing waits for what the sink has, answers it and then disconnects") {
  Server server;
  server.serve();
  Client client(server);
  client.go();
  server.sink.hold();
  client.send(nbd_write(1, 0, nbd_pattern(4096, 1)));
  client.send(nbd_request(1, 2, 0, 4096).fill(100, 'x'));  // never whole
  server.run_until([&] { return server.sink.free_slots() == 14; });

  bool done = false;
  server.frontend->withdraw("gone", [&] { done = true; });
  server.settle();
  CHECK_FALSE(done);
  server.sink.unhold();
  server.run_until([&] { return done; });
  CHECK(server.sink.all_free());
  CHECK(client.receive_rest() == Wire{}.u32(0x67446698).u32(0).u64(1).str());
}

TEST_CASE("A client that reads nothing does not keep the export from being withdrawn") {
  Server server([](nbd::NbdOptions& options) { options.limits.connection.drain_timeout = 20ms; });
  server.serve();
  Client client(server);
  client.go();
  for (std::uint64_t cookie = 0; cookie < 16; ++cookie)
    client.send(nbd_request(0, cookie, 0, 4 * kBlock));
  server.run_until([&] { return server.sink.free_slots() < 16; });
  server.withdraw("gone");
  CHECK(server.frontend->connections() == 0);
}

TEST_CASE("Withdrawn at any moment, the sink is not used once that is done") {
  std::size_t moments = 0;
  bool used = false;
  for (bool finished = false; !finished; ++moments) {
    Server server;
    RamSink other({1 << 20, 512, 4}, [&] { asio::post(server.context, [&] { other.turn(); }); });
    server.serve();
    server.sink.keep_journal();
    Client client(server);
    client.send(Wire{}
                    .u32(3)
                    .text(nbd_option(nbd::NBD_OPT_GO, nbd_query("shared")))
                    .text(nbd_write(1, 0, nbd_pattern(4096, 1)))
                    .text(nbd_request(3, 2, 0, 0)));
    std::size_t handlers = 0;
    server.context.restart();
    while (handlers < moments && server.context.poll_one() == 1) ++handlers;
    finished = handlers < moments;  // it was idle: nothing new can be met later

    server.withdraw("for a moment");
    REQUIRE(server.frontend->serve(other));
    if (!server.sink.take_journal().empty()) used = true;
    server.settle();
    CHECK(server.sink.take_journal().empty());
    CHECK(server.sink.all_free());
    client.hang_up();
    server.stop();
  }
  CHECK(moments > 10);
  CHECK(used);
}

TEST_CASE("Everyone who asked for the withdrawal is told") {
  Server server;
  server.serve();
  Client client(server);
  client.go();
  int told = 0;
  server.frontend->withdraw("first", [&] { ++told; });
  server.frontend->withdraw("second", [&] { ++told; });
  server.run_until([&] { return told == 2; });
}

TEST_CASE("Serving again after a withdrawal may offer another volume") {
  Server server;
  server.serve();
  RamSink smaller({1 << 20, 4096, 4}, [&] { asio::post(server.context, [&] { smaller.turn(); }); });
  server.withdraw("for a moment");
  REQUIRE(server.frontend->serve(smaller));
  Client client(server);
  client.greet();
  const auto replies = client.ask(nbd::NBD_OPT_GO, nbd_query(""));
  CHECK(replies.front().data == Wire{}.u16(0).u64(1 << 20).u16(0x016d).str());
  client.send(nbd_request(0, 1, 512, 512));
  CHECK(client.answer(1) == nbd::NBD_EINVAL);
  bool done = false;
  server.frontend->withdraw("the end", [&] { done = true; });
  server.run_until([&] { return done; });
}

TEST_CASE("A client that says nothing during the negotiation is dropped") {
  Server server(
      [](nbd::NbdOptions& options) { options.limits.connection.handshake_timeout = 30ms; });
  server.serve();
  Client silent(server);
  CHECK(silent.receive_rest().size() == 18);
  Client halting(server);
  halting.greet();
  halting.send(Wire{}.u64(0x49484156454f5054).u32(7));
  CHECK(halting.receive_rest().empty());
  Client dripping(server);  // an option that is announced and never comes
  dripping.greet();
  dripping.send(Wire{}.u64(0x49484156454f5054).u32(99).u32(0xffffffff));
  CHECK(dripping.receive_rest().empty());
}

TEST_CASE("The time for the negotiation does not run out while the export is used") {
  Server server(
      [](nbd::NbdOptions& options) { options.limits.connection.handshake_timeout = 30ms; });
  server.serve();
  Client client(server);
  client.go();
  Client silent(server);  // its end proves that the time has passed
  silent.receive_rest();
  client.send(nbd_request(3, 1, 0, 0));
  CHECK(client.answer(1) == 0);
}

TEST_CASE("One client more than allowed is disconnected, the others do not notice") {
  Server server([](nbd::NbdOptions& options) { options.limits.connections = 2; });
  server.serve();
  Client first(server), second(server);
  first.go();
  second.go();
  const auto surplus = [&] {
    Client third(server);
    CHECK(third.receive_rest().empty());
  };
  const auto complaints = [&] { return server.times_logged("2 others are connected"); };
  surplus();
  surplus();
  CHECK(complaints() == 1);
  second.hang_up();
  server.run_until([&] { return server.frontend->connections() == 1; });
  Client fourth(server);
  fourth.go();
  surplus();
  CHECK(complaints() == 2);
  first.send(nbd_request(3, 1, 0, 0));
  CHECK(first.answer(1) == 0);
}

TEST_CASE("Clients that break the negotiation are dropped, the export stays") {
  Server server;
  server.serve();
  {
    Client flags(server);
    flags.greet(0x80);
    CHECK(flags.receive_rest().empty());
    Client magic(server);
    magic.greet();
    magic.send(Wire{}.fill(16, 'G'));
    CHECK(magic.receive_rest().empty());
    Client gone(server);
    gone.hang_up();
  }
  Client client(server);
  client.greet();
  CHECK(client.final_reply(0x12345678, std::string(100000, 'x')).type == nbd::NBD_REP_ERR_UNSUP);
  CHECK(client.final_reply(nbd::NBD_OPT_GO, std::string(100000, 'x')).type ==
        nbd::NBD_REP_ERR_TOO_BIG);
  CHECK(client.final_reply(nbd::NBD_OPT_GO, nbd_query("")).type == nbd::NBD_REP_ACK);
}

TEST_CASE("A client that talks nonsense in the transmission is disconnected") {
  Server server;
  server.serve();
  Client client(server);
  client.go();
  client.send(Wire{}.fill(28, 'G'));
  CHECK(client.receive_rest().empty());
  server.run_until([&] { return server.frontend->connections() == 0; });
}

TEST_CASE("A read that fails after its reply began disconnects, the export stays") {
  Server server;
  server.serve();
  server.sink.fail(hast::IoKind::read, kBlock, 512, EIO);
  Client client(server);
  client.go();
  server.sink.hold();
  client.send(nbd_request(0, 1, 0, 2 * kBlock));
  server.run_until([&] { return server.sink.submitted() == 2; });
  server.sink.complete_at(0);
  CHECK(client.receive(16 + kBlock).size() == 16 + kBlock);
  server.sink.complete_at(0);
  CHECK(client.receive_rest().empty());
  server.sink.unhold();
  Client another(server);
  another.go();
}

TEST_CASE("With one command and one slot at a time a pipeline of requests still flows") {
  Server server(
      [](nbd::NbdOptions& options) {
        options.limits.connection.transmission.commands = 1;
        options.limits.connection.transmission.pieces = 1;
      },
      {4 << 20, 512, 1});
  server.serve();
  Client client(server);
  client.go();
  Wire requests;
  for (std::uint64_t cookie = 0; cookie < 20; ++cookie)
    requests.text(nbd_write(cookie, cookie * 512, nbd_pattern(512, 1)));
  client.send(requests);
  for (std::uint64_t cookie = 0; cookie < 20; ++cookie) CHECK(client.answer(cookie) == 0);
}

TEST_CASE("What has arrived of a large write is executed together") {
  Server server;
  server.serve();
  Client client(server);
  client.go();
  const std::string data = nbd_pattern(2 * kBlock, 1);
  client.send_at_once(Wire{}.text(nbd_write(1, 0, data)));
  CHECK(client.answer(1) == 0);
  CHECK(std::memcmp(server.sink.memory(), data.data(), data.size()) == 0);
  CHECK(server.sink.largest_batch() == 2);
}

TEST_CASE("A client that reads late gets everything it asked for") {
  Server server;
  server.serve();
  Client client(server);
  client.go();
  const std::string data = nbd_pattern(4 << 20, 3);
  std::memcpy(server.sink.memory(), data.data(), data.size());
  for (std::uint64_t i = 0; i < 32; ++i) client.send(nbd_request(0, 7, i * kBlock, kBlock));
  server.settle();
  std::size_t correct = 0;
  for (std::uint64_t i = 0; i < 32; ++i)
    correct += client.receive(16 + kBlock).substr(16) == data.substr(i * kBlock, kBlock);
  CHECK(correct == 32);
}

TEST_CASE("A client that ends its requests still gets its answers") {
  Server server;
  server.serve();
  Client client(server);
  client.go();
  server.sink.hold();
  client.send(nbd_request(3, 1, 0, 0));
  client.end_of_requests();
  server.run_until([&] { return server.sink.submitted() == 1; });
  server.sink.unhold();
  CHECK(client.receive_rest() == Wire{}.u32(0x67446698).u32(0).u64(1).str());
}

TEST_CASE("A client that vanishes leaves no slot behind") {
  Server server;
  server.serve();
  {
    Client client(server);
    client.go();
    server.sink.hold();
    client.send(nbd_request(0, 1, 0, 4 << 20));
    client.send(nbd_request(1, 2, 0, 8192).fill(5000, 'x'));
    server.run_until([&] { return server.sink.free_slots() < 8; });
  }
  server.settle();
  server.sink.unhold();
  server.run_until([&] { return server.frontend->connections() == 0; });
  CHECK(server.sink.all_free());
}

TEST_CASE("Several clients share the slots, and all are served") {
  Server server([](nbd::NbdOptions&) {}, {4 << 20, 512, 2});
  server.serve();
  std::vector<std::unique_ptr<Client>> clients;
  for (unsigned i = 0; i < 6; ++i) {
    clients.push_back(std::make_unique<Client>(server));
    clients.back()->go();
  }
  constexpr std::uint32_t kAnswer = 4096;  // fits a socket's buffer: nobody receives yet
  for (unsigned i = 0; i < 6; ++i) {
    clients[i]->send(nbd_write(i, i * kBlock, nbd_pattern(kBlock, i)));
    clients[i]->send(nbd_request(0, 100 + i, i * kBlock, kAnswer));
  }
  for (unsigned i = 0; i < 6; ++i) {
    CHECK(clients[i]->answer(i) == 0);
    CHECK(clients[i]->receive(16 + kAnswer).substr(16) ==
          nbd_pattern(kBlock, i).substr(0, kAnswer));
  }
  for (unsigned i = 0; i < 6; ++i) {
    clients[i]->send(nbd_request(0, 200 + i, i * kBlock, kBlock));
    CHECK(clients[i]->receive(16 + kBlock).substr(16) == nbd_pattern(kBlock, i));
  }
}

TEST_CASE("Stopping disconnects those who still negotiate and removes the socket") {
  Server server;
  Client client(server);
  client.greet();
  server.stop();
  CHECK_FALSE(fs::exists(server.path));
}

TEST_CASE("Starting where somebody listens fails and leaves nothing running") {
  Server server;
  asio::io_context context;
  nbd::NbdExport second(context.get_executor(),
                        options_for({Address::Family::unix_socket, server.path, 0}));
  const auto started = second.start();
  REQUIRE_FALSE(started);
  CHECK(started.error().code == hast::Errc::address_in_use);
  CHECK(context.run() == 0);
}

TEST_CASE("On a strand of several threads clients are served as well") {
  asio::io_context context;
  const asio::any_io_executor strand = asio::make_strand(context);
  RamSink sink({4 << 20, 512, 8}, [&] { asio::post(strand, [&] { sink.turn(); }); });
  nbd::NbdExport server(strand, options_for({Address::Family::v4, "127.0.0.1", 0}));
  REQUIRE(server.start());
  REQUIRE(server.serve(sink));
  const std::string location = server.location();
  const auto port = static_cast<std::uint16_t>(std::stoi(location.substr(16)));

  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { context.run(); });
  const auto use = [&](unsigned seed) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool good = ::connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
    const auto send = [&](const Wire& wire) {
      good = good && ::send(fd, wire.str().data(), wire.size(), MSG_NOSIGNAL) ==
                         static_cast<ssize_t>(wire.size());
    };
    const auto receive = [&](std::size_t bytes) {
      std::string data(bytes, '\0');
      good = good && ::recv(fd, data.data(), bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
      return data;
    };
    receive(18);
    send(Wire{}.u32(3).text(nbd_option(nbd::NBD_OPT_EXPORT_NAME, "shared")));
    receive(10);
    for (unsigned round = 0; round < 50; ++round) {
      const std::string data = nbd_pattern(kBlock + 4096, seed + round);
      const std::uint64_t offset = seed * 4 * kBlock + 512;
      send(nbd_write(round, offset, data));
      receive(16);
      send(nbd_request(0, round, offset, static_cast<std::uint32_t>(data.size())));
      good = good && receive(16 + data.size()).substr(16) == data;
    }
    ::close(fd);
    return good;
  };
  std::vector<std::future<bool>> clients;
  for (unsigned i = 0; i < 4; ++i) clients.push_back(std::async(std::launch::async, use, i));
  for (auto& client : clients) CHECK(client.get());

  asio::post(strand, [&] { server.withdraw("done", [&] { server.stop([] {}); }); });
  for (std::thread& thread : threads) thread.join();
  CHECK(sink.all_free());
}
