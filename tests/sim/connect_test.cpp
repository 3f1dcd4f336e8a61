// Two production nodes meet: every row of the decision table, and every refusal before it.
#include <algorithm>

#include "raw_peer.hpp"
#include "support/catch.hpp"
#include "world.hpp"

using namespace hast;
using namespace hast::sim;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kExtent = 64 * 1024;
constexpr std::uint64_t kUid = 77;

/// Sectors of the extent that hold `fill` only.
bool holds(Machine& machine, std::uint64_t extent, unsigned fill) {
  const ConstByteSpan bytes = machine.data().subspan(extent * kExtent, kExtent);
  return std::all_of(bytes.begin(), bytes.end(),
                     [fill](std::byte b) { return b == static_cast<std::byte>(fill); });
}

/// Both nodes have met before; every byte of a is 0xaa and of b 0xbb, so that a copy shows.
struct Pair {
  World world;
  Machine& a = world.a();
  Machine& b = world.b();

  Pair(core::Counters primary, core::Counters secondary) {
    set(a, kUid, primary, 0xaa);
    set(b, kUid, secondary, 0xbb);
    a.preset_map({2});
    b.preset_map({5});
  }
  static void set(Machine& machine, std::uint64_t resuid, core::Counters counters, unsigned fill) {
    machine.preset([&](ondisk::Metadata& metadata) {
      metadata.resuid = resuid;
      metadata.localcnt = counters.local;
      metadata.remotecnt = counters.remote;
    });
    machine.preset_data(0, machine.layout().data_bytes, fill);
  }
  bool sync() { return world.start_pair(); }
  /// Extents 2 and 5, the union of both maps, were copied; nothing else was touched.
  bool regular_from(Machine& source, unsigned fill) {
    Machine& target = world.other(source);
    const unsigned own = fill == 0xaa ? 0xbb : 0xaa;
    return holds(target, 2, fill) && holds(target, 5, fill) && holds(target, 0, own) &&
           holds(target, 3, own) && holds(source, 2, fill) && holds(source, 5, fill) &&
           holds(source, 0, fill);
  }
};

}  // namespace

TEST_CASE("two fresh nodes connect and are in sync at once") {
  World world;
  REQUIRE(world.start_pair());
  CHECK(world.a().status().connected);
  CHECK(world.b().status().connected);
  CHECK(world.logged("Nodes are in sync.") == 1);
  CHECK(world.a().metadata()->resuid != 0);
  CHECK(world.a().metadata()->resuid == world.b().metadata()->resuid);
}

TEST_CASE("row 1: two fresh nodes copy only what the primary wrote before they met") {
  World world;
  world.a().preset_data(0, 1024 * 1024, 0xaa);
  world.b().preset_data(0, 1024 * 1024, 0xbb);
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  REQUIRE(world.a().write(3 * kExtent, 4096, 0x11) == 0);
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  REQUIRE(world.run_until_synced(world.a(), 30s));
  CHECK(world.b().data()[3 * kExtent] == std::byte{0x11});
  CHECK(world.b().data()[3 * kExtent + 4096] == std::byte{0xaa});  // the rest of the extent
  CHECK(holds(world.b(), 4, 0xbb));                                // not an extent more
}

TEST_CASE("row 2: a fresh secondary gets everything") {
  World world;
  Pair::set(world.a(), kUid, {3, 1}, 0xaa);
  world.b().preset_data(0, 1024 * 1024, 0xbb);
  REQUIRE(world.start_pair());
  CHECK(world.different_bytes() == 0);
  CHECK(holds(world.b(), 9, 0xaa));
  CHECK(world.b().metadata()->resuid == kUid);
}

TEST_CASE("row 3: nodes that never belonged together refuse each other") {
  World world;
  Pair::set(world.a(), kUid, {0, 0}, 0xaa);
  Pair::set(world.b(), kUid + 1, {0, 0}, 0xbb);
  CHECK_FALSE(world.start_pair());
  CHECK_FALSE(world.a().status().connected);
  CHECK(world.a().status().trouble.find(
            "Resource unique ID mismatch (primary=77, secondary=78).") != std::string::npos);
  CHECK(holds(world.a(), 0, 0xaa));
  CHECK(holds(world.b(), 0, 0xbb));
}

TEST_CASE("row 4: a secondary that was written alone is the source") {
  Pair pair({0, 0}, {1, 0});
  REQUIRE(pair.sync());
  CHECK(pair.regular_from(pair.b, 0xbb));
  CHECK(pair.a.metadata()->localcnt == 0);
  CHECK(pair.a.metadata()->remotecnt == 1);
}

TEST_CASE("row 5: nodes that agree copy what either has marked, from the primary") {
  Pair pair({0, 0}, {0, 0});
  REQUIRE(pair.sync());
  CHECK(pair.regular_from(pair.a, 0xaa));
}

TEST_CASE("row 6: a primary that was written alone is the source") {
  Pair pair({1, 0}, {0, 0});
  REQUIRE(pair.sync());
  CHECK(pair.regular_from(pair.a, 0xaa));
  CHECK(pair.a.metadata()->localcnt == 0);
}

TEST_CASE("row 7: nodes that were both written alone are never merged") {
  Pair pair({1, 0}, {1, 0});
  CHECK_FALSE(pair.sync());
  CHECK(holds(pair.a, 2, 0xaa));
  CHECK(holds(pair.b, 5, 0xbb));
  pair.world.run_for(2min);  // every retry ends the same way, and is not worth a word
  for (Machine* machine : {&pair.a, &pair.b}) {
    CHECK_FALSE(machine->status().connected);
    CHECK(machine->status().split_brain);
    CHECK(std::count(machine->hooks().begin(), machine->hooks().end(),
                     "/hook split-brain shared") == 1);
  }
  CHECK(pair.world.logged("(primary) Split-brain: both nodes were written") == 1);
  CHECK(pair.world.logged("(secondary) Split-brain: both nodes were written") == 1);
  CHECK(pair.world.log().size() < 20);
}

TEST_CASE("row 8: a full copy from the secondary when the primary fell back") {
  Pair pair({0, 0}, {1, 1});
  REQUIRE(pair.sync());
  CHECK(pair.world.different_bytes() == 0);
  CHECK(holds(pair.a, 0, 0xbb));
}

TEST_CASE("row 9: a full copy from the primary when the secondary fell back") {
  Pair pair({0, 1}, {0, 0});
  REQUIRE(pair.sync());
  CHECK(pair.world.different_bytes() == 0);
  CHECK(holds(pair.b, 0, 0xaa));
}

TEST_CASE("INV-4: a secondary that cannot store what was decided refuses, and says why") {
  World world;
  world.a().boot();
  world.b().boot();
  DiskFault fault;
  fault.kind = IoKind::write;
  fault.end = ondisk::kMetadataBytes;
  fault.times = DiskFault::kForever;
  REQUIRE(world.b().role(Role::secondary)->has_value());
  world.b().drive().faults.push_back(fault);
  REQUIRE(world.a().role(Role::primary)->has_value());
  world.run_for(10s);
  CHECK_FALSE(world.a().status().connected);
  CHECK(world.logged("the peer says: an input or output operation failed: what the handshake") > 0);
  CHECK(world.logged("Handshake with tcp://10.0.0.1:20000 failed: an input or output") == 1);
  world.b().drive().faults.clear();
  CHECK(world.run_until_synced(world.a(), 30s));
}

TEST_CASE("nodes of different sizes refuse each other and say both sizes") {
  World world;
  VolumeShape shape = world.options().volume;
  shape.component_bytes += 1024 * 1024;
  world.b().create("shared", shape);
  CHECK_FALSE(world.start_pair());
  CHECK(world.a().status().trouble.find("this node has 1048576 data bytes, the peer 2097152") !=
        std::string::npos);
}

TEST_CASE("nodes of different extent sizes refuse each other") {
  World world;
  VolumeShape shape = world.options().volume;
  shape.extent_bytes = 128 * 1024;
  world.b().create("shared", shape);
  CHECK_FALSE(world.start_pair());
  CHECK(world.a().status().trouble.find("extents of 65536 bytes, the peer of 131072") !=
        std::string::npos);
}

// Refusals of the listener ------------------------------------------------------------------------

namespace {

/// What a hastd answers to a first hello of the peer's host.
Result<wire::FirstReply> knock(World& world, const std::string& resource) {
  RawPeer peer(world, world.b().host());
  const std::unique_ptr<RawEnd> end = peer.dial(world.a().host());
  REQUIRE(end);
  wire::FirstHello hello;
  hello.resource = resource;
  end->send(hello);
  const std::optional<NvReader> frame = peer.next_frame(*end);
  REQUIRE(frame);
  return wire::decode_first_reply(*frame);
}

}  // namespace

TEST_CASE("an unknown resource is refused in the original's words") {
  World world;
  world.a().boot();
  const Result<wire::FirstReply> reply = knock(world, "nothing");
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == Errc::peer_refused);
  CHECK(reply.error().detail.find("Resource not configured.") != std::string::npos);
}

TEST_CASE("a resource in role init is refused without `wait`") {
  World world;
  world.a().boot();
  const Result<wire::FirstReply> reply = knock(world, "shared");
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == Errc::peer_refused);
  CHECK(reply.error().detail.find(
            "Remote node acts as init for the resource and not as secondary.") !=
        std::string::npos);
}

TEST_CASE("a primary refuses another primary and asks it to wait") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  const Result<wire::FirstReply> reply = knock(world, "shared");
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == Errc::peer_waits);
  CHECK(reply.error().detail.find(
            "Remote node acts as primary for the resource and not as secondary.") !=
        std::string::npos);
}

TEST_CASE("a host that is no configured peer is hung up on without a word") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::secondary)->has_value());
  RawPeer stranger(world, "10.0.0.9");
  const std::unique_ptr<RawEnd> end = stranger.dial(world.a().host());
  REQUIRE(end);
  wire::FirstHello hello;
  hello.resource = "shared";
  end->send(hello);
  REQUIRE(stranger.wait_closed(*end));
  CHECK(end->received().empty());
}

TEST_CASE("a peer of one resource has no access to another") {
  WorldOptions options;
  options.resources = {"shared", "other"};
  World world(options);
  world.a().settings("other").remote->host = "10.0.0.9";
  world.a().boot();
  REQUIRE(world.a().role(Role::secondary, "other")->has_value());
  const Result<wire::FirstReply> reply = knock(world, "other");
  REQUIRE_FALSE(reply);
  CHECK(reply.error().detail.find("No access to the resource.") != std::string::npos);
}

namespace {

/// Sends a second hello with `token` and returns what comes back, if anything.
std::optional<NvReader> second_hello(RawPeer& peer, RawEnd& end, const wire::Token& token) {
  wire::SecondHello hello;
  hello.resource = "shared";
  hello.token = token;
  hello.resuid = kUid;
  end.send(hello);
  return peer.next_frame(end);
}

}  // namespace

TEST_CASE("a second connection without a first is refused, whatever its token") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::secondary)->has_value());
  RawPeer peer(world, world.b().host());
  for (const unsigned fill : {0x00u, 0x5au}) {  // weaknesses 21: all zero is nobody's token
    const std::unique_ptr<RawEnd> end = peer.dial(world.a().host());
    REQUIRE(end);
    wire::Token token;
    token.fill(static_cast<std::byte>(fill));
    const std::optional<NvReader> frame = second_hello(peer, *end, token);
    REQUIRE(frame);
    const Result<wire::FirstReply> reply = wire::decode_first_reply(*frame);
    REQUIRE_FALSE(reply);
    CHECK(reply.error().detail.find("Token doesn't match.") != std::string::npos);
    CHECK(peer.wait_closed(*end));
  }
  CHECK_FALSE(world.a().status().connected);
}

TEST_CASE("a wrong token does not disturb the handshake it guesses at") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::secondary)->has_value());
  RawPeer peer(world, world.b().host());
  const std::unique_ptr<RawEnd> first = peer.dial(world.a().host());
  REQUIRE(first);
  wire::FirstHello hello;
  hello.resource = "shared";
  first->send(hello);
  const std::optional<NvReader> frame = peer.next_frame(*first);
  REQUIRE(frame);
  const Result<wire::FirstReply> reply = wire::decode_first_reply(*frame);
  REQUIRE(reply);

  wire::Token wrong = reply->token;
  wrong[0] ^= std::byte{1};
  const std::unique_ptr<RawEnd> guess = peer.dial(world.a().host());
  REQUIRE(guess);
  CHECK(second_hello(peer, *guess, wrong));

  const std::unique_ptr<RawEnd> second = peer.dial(world.a().host());
  REQUIRE(second);
  wire::SecondHello facts;
  facts.resource = "shared";
  facts.token = reply->token;
  facts.resuid = kUid;
  second->send(facts);
  const std::optional<NvReader> answer = peer.next_frame(*first);
  REQUIRE(answer);
  CHECK(wire::decode_second_reply(*answer)->errmsg.empty());
  CHECK(world.run_until([&] { return world.a().status().connected; }, 1s));
}

TEST_CASE("a token is good for one second connection") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::secondary)->has_value());
  RawPeer peer(world, world.b().host());
  const std::unique_ptr<RawEnd> first = peer.dial(world.a().host());
  REQUIRE(first);
  wire::FirstHello hello;
  hello.resource = "shared";
  first->send(hello);
  const std::optional<NvReader> frame = peer.next_frame(*first);
  REQUIRE(frame);
  const wire::Token token = wire::decode_first_reply(*frame)->token;
  const std::unique_ptr<RawEnd> second = peer.dial(world.a().host());
  const std::unique_ptr<RawEnd> third = peer.dial(world.a().host());
  REQUIRE(second);
  REQUIRE(third);
  wire::SecondHello facts;
  facts.resource = "shared";
  facts.token = token;
  facts.resuid = kUid;
  second->send(facts);
  REQUIRE(world.run_until([&] { return world.a().status().connected; }, 5s));
  const std::optional<NvReader> refused = second_hello(peer, *third, token);
  REQUIRE(refused);
  CHECK_FALSE(wire::decode_first_reply(*refused));
  CHECK(world.a().status().connected);
}

TEST_CASE("a newer first connection replaces the session at once") {
  World world;
  REQUIRE(world.start_pair());
  RawPeer peer(world, world.a().host());  // the primary's host: its process was restarted
  wire::SecondHello facts;
  facts.resource = "shared";
  facts.resuid = world.a().metadata()->resuid;
  world.a().kill();
  const port::Duration before = world.now();
  const RawSession session = connect_as_primary(peer, world, world.b(), facts);
  REQUIRE(session.replies);
  CHECK(world.now() - before < 1s);
  CHECK(world.b().status().connected);
}

TEST_CASE("a primary that offers version 1 is answered version 1") {
  World world;
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  RawPeer peer(world, world.a().host());
  wire::SecondHello facts;
  facts.resource = "shared";
  facts.virgin = true;
  facts.resuid = kUid;
  const RawSession session = connect_as_primary(peer, world, world.b(), facts, 1);
  REQUIRE(session.replies);
  CHECK(world.logged("(protocol version 1)") == 1);
}

TEST_CASE("a peer that answers version 1 gets no memsync requests") {
  WorldOptions options;
  options.replication = Replication::memsync;
  World world(options);
  world.a().boot();
  RawPeer peer(world, world.b().host());
  peer.listen();
  const auto change = world.a().begin_role(Role::primary);
  wire::SecondReply answer;
  answer.datasize = 1024 * 1024;
  answer.extentsize = kExtent;
  answer.virgin = true;
  const RawSession session = answer_as_secondary(peer, answer, 1);
  REQUIRE(session.replies);
  REQUIRE(world.run_until([&] { return world.a().status().connected; }, 5s));

  int outcome = kUnknown;
  ClientRequest asked;
  asked.kind = IoKind::write;
  asked.length_bytes = 4096;
  asked.data.assign(4096, std::byte{7});
  asked.done = [&outcome](int error, ConstByteSpan) { outcome = error; };
  world.a().frontend()->request(std::move(asked));
  std::optional<wire::Request> write;
  while (!write) {  // a resync may flush first
    const std::optional<NvReader> frame = peer.next_frame(*session.requests);
    REQUIRE(frame);
    const Result<wire::Request> request = wire::decode_request(*frame);
    REQUIRE(request);
    if (request->command == wire::Command::write) write = *request;
    if (request->command == wire::Command::flush)
      session.replies->send(wire::Reply{request->seq}, 1);
  }
  CHECK_FALSE(write->memsync);
  world.run_for(1s);
  CHECK(outcome == kUnknown);  // as fullsync: not before the only, final reply
  session.replies->send(wire::Reply{write->seq}, 1);
  CHECK(world.run_until([&] { return outcome == 0; }, 5s));
}
