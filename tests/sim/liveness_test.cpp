// INV-13 and its opposite: who is dead is noticed, who is back is found, and nobody is pestered.
#include "raw_peer.hpp"
#include "support/catch.hpp"
#include "world.hpp"

using namespace hast;
using namespace hast::sim;
using namespace std::chrono_literals;

namespace {

ClientRequest small_write(std::uint64_t offset) {
  ClientRequest asked;
  asked.kind = IoKind::write;
  asked.offset_bytes = offset;
  asked.length_bytes = 512;
  asked.data.assign(512, std::byte{9});
  return asked;
}

/// As if one of the nodes ran an original.
void speak_version_2(World& world) {
  world.a().settings().protocol = world.b().settings().protocol = 2;
}

}  // namespace

TEST_CASE("a node that dies is noticed after three heartbeats, even if nothing is asked of it") {
  for (const bool primary_dies : {false, true}) {
    World world;
    REQUIRE(world.start_pair());
    world.run_for(1min);
    CHECK(world.a().status().connected);  // and nobody is declared dead for being idle
    const port::Duration before = world.now();
    (primary_dies ? world.a() : world.b()).power_off();  // half-open: no goodbye
    Machine& survivor = primary_dies ? world.b() : world.a();
    REQUIRE(world.run_until([&] { return !survivor.status().connected; }, 1min));
    CHECK(world.now() - before >= 2s);
    CHECK(world.now() - before < 5s);
  }
}

TEST_CASE("the slower of two heartbeats counts") {
  World world;
  world.a().settings().heartbeat = 200ms;
  world.b().settings().heartbeat = 4s;
  REQUIRE(world.start_pair());
  world.run_for(1min);
  CHECK(world.a().status().connected);
  CHECK(world.logged("nothing was heard from") == 0);
}

TEST_CASE("a peer whose disk is stuck is no dead peer, until `timeout`") {
  WorldOptions options;
  options.timeout = 10s;
  World world(options);
  REQUIRE(world.start_pair());
  world.b().drive().held = true;
  const port::Duration before = world.now();
  CHECK(world.a().write(0, 4096, 1) == 0);
  CHECK(world.now() - before >= 9s);
  CHECK(world.logged("the peer does not answer requests") == 1);
  CHECK(world.logged("nothing was heard from") == 0);
  world.b().drive().held = false;
  world.b().process().disks().release_held();
}

TEST_CASE("a primary gives up a peer that stopped answering after `timeout`, and serves on") {
  WorldOptions options;
  options.timeout = 7s;
  World world(options);
  speak_version_2(world);
  REQUIRE(world.start_pair());
  world.b().power_off();  // half-open: no goodbye
  world.run_for(1min);
  CHECK(world.a().status().connected);  // nothing was asked of it, so nothing is known
  const port::Duration before = world.now();
  CHECK(world.a().write(0, 4096, 1) == 0);
  const port::Duration waited = world.now() - before;
  CHECK(waited >= 7s);
  CHECK(waited < 9s);
  CHECK_FALSE(world.a().status().connected);
  CHECK(world.logged("the peer does not answer requests") == 1);
}

TEST_CASE("a secondary gives up a primary that is silent for 20 seconds") {
  World world;
  speak_version_2(world);
  REQUIRE(world.start_pair());
  const port::Duration before = world.now();
  world.a().power_off();
  REQUIRE(world.run_until([&] { return !world.b().status().connected; }, 1min));
  CHECK(world.now() - before > 9s);  // the last word was at most a keepalive ago
  CHECK(world.now() - before < 22s);
  CHECK(world.logged("nothing was heard from the primary") == 1);
  CHECK(world.b().status().role == Role::secondary);
}

TEST_CASE("an idle connection lives on keepalives, one after ten seconds of silence") {
  World world;
  speak_version_2(world);
  REQUIRE(world.start_pair());
  world.run_for(1s);
  const std::uint64_t before = world.network().passed(world.a().host(), world.b().host());
  world.run_for(100s);
  const std::uint64_t bytes = world.network().passed(world.a().host(), world.b().host()) - before;
  constexpr std::uint64_t kKeepalive = 5 + 22;  // wire-protocol §6.2
  CHECK(bytes % kKeepalive == 0);
  CHECK(bytes / kKeepalive >= 9);
  CHECK(bytes / kKeepalive <= 10);
  CHECK(world.a().status().connected);
  CHECK(world.b().status().connected);
}

TEST_CASE("a busy connection sends no keepalives") {
  World world;
  world.b().settings().remote.reset();
  world.a().boot();
  RawPeer peer(world, world.b().host());
  peer.listen();
  const auto change = world.a().begin_role(Role::primary);
  wire::SecondReply answer;
  answer.datasize = 1024 * 1024;
  answer.extentsize = 64 * 1024;
  answer.virgin = true;
  const RawSession session = answer_as_secondary(peer, answer);
  REQUIRE(session.requests);
  unsigned keepalives = 0;
  unsigned writes = 0;
  const auto serve = [&] {
    while (const std::optional<NvReader> frame = session.requests->take_frame()) {
      const Result<wire::Request> request = wire::decode_request(*frame);
      REQUIRE(request);
      keepalives += request->command == wire::Command::keepalive ? 1 : 0;
      writes += request->command == wire::Command::write ? 1 : 0;
      session.requests->take(request->payload.size_bytes);
      if (request->command != wire::Command::keepalive)
        session.replies->send(wire::Reply{request->seq});
    }
    return false;
  };
  world.run_until([&] { return serve() || world.a().status().connected; }, 5s);
  for (int second = 0; second < 60; ++second) {
    world.a().frontend()->request(small_write(0));
    world.run_until(serve, 1s);
  }
  CHECK(writes == 60);
  CHECK(keepalives == 0);
  world.run_until(serve, 25s);
  CHECK(keepalives == 2);
}

TEST_CASE("a primary looks for its peer at growing intervals with jitter, and says it once") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  std::vector<port::Duration> gaps;
  port::Duration last = world.now();
  while (gaps.size() < 40) {
    const std::uint64_t dials = world.network().dials();
    REQUIRE(world.run_until([&] { return world.network().dials() > dials; }, 10s));
    gaps.push_back(world.now() - last);
    last = world.now();
  }
  for (const port::Duration gap : gaps) CHECK(gap <= 6300ms);  // 5 s, a quarter more, the dial
  CHECK(gaps[0] < 700ms);
  CHECK(gaps[1] < 1400ms);
  for (std::size_t i = 10; i < gaps.size(); ++i) CHECK(gaps[i] >= 3750ms);
  CHECK(std::adjacent_find(gaps.begin() + 10, gaps.end(), [](auto a, auto b) { return a != b; }) !=
        gaps.end());
  CHECK(world.logged("No connection to") == 1);
  world.run_for(10min);
  CHECK(world.logged("No connection to") == 2);  // a reminder, rarely
}

TEST_CASE("a connection that ends as soon as it is there is tried at growing intervals, too") {
  World world;
  REQUIRE(world.start_pair());
  world.b().stop();
  CHECK(world.a().write(0, 4096, 1) == 0);
  // What the peer brings cannot be stored, nor can the peer stand in: it lacks the write.
  world.b().preset_map({7});
  world.a().drive().faults.push_back({.kind = IoKind::write,
                                      .begin = ondisk::kMapOffset,
                                      .end = ondisk::kMapOffset + 512,
                                      .times = DiskFault::kForever});
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  world.run_for(1min);
  CHECK(world.logged("cannot be stored on the local component") >= 10);
  CHECK(world.logged("cannot be stored on the local component") <= 25);
  world.a().drive().faults.clear();
  CHECK(world.run_until_synced(world.a(), 20s));
}

TEST_CASE("a peer that comes up is found within seconds") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  world.run_for(10min);
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  CHECK(world.run_until_synced(world.a(), 8s));
}

TEST_CASE("a network that heals is used again within seconds") {
  World world;
  REQUIRE(world.start_pair());
  world.network().cut_both(world.a().host(), world.b().host());
  REQUIRE(world.a().write(0, 4096, 3) == 0);
  world.run_for(5min);
  CHECK_FALSE(world.a().status().connected);
  world.network().heal();
  CHECK(world.run_until_synced(world.a(), 30s));
  CHECK(world.different_bytes() == 0);
}

TEST_CASE("a peer that accepts and says nothing is given up after `timeout` and tried again") {
  WorldOptions options;
  options.timeout = 5s;
  World world(options);
  world.a().boot();
  RawPeer peer(world, world.b().host());
  peer.listen();
  REQUIRE(world.a().role(Role::primary)->has_value());
  const std::unique_ptr<RawEnd> first = peer.accept();
  REQUIRE(first);
  CHECK(peer.wait_closed(*first, 7s));
  CHECK(world.a().status().trouble.find("did not finish the handshake") != std::string::npos);
  CHECK(peer.accept(10s));
}

TEST_CASE("a peer that stops after the first reply is given up too") {
  WorldOptions options;
  options.timeout = 5s;
  World world(options);
  world.a().boot();
  RawPeer peer(world, world.b().host());
  peer.listen();
  REQUIRE(world.a().role(Role::primary)->has_value());
  const std::unique_ptr<RawEnd> first = peer.accept();
  REQUIRE(first);
  REQUIRE(peer.next_frame(*first));
  first->send(wire::FirstReply{});
  const std::unique_ptr<RawEnd> second = peer.accept();
  REQUIRE(second);
  REQUIRE(peer.next_frame(*second));
  CHECK(peer.wait_closed(*first, 12s));
  CHECK(peer.wait_closed(*second, 1s));
}

TEST_CASE("a visitor who says nothing is shown the door after 20 seconds") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::secondary)->has_value());
  RawPeer peer(world, world.b().host());
  const std::unique_ptr<RawEnd> end = peer.dial(world.a().host());
  REQUIRE(end);
  world.run_for(19s);
  CHECK_FALSE(end->closed());
  CHECK(peer.wait_closed(*end, 3s));
  CHECK(world.logged("it said nothing for 20 seconds") == 1);
}

TEST_CASE("a crowd of silent visitors is bounded, and a primary still gets through afterwards") {
  World world;
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  RawPeer peer(world, world.a().host());
  std::vector<std::unique_ptr<RawEnd>> crowd;
  for (int i = 0; i < 300; ++i) crowd.push_back(peer.dial(world.b().host()));
  world.run_for(1s);
  std::size_t refused = 0;
  for (const std::unique_ptr<RawEnd>& end : crowd) refused += end->closed() ? 1 : 0;
  CHECK(refused == 300 - engine::Acceptor::kMaxPending);
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  CHECK(world.run_until_synced(world.a(), 40s));
}

TEST_CASE("a primary that does not take replies is given up after `timeout`") {
  WorldOptions options;
  options.timeout = 5s;
  options.network.window_bytes = 64 * 1024;
  options.compression = Compression::none;
  World world(options);
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  RawPeer peer(world, world.a().host());
  wire::SecondHello facts;
  facts.resource = "shared";
  facts.virgin = true;
  facts.resuid = 5;
  const RawSession session = connect_as_primary(peer, world, world.b(), facts);
  REQUIRE(session.requests);
  for (std::uint64_t seq = 1; seq <= 8; ++seq) {
    wire::Request read;
    read.command = wire::Command::read;
    read.seq = seq;
    read.length_bytes = 128 * 1024;
    session.requests->send(read);
  }
  REQUIRE(world.run_until([&] { return world.b().status().connected; }, 5s));
  for (int i = 0; i < 20; ++i) {  // alive, but deaf
    session.requests->send(wire::Request{});
    world.run_for(500ms);
  }
  CHECK_FALSE(world.b().status().connected);
  CHECK(world.logged("the primary does not take replies") == 1);
}
