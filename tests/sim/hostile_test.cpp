// Peers that send what no HAST sends: the connection closes, one line says why, and nobody else
// notices (INV-9, weaknesses 20-24).
#include <algorithm>
#include <functional>

#include "raw_peer.hpp"
#include "seeds.hpp"
#include "world.hpp"

using namespace hast;
using namespace hast::sim;
using namespace std::chrono_literals;

namespace {

std::vector<std::byte> bytes_of(std::initializer_list<unsigned> values) {
  std::vector<std::byte> bytes;
  for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

template <class Message>
std::vector<std::byte> frame_of(const Message& message) {
  std::vector<std::byte> bytes(wire::kMaxEncodedBytes);
  const auto size = wire::encode(message, wire::kProtocolVersion, bytes);
  if constexpr (std::is_same_v<std::remove_const_t<decltype(size)>, std::size_t>) {
    bytes.resize(size);
  } else {
    REQUIRE(size);
    bytes.resize(*size);
  }
  return bytes;
}

/// Flips, cuts, repeats and inserts a few bytes.
std::vector<std::byte> mutated(std::vector<std::byte> bytes, SeededRandom& random) {
  for (std::uint64_t i = random.between(1, 4); i > 0 && !bytes.empty(); --i) {
    const auto at = static_cast<std::ptrdiff_t>(random.below(bytes.size()));
    switch (random.below(5)) {
      case 0:
        bytes[static_cast<std::size_t>(at)] ^= static_cast<std::byte>(1u << random.below(8));
        break;
      case 1:
        bytes[static_cast<std::size_t>(at)] = static_cast<std::byte>(random.below(256));
        break;
      case 2:
        bytes.resize(static_cast<std::size_t>(at));
        break;
      case 3:
        bytes.insert(bytes.begin() + at, static_cast<std::byte>(random.below(256)));
        break;
      default:
        bytes[static_cast<std::size_t>(at)] = std::byte{0xff};
        break;
    }
  }
  return bytes;
}

/// b is secondary of two resources; "other" has an honest primary on a, "shared" is attacked from
/// the same host.
struct Siege {
  World world;
  RawPeer attacker;

  Siege() : world(two_resources()), attacker(world, world.a().host()) {
    for (Machine* machine : {&world.a(), &world.b()})
      machine->preset([](ondisk::Metadata& metadata) { metadata.resuid = 99; });
    world.a().boot();
    world.b().boot();
    REQUIRE(world.b().role(Role::secondary, "shared")->has_value());
    REQUIRE(world.b().role(Role::secondary, "other")->has_value());
    REQUIRE(world.a().role(Role::primary, "other")->has_value());
    REQUIRE(world.run_until([this] { return world.a().status("other").io.synced; }, 30s));
    world.clear_log();
  }
  static WorldOptions two_resources() {
    WorldOptions options;
    options.resources = {"shared", "other"};
    return options;
  }
  RawSession session() {
    wire::SecondHello facts;
    facts.resource = "shared";
    facts.resuid = 99;
    return connect_as_primary(attacker, world, world.b(), facts);
  }
  bool others_noticed() {
    return !world.a().status("other").connected || !world.b().status("other").connected ||
           world.logged("[other]") > 0;
  }
  /// An honest primary still gets in.
  bool still_open() {
    if (!world.a().role(Role::primary)->has_value()) return false;
    return world.run_until([this] { return world.a().status().io.synced; }, 40s);
  }
};

wire::Request request_of(wire::Command command, std::uint64_t seq) {
  wire::Request request;
  request.command = command;
  request.seq = seq;
  return request;
}

}  // namespace

TEST_CASE("messages that crashed the original close their connection and nothing else") {
  Siege siege;
  const std::vector<std::vector<std::byte>> messages{
      bytes_of({2, 0, 0, 0, 0}),              // weaknesses 21: no list at all
      bytes_of({2, 0xff, 0xff, 0xff, 0xff}),  // 4 GiB of it
      bytes_of({2, 14, 0, 0, 0, 8, 2, 0xf9, 0xff, 0xff, 0xff, 'x', 0, 0, 0, 0, 0, 0, 0}),
      bytes_of({0xff, 1, 0, 0, 0, 0}),
      std::vector<std::byte>(100'000, std::byte{0x41}),
  };
  for (const std::vector<std::byte>& message : messages) {
    const std::unique_ptr<RawEnd> end = siege.attacker.dial(siege.world.b().host());
    REQUIRE(end);
    end->send_bytes(message);
    CHECK(siege.attacker.wait_closed(*end, 22s));
  }
  CHECK_FALSE(siege.others_noticed());
  CHECK(siege.still_open());
}

TEST_CASE("a request that no HAST sends ends the session, and only it") {
  wire::Request wrapping = request_of(wire::Command::read, 5);  // weaknesses 22
  wrapping.offset_bytes = ~std::uint64_t{0} - 4095;
  wrapping.length_bytes = 8192;
  wire::Request huge = request_of(wire::Command::write, 6);
  huge.length_bytes = 4096;
  huge.payload.size_bytes = 0x7fffffff;
  wire::Request short_payload = request_of(wire::Command::write, 7);
  short_payload.length_bytes = 8192;
  short_payload.payload.size_bytes = 512;  // less than its length: stale heap in the original
  wire::Request hole = request_of(wire::Command::write, 8);
  hole.length_bytes = 4096;
  hole.payload.compression = Compression::hole;
  hole.payload.size_bytes = 4;
  for (const wire::Request& request : {wrapping, huge, short_payload, hole}) {
    Siege siege;
    const RawSession session = siege.session();
    REQUIRE(session.requests);
    session.requests->send(request);
    session.requests->send_bytes(
        std::vector<std::byte>(512, std::byte{0xff}));  // an absurd hole, too
    CHECK(siege.attacker.wait_closed(*session.replies, 22s));
    CHECK_FALSE(siege.others_noticed());
    CHECK(siege.world.logged("[shared] (secondary) Primary") == 2);  // connected, disconnected
    CHECK(siege.world.b().data()[0] == std::byte{0});
    CHECK(siege.still_open());
  }
}

TEST_CASE("a request past the end is refused, and the session goes on") {
  Siege siege;
  const RawSession session = siege.session();
  REQUIRE(session.requests);
  wire::Request past = request_of(wire::Command::write, 5);
  past.offset_bytes = 1024 * 1024;
  past.length_bytes = 512;
  past.payload.size_bytes = 512;
  session.requests->send(past);
  session.requests->send_bytes(std::vector<std::byte>(512, std::byte{0x77}));
  wire::Request too_long = request_of(wire::Command::write, 6);
  too_long.length_bytes = 2 * 1024 * 1024;
  too_long.payload.size_bytes = 1024 * 1024;
  session.requests->send(too_long);
  for (int i = 0; i < 8; ++i) {
    session.requests->send_bytes(std::vector<std::byte>(128 * 1024, std::byte{0x77}));
    siege.world.run_for(10ms);
  }
  session.requests->send(request_of(wire::Command::flush, 7));
  std::vector<wire::Reply> replies;
  while (replies.size() < 3) {
    const std::optional<NvReader> frame = siege.attacker.next_frame(*session.replies);
    REQUIRE(frame);
    replies.push_back(*wire::decode_reply(*frame));
  }
  const auto error_of = [&replies](std::uint64_t seq) {
    const auto found = std::find_if(replies.begin(), replies.end(),
                                    [seq](const wire::Reply& reply) { return reply.seq == seq; });
    REQUIRE(found != replies.end());
    return found->error;
  };
  CHECK(error_of(5) == EINVAL);
  CHECK(error_of(6) == EINVAL);
  CHECK(error_of(7) == 0);
}

TEST_CASE("a payload that fails its checksum reaches no disk") {
  Siege siege;
  const RawSession session = siege.session();
  REQUIRE(session.requests);
  const std::vector<std::byte> data(4096, std::byte{0x66});
  std::vector<std::byte> scratch(8192);
  const wire::EncodedPayload payload =
      wire::encode_payload(data, {Checksum::crc32, Compression::none}, scratch);
  wire::Request write = request_of(wire::Command::write, 5);
  write.length_bytes = data.size();
  write.payload = payload.info;
  std::vector<std::byte> damaged(payload.bytes.begin(), payload.bytes.end());
  damaged[100] ^= std::byte{1};
  session.requests->send(write);
  session.requests->send_bytes(damaged);
  CHECK(siege.attacker.wait_closed(*session.replies, 5s));
  CHECK(siege.world.b().data()[0] == std::byte{0});  // INV-8
}

TEST_CASE("a payload that never comes whole reaches no disk") {
  Siege siege;
  const RawSession session = siege.session();
  REQUIRE(session.requests);
  wire::Request write = request_of(wire::Command::write, 5);
  write.length_bytes = 4096;
  write.payload.size_bytes = 4096;
  session.requests->send(write);
  session.requests->send_bytes(std::vector<std::byte>(4095, std::byte{0x66}));
  siege.world.run_for(1s);
  session.requests->close();
  CHECK(siege.attacker.wait_closed(*session.replies, 5s));
  CHECK(siege.world.b().data()[0] == std::byte{0});
  CHECK(siege.still_open());
}

TEST_CASE("fuzzed first messages never hurt") {
  Siege siege;
  wire::FirstHello first;
  first.resource = "shared";
  wire::SecondHello second;
  second.resource = "shared";
  second.resuid = 5;
  for (const std::uint64_t seed : seeds(300)) {
    INFO(replay_line(seed));
    SeededRandom random(seed);
    const std::unique_ptr<RawEnd> end = siege.attacker.dial(siege.world.b().host());
    REQUIRE(end);
    end->send_bytes(mutated(random.chance(50) ? frame_of(first) : frame_of(second), random));
    siege.world.run_for(10ms);
    REQUIRE_FALSE(siege.others_noticed());
  }
  siege.world.run_for(25s);
  CHECK(siege.world.log().size() < 40);  // hostile, not chatty
  CHECK(siege.still_open());
}

TEST_CASE("fuzzed requests never hurt anybody but their session") {
  for (const std::uint64_t seed : seeds(60)) {
    INFO(replay_line(seed));
    Siege siege;
    SeededRandom random(seed);
    for (int round = 0; round < 4; ++round) {
      const RawSession session = siege.session();
      if (!session.requests) continue;  // the former one is not over yet
      for (int i = 0; i < 12; ++i) {
        wire::Request request =
            request_of(static_cast<wire::Command>(random.between(1, 5)), random.between(1, 4));
        request.offset_bytes = random.below(16) * 65536;
        request.length_bytes = random.between(1, 8) * 512;
        if (request.command == wire::Command::flush) request.length_bytes = 0;
        const bool write = request.command == wire::Command::write;
        if (write) {
          request.memsync = random.chance(50);
          request.payload.size_bytes = static_cast<std::uint32_t>(request.length_bytes);
        }
        std::vector<std::byte> frame = frame_of(request);
        if (random.chance(30)) frame = mutated(std::move(frame), random);
        session.requests->send_bytes(frame);
        if (write) session.requests->send_bytes(std::vector<std::byte>(request.length_bytes));
        siege.world.steps(random.below(40));
      }
      siege.world.run_for(50ms);
      REQUIRE_FALSE(siege.others_noticed());
    }
    REQUIRE(siege.still_open());
  }
}

// A hostile secondary -----------------------------------------------------------------------------

namespace {

wire::SecondReply honest_answer() {
  wire::SecondReply answer;
  answer.datasize = 1024 * 1024;
  answer.extentsize = 64 * 1024;
  answer.virgin = true;
  return answer;
}

/// a is primary and dials a peer that the test plays.
struct Trap {
  World world;
  RawPeer peer;
  Trap() : peer(world, world.b().host()) {
    world.a().boot();
    peer.listen();
    const auto change = world.a().begin_role(Role::primary);
    REQUIRE(world.run_until([&] { return change->outcome.has_value(); }, 5s));
  }
  bool serves() { return world.a().write(512 * 1024, 512, 1) == 0; }
};

}  // namespace

TEST_CASE("an answer that no HAST gives is dropped, and the primary serves on") {
  std::vector<std::function<void(wire::SecondReply&)>> lies{
      [](wire::SecondReply& answer) { answer.datasize = -1; },
      [](wire::SecondReply& answer) { answer.datasize = 0; },
      [](wire::SecondReply& answer) { answer.extentsize = -65536; },
      [](wire::SecondReply& answer) { answer.mapsize = 0xffffffff; },
      [](wire::SecondReply& answer) { answer.virgin = false; },  // and no map
      [](wire::SecondReply& answer) {
        answer.mapsize = 512;
        answer.payload.size_bytes = 0xfffffff0;
      },
      [](wire::SecondReply& answer) {
        answer.mapsize = 512;
        answer.payload.compression = Compression::lzf;
        answer.payload.size_bytes = 3;
      },
      [](wire::SecondReply& answer) { answer.source = static_cast<SyncSource>(9); },
      [](wire::SecondReply& answer) { answer.errmsg = std::string(200, '\n'); },
  };
  for (std::size_t i = 0; i < lies.size(); ++i) {
    INFO("lie " << i);
    Trap trap;
    wire::SecondReply answer = honest_answer();
    lies[i](answer);
    const RawSession session = answer_as_secondary(trap.peer, answer);
    REQUIRE(session.requests);
    session.requests->send_bytes(std::vector<std::byte>(600, std::byte{0xff}));
    CHECK(trap.peer.wait_closed(*session.requests, 25s));
    CHECK_FALSE(trap.world.a().status().connected);
    CHECK(trap.serves());
    CHECK(trap.world.a().metadata()->remotecnt == 0);
  }
}

TEST_CASE("a first reply that no HAST gives is dropped") {
  for (const std::uint64_t seed : seeds(100)) {
    INFO(replay_line(seed));
    SeededRandom random(seed);
    Trap trap;
    const std::unique_ptr<RawEnd> end = trap.peer.accept();
    REQUIRE(end);
    end->send_bytes(mutated(frame_of(wire::FirstReply{}), random));
    trap.world.run_for(1s);
    REQUIRE(trap.serves());
  }
}

TEST_CASE("replies that no HAST sends end the connection, and every write is made good") {
  for (const std::uint64_t seed : seeds(100)) {
    INFO(replay_line(seed));
    SeededRandom random(seed);
    Trap trap;
    const RawSession session = answer_as_secondary(trap.peer, honest_answer());
    REQUIRE(session.replies);
    REQUIRE(trap.world.run_until([&] { return trap.world.a().status().connected; }, 5s));
    int answers = 0;
    for (unsigned i = 0; i < 8; ++i) {
      ClientRequest asked;
      asked.kind = i % 3 == 0 ? IoKind::read : IoKind::write;
      asked.offset_bytes = i * 65536;
      asked.length_bytes = 4096;
      if (asked.kind == IoKind::write) asked.data.assign(4096, std::byte{0x31});
      asked.done = [&answers](int error, ConstByteSpan) { answers += error == 0 ? 1 : 0; };
      trap.world.a().frontend()->request(std::move(asked));
    }
    trap.world.run_for(10ms);
    while (const std::optional<NvReader> frame = session.requests->take_frame()) {
      const Result<wire::Request> request = wire::decode_request(*frame);
      REQUIRE(request);
      session.requests->take(request->payload.size_bytes);
      wire::Reply reply{request->seq};
      if (random.chance(20)) reply.seq = random.next();
      if (random.chance(20)) reply.received = true;
      if (random.chance(20)) reply.error = static_cast<int>(random.below(120));
      if (random.chance(20)) reply.payload.size_bytes = static_cast<std::uint32_t>(random.next());
      std::vector<std::byte> bytes = frame_of(reply);
      if (random.chance(30)) bytes = mutated(std::move(bytes), random);
      session.replies->send_bytes(bytes);
    }
    session.replies->close();
    REQUIRE(trap.world.run_until([&] { return answers == 8; }, 30s));
    REQUIRE(trap.serves());
  }
}
