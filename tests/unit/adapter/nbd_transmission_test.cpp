#include "hast/adapter/nbd/transmission.hpp"

#include <cerrno>
#include <map>
#include <memory>
#include <random>

#include "support/catch.hpp"
#include "support/nbd_bytes.hpp"
#include "support/transmission_rig.hpp"

namespace nbd = hast::adapter::nbd;
using hast::IoKind;
using hast::test::Chunk;
using hast::test::nbd_pattern;
using hast::test::nbd_request;
using hast::test::nbd_write;
using hast::test::RamSink;
using hast::test::ReplyParser;
using hast::test::TransmissionRig;
using nbd::ReplyStyle;

namespace {

constexpr std::uint64_t kBlock = hast::port::kBlockBytes;

/// A sink and one client.
struct World {
  explicit World(ReplyStyle reply_style, hast::test::RamSinkOptions options = {4 << 20, 512, 16},
                 nbd::TransmissionLimits limits = {})
      : sink(options), style(reply_style), client(sink, reply_style, limits) {
    sink.keep_journal();
  }
  ~World() {
    sink.unhold();
    client.end();
    settle();
    CHECK(client.transmission.is_quiet());
    CHECK(sink.all_free());
  }

  /// Until nobody has anything to do.
  void settle() {
    do {
      sink.turn();
    } while (client.step() || sink_has_work());
  }
  bool sink_has_work() const { return !held && sink.submitted() > 0; }
  void hold() {
    held = true;
    sink.hold();
  }
  void unhold() {
    held = false;
    sink.unhold();
  }
  void complete_at(std::size_t n) {
    sink.complete_at(n);
    settle();
  }

  void send(const hast::test::Wire& wire) {
    client.send(wire.str());
    settle();
  }
  std::vector<Chunk> replies() {
    const std::string bytes = client.take_replies();
    ReplyParser parser(bytes);
    std::vector<Chunk> list;
    while (parser.valid() && !parser.at_end()) list.push_back(parser.chunk());
    REQUIRE(parser.valid());
    return list;
  }
  Chunk reply() {
    const auto list = replies();
    REQUIRE(list.size() == 1);
    return list.front();
  }
  /// The only reply, a simple one with that much data.
  Chunk simple(std::size_t data_bytes) {
    const std::string bytes = client.take_replies();
    ReplyParser parser(bytes);
    const Chunk reply = parser.simple(data_bytes);
    REQUIRE(parser.valid());
    REQUIRE(parser.at_end());
    return reply;
  }
  std::string memory(std::uint64_t offset, std::size_t length) {
    return {reinterpret_cast<const char*>(sink.memory()) + offset, length};
  }
  void set_memory(std::uint64_t offset, const std::string& data) {
    std::memcpy(sink.memory() + offset, data.data(), data.size());
  }

  RamSink sink;
  ReplyStyle style;
  TransmissionRig client;
  bool held = false;
};

/// What a complete structured read delivered; checks the rules of the protocol document.
std::string assembled(const std::vector<Chunk>& chunks, std::uint64_t cookie, std::uint64_t offset,
                      std::size_t length) {
  std::string data(length, '?');
  std::size_t covered = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    CHECK(chunks[i].cookie == cookie);
    CHECK(chunks[i].error == 0);
    CHECK(chunks[i].done() == (i + 1 == chunks.size()));
    if (chunks[i].type != 1) continue;
    REQUIRE(chunks[i].offset >= offset);
    REQUIRE(chunks[i].offset - offset + chunks[i].data.size() <= length);
    data.replace(chunks[i].offset - offset, chunks[i].data.size(), chunks[i].data);
    covered += chunks[i].data.size();
  }
  CHECK(covered == length);
  return data;
}

}  // namespace

// Writes ----------------------------------------------------------------------------------------

TEST_CASE("A write reaches the sink and is acknowledged by its cookie") {
  World world(GENERATE(ReplyStyle::simple, ReplyStyle::structured));
  const std::string data = nbd_pattern(4096, 1);
  world.send(nbd_write(0x1234567890abcdef, 8192, data));
  const Chunk reply = world.simple(0);
  CHECK(reply.cookie == 0x1234567890abcdef);
  CHECK(reply.error == 0);
  CHECK(world.memory(8192, 4096) == data);
  CHECK(world.sink.take_journal() ==
        std::vector<RamSink::Entry>{{IoKind::write, 8192, 4096, false}});
}

TEST_CASE(
    "A write that crosses blocks takes a slot for each and is acknowledged when all are done") {
  World world(ReplyStyle::simple);
  world.hold();
  const std::string data = nbd_pattern(2 * kBlock + 1024, 2);
  world.send(nbd_write(7, kBlock - 512, data));
  CHECK(world.sink.take_journal() ==
        std::vector<RamSink::Entry>{{IoKind::write, kBlock - 512, 512, false},
                                    {IoKind::write, kBlock, kBlock, false},
                                    {IoKind::write, 2 * kBlock, kBlock, false},
                                    {IoKind::write, 3 * kBlock, 512, false}});
  world.complete_at(3);
  world.complete_at(0);
  world.complete_at(0);
  CHECK(world.client.undelivered() == 0);
  world.complete_at(0);
  CHECK(world.simple(0).error == 0);
  CHECK(world.memory(kBlock - 512, data.size()) == data);
}

TEST_CASE("However the input is cut, the same requests arrive") {
  const std::size_t step = GENERATE(1, 2, 27, 28, 29, 511, 4096, 100000);
  const std::size_t input_bytes = GENERATE(std::size_t{28}, std::size_t{64}, std::size_t{131072});
  nbd::TransmissionLimits limits;
  limits.input_bytes = input_bytes;
  World world(ReplyStyle::simple, {4 << 20, 512, 16}, limits);
  world.client.receive_step = step;
  const std::string large = nbd_pattern(4096, 3);
  const std::string small = nbd_pattern(512, 4);
  world.client.send(nbd_write(1, kBlock - 1024, large).str());
  world.client.send(nbd_write(2, 1, small).str());  // misaligned: refused, payload skipped
  world.client.send(nbd_write(3, 0, small).str());
  world.client.send(nbd_request(3, 4, 0, 0).str());
  world.settle();
  std::map<std::uint64_t, std::uint32_t> errors;
  for (const Chunk& reply : world.replies()) errors[reply.cookie] = reply.error;
  CHECK(errors == std::map<std::uint64_t, std::uint32_t>{{1, 0}, {2, 22}, {3, 0}, {4, 0}});
  CHECK(world.memory(kBlock - 1024, large.size()) == large);
  CHECK(world.memory(0, 512) == small);
}

TEST_CASE("A failed piece fails its write, the first error is told and the rest is skipped") {
  World world(ReplyStyle::structured, {4 << 20, 512, 1});
  world.sink.fail(IoKind::write, 512, 512, ENOSPC);
  world.sink.fail(IoKind::write, 2 * kBlock, 512, EIO);
  const std::string data = nbd_pattern(3 * kBlock, 5);
  world.send(nbd_write(9, 0, data));
  const Chunk reply = world.reply();
  CHECK(reply.type == 0x8002);
  CHECK(reply.error == nbd::NBD_ENOSPC);
  CHECK(reply.offset == 0);
  CHECK(world.sink.take_journal().size() == 1);
  CHECK(world.memory(2 * kBlock, 512) == std::string(512, '\0'));
  // The stream is still understood.
  world.send(nbd_write(10, 4096, nbd_pattern(512, 6)));
  CHECK(world.reply().error == 0);
}

TEST_CASE("Of several errors of one write the first that happens is told") {
  World world(ReplyStyle::structured);
  world.sink.fail(IoKind::write, 0, 512, ENOSPC);
  world.sink.fail(IoKind::write, kBlock, 512, EIO);
  world.hold();
  world.send(nbd_write(9, 0, nbd_pattern(2 * kBlock, 5)));
  world.complete_at(1);
  world.complete_at(0);
  const Chunk reply = world.reply();
  CHECK(reply.error == nbd::NBD_EIO);
  CHECK(reply.offset == kBlock);
}

TEST_CASE("FUA goes with a single piece, and becomes one flush after several") {
  World world(ReplyStyle::simple);
  world.send(nbd_write(1, 0, nbd_pattern(512, 1), nbd::NBD_CMD_FLAG_FUA));
  CHECK(world.simple(0).error == 0);
  CHECK(world.sink.take_journal() == std::vector<RamSink::Entry>{{IoKind::write, 0, 512, true}});

  world.hold();
  world.send(nbd_write(2, kBlock - 512, nbd_pattern(1024, 2), nbd::NBD_CMD_FLAG_FUA));
  CHECK(world.sink.take_journal() ==
        std::vector<RamSink::Entry>{{IoKind::write, kBlock - 512, 512, false},
                                    {IoKind::write, kBlock, 512, false}});
  world.complete_at(0);
  CHECK(world.sink.take_journal().empty());
  world.complete_at(0);
  CHECK(world.sink.take_journal() == std::vector<RamSink::Entry>{{IoKind::flush, 0, 0, false}});
  CHECK(world.client.undelivered() == 0);
  world.complete_at(0);
  CHECK(world.simple(0).error == 0);
}

TEST_CASE("A failed flush fails the write that needed it") {
  World world(ReplyStyle::structured);
  world.sink.fail(IoKind::flush, 0, 1, EIO);
  world.send(nbd_write(2, kBlock - 512, nbd_pattern(1024, 2), nbd::NBD_CMD_FLAG_FUA));
  const Chunk reply = world.reply();
  CHECK(reply.type == 0x8001);
  CHECK(reply.error == nbd::NBD_EIO);
}

// Commands without payload ----------------------------------------------------------------------

TEST_CASE("FLUSH, TRIM and WRITE_ZEROES reach the sink") {
  World world(GENERATE(ReplyStyle::simple, ReplyStyle::structured));
  world.set_memory(0, std::string(8192, 'x'));
  world.send(nbd_request(3, 1, 0, 0));
  CHECK(world.simple(0).cookie == 1);
  world.send(nbd_request(4, 2, 512, 1024));
  CHECK(world.simple(0).cookie == 2);
  world.send(nbd_request(6, 3, 4096, 512, nbd::NBD_CMD_FLAG_FUA | nbd::NBD_CMD_FLAG_NO_HOLE));
  CHECK(world.simple(0).cookie == 3);
  CHECK(world.sink.take_journal() ==
        std::vector<RamSink::Entry>{{IoKind::flush, 0, 0, false},
                                    {IoKind::discard, 512, 1024, false},
                                    {IoKind::write_zeroes, 4096, 512, true}});
  CHECK(world.memory(4096, 512) == std::string(512, '\0'));
  CHECK(world.memory(4608, 512) == std::string(512, 'x'));
}

TEST_CASE("A long WRITE_ZEROES is cut at blocks, with few slots at a time") {
  nbd::TransmissionLimits limits;
  limits.window = 3;
  World world(ReplyStyle::simple, {4 << 20, 512, 16}, limits);
  world.set_memory(0, std::string(4 << 20, 'x'));
  world.hold();
  world.send(nbd_request(6, 1, 512, (4 << 20) - 1024));
  CHECK(world.sink.submitted() == 3);
  world.complete_at(1);
  CHECK(world.sink.submitted() == 3);
  world.unhold();
  world.settle();
  CHECK(world.simple(0).error == 0);
  CHECK(world.sink.take_journal().size() == 32);
  CHECK(world.memory(0, 4 << 20) ==
        std::string(512, 'x') + std::string((4 << 20) - 1024, '\0') + std::string(512, 'x'));
}

TEST_CASE("A long TRIM with FUA is cut at what a discard may cover and flushed once") {
  const std::uint64_t unit = hast::port::kMaxDiscardBytes;
  World world(ReplyStyle::simple, {unit * 2 + 4096, 512, 16});
  world.send(nbd_request(4, 1, 512, static_cast<std::uint32_t>(unit * 2), nbd::NBD_CMD_FLAG_FUA));
  CHECK(world.simple(0).error == 0);
  CHECK(world.sink.take_journal() ==
        std::vector<RamSink::Entry>{{IoKind::discard, 512, unit - 512, false},
                                    {IoKind::discard, unit, unit, false},
                                    {IoKind::discard, 2 * unit, 512, false},
                                    {IoKind::flush, 0, 0, false}});
}

TEST_CASE("An error ends a long command early") {
  nbd::TransmissionLimits limits;
  limits.window = 2;
  World world(ReplyStyle::structured, {4 << 20, 512, 16}, limits);
  world.sink.fail(IoKind::write_zeroes, kBlock, 512, EIO);
  world.send(nbd_request(6, 1, 0, 4 << 20));
  const Chunk reply = world.reply();
  CHECK(reply.error == nbd::NBD_EIO);
  CHECK(reply.offset == kBlock);
  CHECK(world.sink.take_journal().size() < 5);
}

// Reads, simple replies -------------------------------------------------------------------------

TEST_CASE("A simple read returns the data") {
  World world(ReplyStyle::simple);
  const std::string data = nbd_pattern(4096, 8);
  world.set_memory(512, data);
  world.send(nbd_request(0, 5, 512, 4096));
  const Chunk reply = world.simple(4096);
  CHECK(reply.cookie == 5);
  CHECK(reply.error == 0);
  CHECK(reply.data == data);
}

TEST_CASE("A simple read of many blocks leaves in order, whatever order the blocks arrive in") {
  const std::size_t send_step = GENERATE(std::size_t{1000}, ~std::size_t{0});
  World world(ReplyStyle::simple);
  world.client.send_step = send_step;
  const std::string data = nbd_pattern(20 * kBlock, 9);
  world.set_memory(kBlock / 2, data);
  world.hold();
  world.send(nbd_request(0, 5, kBlock / 2, static_cast<std::uint32_t>(data.size())));
  CHECK(world.sink.submitted() == 8);
  world.complete_at(7);
  CHECK(world.client.undelivered() == 0);
  while (world.sink.submitted() > 0) world.complete_at(world.sink.submitted() - 1);
  CHECK(world.simple(data.size()).data == data);
}

TEST_CASE("A simple read that fails before its reply began is an error without data") {
  World world(ReplyStyle::simple);
  world.sink.fail(IoKind::read, kBlock, 512, EIO);
  world.hold();
  world.send(nbd_request(0, 5, 0, 12 * kBlock));
  world.complete_at(1);
  CHECK(world.client.undelivered() == 0);
  world.unhold();
  world.settle();
  CHECK(world.simple(0).error == nbd::NBD_EIO);
  CHECK(world.sink.take_journal().size() == 8);  // the rest was given up
  CHECK(world.sink.all_free());
  world.send(nbd_request(0, 6, 0, 512));
  CHECK(world.simple(512).error == 0);
}

TEST_CASE("A simple read that fails after its reply began ends the connection") {
  World world(ReplyStyle::simple);
  world.sink.fail(IoKind::read, kBlock, 512, EIO);
  world.hold();
  world.send(nbd_request(0, 5, 0, 3 * kBlock));
  world.send(nbd_request(0, 6, 0, 512));
  world.complete_at(0);
  CHECK(world.client.undelivered() == 16 + kBlock);
  world.complete_at(0);
  CHECK(world.client.transmission.is_aborted());
  CHECK_FALSE(world.client.transmission.wants_input());
  CHECK_FALSE(world.client.failure.empty());
  CHECK(world.client.undelivered() == 16 + kBlock);
}

// Reads, structured replies ---------------------------------------------------------------------

TEST_CASE("A structured read of one piece is one chunk") {
  World world(ReplyStyle::structured);
  const std::string data = nbd_pattern(4096, 10);
  world.set_memory(512, data);
  world.send(nbd_request(0, 5, 512, 4096, GENERATE(0, 4)));  // with and without DF
  const auto chunks = world.replies();
  CHECK(chunks.size() == 1);
  CHECK(assembled(chunks, 5, 512, 4096) == data);
}

TEST_CASE("The chunks of a structured read leave as they arrive, the last one says so") {
  World world(ReplyStyle::structured);
  const std::string data = nbd_pattern(11 * kBlock, 11);
  world.set_memory(512, data);
  world.hold();
  world.send(nbd_request(0, 5, 512, static_cast<std::uint32_t>(data.size())));
  world.complete_at(5);
  CHECK(world.client.undelivered() > kBlock);
  while (world.sink.submitted() > 0) world.complete_at(world.sink.submitted() / 2);
  const auto chunks = world.replies();
  CHECK(chunks.size() == 12);
  CHECK(assembled(chunks, 5, 512, data.size()) == data);
}

TEST_CASE("A failed piece of a structured read is told with its offset at the end") {
  World world(ReplyStyle::structured);
  world.sink.fail(IoKind::read, kBlock, 512, EIO);
  world.hold();
  world.send(nbd_request(0, 5, 0, 3 * kBlock));
  const std::size_t first = GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{2});
  world.complete_at(first);
  world.unhold();
  world.settle();
  const auto chunks = world.replies();
  REQUIRE(chunks.size() == 3);
  CHECK(chunks[0].type == 1);
  CHECK(chunks[1].type == 1);
  CHECK(chunks[2].type == 0x8002);
  CHECK(chunks[2].error == nbd::NBD_EIO);
  CHECK(chunks[2].offset == kBlock);
  CHECK(chunks[2].done());
  CHECK_FALSE(chunks[0].done());
  CHECK_FALSE(chunks[1].done());
}

TEST_CASE("A read that must not be fragmented is one chunk") {
  World world(ReplyStyle::structured);
  const std::string data = nbd_pattern(10 * kBlock, 12);
  world.set_memory(512, data);
  world.hold();
  world.send(nbd_request(0, 5, 512, static_cast<std::uint32_t>(data.size()), 4));
  while (world.sink.submitted() > 0) world.complete_at(world.sink.submitted() - 1);
  const auto chunks = world.replies();
  REQUIRE(chunks.size() == 2);
  CHECK(chunks[1].type == 0);
  CHECK(assembled(chunks, 5, 512, data.size()) == data);
}

TEST_CASE("An unfragmented chunk that fails half-way is padded and the error follows") {
  World world(ReplyStyle::structured);
  world.set_memory(0, std::string(12 * kBlock, 'x'));
  world.sink.fail(IoKind::read, 9 * kBlock, 512, EIO);
  world.send(nbd_request(0, 5, 0, 12 * kBlock, 4));
  const auto chunks = world.replies();
  REQUIRE(chunks.size() == 2);
  CHECK(chunks[0].data.substr(0, 9 * kBlock) == std::string(9 * kBlock, 'x'));
  CHECK(chunks[0].data.substr(9 * kBlock, kBlock) == std::string(kBlock, '\0'));
  CHECK(chunks[0].data.size() == 12 * kBlock);
  CHECK_FALSE(chunks[0].done());
  CHECK(chunks[1].type == 0x8002);
  CHECK(chunks[1].error == nbd::NBD_EIO);
  CHECK(chunks[1].offset == 9 * kBlock);
}

TEST_CASE("An unfragmented read whose first piece fails has no content chunk") {
  World world(ReplyStyle::structured);
  world.sink.fail(IoKind::read, 0, 512, EIO);
  world.send(nbd_request(0, 5, 0, 2 * kBlock, 4));
  const Chunk reply = world.reply();
  CHECK(reply.type == 0x8002);
  CHECK(reply.offset == 0);
}

// Replies that are one run of bytes -------------------------------------------------------------

TEST_CASE("Nothing gets between the blocks of a reply that is one run of bytes") {
  const ReplyStyle style = GENERATE(ReplyStyle::simple, ReplyStyle::structured);
  const std::uint16_t flags = style == ReplyStyle::structured ? nbd::NBD_CMD_FLAG_DF : 0;
  World world(style);
  const std::string data = nbd_pattern(16 * kBlock, 13);
  world.set_memory(0, data);
  world.hold();
  world.client.send(nbd_request(0, 1, 0, 2 * kBlock, flags).str());
  world.client.send(nbd_request(0, 2, 2 * kBlock, 2 * kBlock, flags).str());
  world.client.send(nbd_request(0, 3, 4 * kBlock, 512).str());
  world.client.send(nbd_request(3, 4, 0, 0).str());
  world.client.send(nbd_request(0, 5, 1, 512).str());  // refused
  world.settle();
  REQUIRE(world.sink.submitted() == 6);
  world.complete_at(0);  // the first half of the first,
  world.complete_at(1);  // of the second, and everything that is short
  world.complete_at(2);
  world.complete_at(2);
  world.complete_at(1);  // the second is complete
  CHECK(world.client.undelivered() < kBlock + 512);
  world.complete_at(0);
  const std::string bytes = world.client.take_replies();
  ReplyParser parser(bytes);
  const std::map<std::uint64_t, std::size_t> lengths{{1, 2 * kBlock}, {2, 2 * kBlock}, {3, 512}};
  const auto length_of = [&](std::uint64_t cookie) {
    return lengths.contains(cookie) ? lengths.at(cookie) : 0;
  };
  std::map<std::uint64_t, std::string> read;
  std::map<std::uint64_t, int> answers;
  while (parser.valid() && !parser.at_end()) {
    const Chunk chunk = style == ReplyStyle::simple ? parser.simple_of(length_of) : parser.chunk();
    if (chunk.error == 0) read[chunk.cookie] += chunk.data;
    if (chunk.done()) ++answers[chunk.cookie];
  }
  REQUIRE(parser.valid());
  CHECK(answers == std::map<std::uint64_t, int>{{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}});
  CHECK(read[1] == data.substr(0, 2 * kBlock));
  CHECK(read[2] == data.substr(2 * kBlock, 2 * kBlock));
  CHECK(read[3] == data.substr(4 * kBlock, 512));
}

TEST_CASE("Clients with long reads and many short ones do not starve each other of slots") {
  const unsigned seed = GENERATE(range(1u, 60u));
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto pick = [&](std::uint32_t below) {
    return static_cast<std::uint32_t>(random() % below);
  };
  RamSink sink({1 << 20, 512, 1 + pick(6)});
  sink.hold();
  std::vector<std::unique_ptr<TransmissionRig>> clients;
  std::vector<std::size_t> expected;
  for (unsigned i = 0; i < 3; ++i) {
    nbd::TransmissionLimits limits;
    limits.pieces = 1 + pick(8);
    limits.window = 1 + pick(4);
    const bool simple = pick(2) != 0;
    clients.push_back(std::make_unique<TransmissionRig>(
        sink, simple ? ReplyStyle::simple : ReplyStyle::structured, limits));
    expected.push_back(0);
    for (std::uint64_t cookie = 0; cookie < 40; ++cookie) {
      const bool is_long = pick(2) != 0;
      const std::uint32_t length = is_long ? static_cast<std::uint32_t>(3 * kBlock) : 512;
      const std::uint16_t flags = simple ? 0 : nbd::NBD_CMD_FLAG_DF;
      clients[i]->send(nbd_request(0, cookie, 512, length, flags).str());
      expected[i] += length + (simple ? 16 : is_long ? 28 + 20 : 28);
    }
  }
  for (;;) {
    sink.turn();
    bool moved = false;
    for (unsigned i = 0; i < 3; ++i) moved = clients[(i + seed) % 3]->step() || moved;
    if (moved && pick(4) != 0) continue;
    if (sink.submitted() > 0) {
      sink.complete_at(pick(static_cast<std::uint32_t>(sink.submitted())));
    } else if (!moved) {
      break;
    }
  }
  for (unsigned i = 0; i < 3; ++i) {
    CHECK(clients[i]->undelivered() == expected[i]);
    clients[i]->end();
  }
  CHECK(sink.all_free());
}

// Refusals --------------------------------------------------------------------------------------

TEST_CASE("Refused requests are answered, never reach the sink, and the stream goes on") {
  const ReplyStyle style = GENERATE(ReplyStyle::simple, ReplyStyle::structured);
  World world(style);
  const std::string payload = nbd_pattern(1024, 1);
  struct Case {
    hast::test::Wire wire;
    std::uint32_t error;
  };
  const std::vector<Case> cases = {
      {nbd_write(1, 1, payload), nbd::NBD_EINVAL},
      {nbd_write(1, 4 << 20, payload), nbd::NBD_ENOSPC},
      {nbd_write(1, 0, payload, 0x4000), nbd::NBD_EINVAL},
      {nbd_write(1, 0, {}), nbd::NBD_EINVAL},
      {nbd_request(1, 1, 0, (32 << 20) + 512).fill((32 << 20) + 512, 'w'), nbd::NBD_EINVAL},
      {nbd_request(0, 1, 513, 512), nbd::NBD_EINVAL},
      {nbd_request(0, 1, 0, 0), nbd::NBD_EINVAL},
      {nbd_request(0, 1, ~std::uint64_t{511}, 1024), nbd::NBD_EINVAL},
      {nbd_request(0, 1, 0, 64 << 20),
       style == ReplyStyle::simple ? nbd::NBD_EINVAL : nbd::NBD_EOVERFLOW},
      {nbd_request(3, 1, 512, 0), nbd::NBD_EINVAL},
      {nbd_request(6, 1, 0, 512, nbd::NBD_CMD_FLAG_FAST_ZERO), nbd::NBD_EINVAL},
      {nbd_request(6, 1, 4 << 20, 512), nbd::NBD_ENOSPC},
      {nbd_request(5, 1, 0, 512), nbd::NBD_EINVAL},
      {nbd_request(7, 1, 0, 512), nbd::NBD_EINVAL},
      {nbd_request(0xfff0, 1, 0, 512), nbd::NBD_EINVAL},
  };
  for (const Case& refused : cases) {
    world.send(refused.wire);
    const Chunk reply = world.reply();
    CHECK(reply.cookie == 1);
    CHECK(reply.error == refused.error);
    CHECK(reply.is_simple == (style == ReplyStyle::simple));
    CHECK(reply.data.empty() == (style == ReplyStyle::simple));  // words for people
    world.send(nbd_request(3, 2, 0, 0));
    CHECK(world.reply().cookie == 2);
    CHECK(world.sink.take_journal() == std::vector<RamSink::Entry>{{IoKind::flush, 0, 0, false}});
  }
}

TEST_CASE("A wrong magic number ends the input, what came before is still answered") {
  World world(ReplyStyle::simple);
  world.hold();
  world.client.send(nbd_request(3, 1, 0, 0).str());
  world.client.send(std::string(28, 'x'));
  world.client.send(nbd_request(3, 2, 0, 0).str());
  world.settle();
  CHECK_FALSE(world.client.transmission.wants_input());
  CHECK_FALSE(world.client.failure.empty());
  CHECK_FALSE(world.client.transmission.is_aborted());
  world.client.end_input();
  CHECK_FALSE(world.client.was_quiet);
  world.complete_at(0);
  CHECK(world.simple(0).cookie == 1);
  CHECK(world.client.was_quiet);
}

TEST_CASE("DISC ends the input after everything before it, and has no reply") {
  World world(ReplyStyle::simple);
  world.hold();
  world.client.send(nbd_write(1, 0, nbd_pattern(512, 1)).str());
  world.client.send(nbd_request(0, 2, 0, 12 * kBlock).str());
  world.client.send(nbd_request(2, 3, 0, 0).str());
  world.client.send(nbd_request(3, 4, 0, 0).str());
  world.settle();
  CHECK_FALSE(world.client.transmission.wants_input());
  world.client.end_input();
  CHECK_FALSE(world.client.was_quiet);
  world.unhold();
  world.settle();
  const std::string bytes = world.client.take_replies();
  ReplyParser parser(bytes);
  CHECK(parser.simple().cookie == 1);
  CHECK(parser.simple(12 * kBlock).cookie == 2);
  CHECK(parser.valid());
  CHECK(parser.at_end());
  CHECK(world.client.was_quiet);
}

// Limits and back-pressure ----------------------------------------------------------------------

TEST_CASE("Without a free slot the client is not read any more, and goes on when one is free") {
  World world(ReplyStyle::simple, {4 << 20, 512, 2});
  world.hold();
  for (unsigned i = 0; i < 4; ++i)
    world.client.send(nbd_write(i, i * 4096, nbd_pattern(4096, i)).str());
  world.settle();
  CHECK(world.sink.submitted() == 2);
  CHECK(world.sink.waiters() == 1);
  CHECK(world.client.transmission.receive_space().empty());
  CHECK(world.client.transmission.wants_input());
  world.complete_at(0);
  CHECK(world.sink.submitted() == 2);
  CHECK(world.sink.waiters() == 1);
  world.unhold();
  world.settle();
  CHECK(world.replies().size() == 4);
  CHECK(world.memory(3 * 4096, 4096) == nbd_pattern(4096, 3));
  CHECK_FALSE(world.client.transmission.receive_space().empty());
}

TEST_CASE("At once it takes as many small writes as are under way, and at least eight") {
  World world(ReplyStyle::simple, {4 << 20, 512, 32});
  const auto writes_taken_at_once = [&world] {
    const auto space = world.client.transmission.receive_space();
    REQUIRE(space.size() == 1);
    return space[0].iov_len / (nbd::kRequestBytes + 4096);
  };
  CHECK(writes_taken_at_once() == 8);
  world.hold();
  for (unsigned i = 0; i < 12; ++i) world.client.send(nbd_request(0, i, 0, 512).str());
  world.settle();
  CHECK(world.sink.submitted() == 12);
  CHECK(writes_taken_at_once() == 12);
  world.unhold();
  world.settle();
  CHECK(writes_taken_at_once() == 8);
}

TEST_CASE("No more commands are taken than a connection may have") {
  nbd::TransmissionLimits limits;
  limits.commands = 3;
  World world(ReplyStyle::simple, {4 << 20, 512, 16}, limits);
  world.hold();
  for (unsigned i = 0; i < 5; ++i) world.client.send(nbd_request(0, i, 0, 512).str());
  world.settle();
  CHECK(world.sink.submitted() == 3);
  CHECK(world.client.transmission.receive_space().empty());
  world.complete_at(0);
  CHECK(world.sink.submitted() == 3);
  world.unhold();
  world.settle();
  CHECK(world.client.undelivered() == 5 * (16 + 512));
}

TEST_CASE("A client that does not read its replies cannot hold more slots than its share") {
  nbd::TransmissionLimits limits;
  limits.pieces = 4;
  World world(ReplyStyle::structured, {4 << 20, 512, 16}, limits);
  world.client.stalled = true;
  for (unsigned i = 0; i < 8; ++i) world.client.send(nbd_request(0, i, 0, 2 * kBlock).str());
  world.settle();
  CHECK(world.sink.free_slots() == 12);
  CHECK(world.client.transmission.receive_space().empty());
  world.client.stalled = false;
  world.settle();
  CHECK(world.replies().size() == 16);
}

TEST_CASE("Two clients that want the last slots get them in the order they asked") {
  RamSink sink({4 << 20, 512, 1});
  TransmissionRig first(sink, ReplyStyle::simple);
  TransmissionRig second(sink, ReplyStyle::simple);
  const auto settle = [&] {
    bool moved = true;
    while (moved) {
      sink.turn();
      moved = first.step();
      moved = second.step() || moved || sink.submitted() > 0;
    }
  };
  first.send(nbd_request(0, 1, 0, 4 * kBlock).str());
  second.send(nbd_request(0, 2, 0, 4 * kBlock).str());
  second.send(nbd_write(3, 0, nbd_pattern(4 * kBlock, 1)).str());
  settle();
  CHECK(first.undelivered() == 16 + 4 * kBlock);
  CHECK(second.undelivered() == 16 + 4 * kBlock + 16);
  CHECK(sink.all_free());
  first.end();
  second.end();
}

// The end ---------------------------------------------------------------------------------------

TEST_CASE("Withdrawing answers what the sink has and nothing else, submitting nothing") {
  World world(GENERATE(ReplyStyle::simple, ReplyStyle::structured), {4 << 20, 512, 10});
  world.hold();
  world.client.send(nbd_write(1, 0, nbd_pattern(512, 1)).str());
  world.client.send(nbd_request(6, 2, 0, 4 << 20).str());  // eight pieces of 32 submitted
  world.client.send(nbd_write(3, kBlock - 512, nbd_pattern(1024, 1), 1).str());  // one of two
  world.settle();
  CHECK(world.sink.submitted() == 10);
  CHECK(world.sink.waiters() == 1);
  world.sink.take_journal();
  world.client.transmission.withdraw();
  world.client.end_input();
  CHECK(world.sink.waiters() == 0);
  CHECK_FALSE(world.client.was_quiet);
  world.unhold();
  world.settle();
  CHECK(world.sink.take_journal().empty());
  CHECK(world.client.was_quiet);
  CHECK(world.sink.all_free());
  std::map<std::uint64_t, std::uint32_t> errors;
  for (const Chunk& reply : world.replies()) errors[reply.cookie] = reply.error;
  CHECK(errors == std::map<std::uint64_t, std::uint32_t>{{1, 0}});
}

TEST_CASE("What the sink fails after the withdrawal is not answered: its client asks again") {
  World world(GENERATE(ReplyStyle::simple, ReplyStyle::structured));
  const bool withdrawn = GENERATE(false, true);
  world.sink.fail(IoKind::write, 0, 512, ECANCELED);
  world.hold();
  world.send(nbd_write(1, 0, nbd_pattern(512, 1)));
  world.send(nbd_request(3, 2, 0, 0));
  if (withdrawn) world.client.transmission.withdraw();
  world.client.end_input();
  world.unhold();
  world.settle();
  CHECK(world.client.was_quiet);
  CHECK(world.sink.all_free());
  std::map<std::uint64_t, std::uint32_t> errors;
  for (const Chunk& reply : world.replies()) errors[reply.cookie] = reply.error;
  if (!withdrawn)
    CHECK(errors == std::map<std::uint64_t, std::uint32_t>{{1, nbd::NBD_EIO}, {2, 0}});
  if (withdrawn) CHECK(errors == std::map<std::uint64_t, std::uint32_t>{{2, 0}});
}

TEST_CASE("Withdrawing breaks a structured read off without an end, not as if it were whole") {
  World world(ReplyStyle::structured);
  world.hold();
  world.send(nbd_request(0, 1, 0, 12 * kBlock));
  world.client.transmission.withdraw();
  world.client.end_input();
  world.unhold();
  world.settle();
  const auto chunks = world.replies();
  REQUIRE(chunks.size() == 8);
  CHECK_FALSE(chunks.back().done());
  CHECK(world.client.was_quiet);
}

TEST_CASE("Withdrawing breaks off a read whose reply has begun and cannot be finished") {
  World world(ReplyStyle::simple);
  world.hold();
  world.send(nbd_request(0, 1, 0, 12 * kBlock));
  world.client.stalled = true;
  world.complete_at(0);
  world.client.transmission.withdraw();
  world.client.end_input();
  CHECK(world.client.transmission.is_aborted());
  CHECK_FALSE(world.client.failure.empty());
  world.unhold();
  world.settle();
  CHECK(world.client.was_quiet);
  CHECK(world.sink.all_free());
}

TEST_CASE("Withdrawing leaves a write unanswered that still needs the flush of its FUA") {
  World world(ReplyStyle::simple);
  world.hold();
  world.send(nbd_write(1, kBlock - 512, nbd_pattern(1024, 2), nbd::NBD_CMD_FLAG_FUA));
  world.client.transmission.withdraw();
  world.client.end_input();
  world.sink.take_journal();
  world.unhold();
  world.settle();
  CHECK(world.sink.take_journal().empty());
  CHECK(world.replies().empty());
}

TEST_CASE("The slot of a payload that never came whole goes back without a write") {
  World world(ReplyStyle::simple);
  const bool withdrawn = GENERATE(false, true);
  world.client.send(nbd_request(1, 1, 0, 8192).fill(5000, 'w').str());
  world.settle();
  CHECK(world.sink.free_slots() == 15);
  if (withdrawn) world.client.transmission.withdraw();
  world.client.end_input();
  CHECK(world.client.was_quiet);
  CHECK(world.sink.all_free());
  CHECK(world.sink.take_journal().empty());
  CHECK(world.client.undelivered() == 0);
}

TEST_CASE("A slot that comes when nobody needs it any more goes back") {
  RamSink sink({4 << 20, 512, 1});
  TransmissionRig client(sink, ReplyStyle::simple);
  hast::port::IoRequest* taken = sink.acquire();
  client.send(nbd_request(1, 1, 0, 4096).fill(100, 'w').str());
  while (client.step()) {
  }
  CHECK(sink.waiters() == 1);
  client.end_input();
  CHECK_FALSE(client.was_quiet);
  sink.release(*taken);
  sink.turn();
  while (client.step()) {
  }
  CHECK(client.was_quiet);
  CHECK(sink.all_free());
}

TEST_CASE("Aborting gives every slot back as the sink lets go of it, and answers nothing") {
  World world(GENERATE(ReplyStyle::simple, ReplyStyle::structured), {4 << 20, 512, 12});
  world.hold();
  world.client.send(nbd_request(0, 1, 0, 12 * kBlock).str());
  world.client.send(nbd_write(2, 0, nbd_pattern(512, 1)).str());
  world.client.send(nbd_request(0, 3, 0, 12 * kBlock, 0).str());
  world.client.send(nbd_write(4, 0, nbd_pattern(512, 1)).str());
  world.settle();
  CHECK(world.sink.waiters() == 1);
  world.client.stalled = true;
  world.complete_at(0);
  world.client.transmission.abort();
  CHECK(world.sink.waiters() == 0);
  world.client.end_input();
  CHECK_FALSE(world.client.was_quiet);
  world.client.stalled = false;
  while (world.sink.submitted() > 0) {
    CHECK_FALSE(world.client.was_quiet);
    world.complete_at(world.sink.submitted() - 1);
  }
  CHECK(world.client.was_quiet);
  CHECK(world.sink.all_free());
  CHECK(world.client.undelivered() == 0);
}

// Everything at once ----------------------------------------------------------------------------

TEST_CASE("Random requests, orders, cuts and errors agree with a plain array") {
  const unsigned seed = GENERATE(range(1u, 40u));
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto pick = [&](std::uint32_t below) {
    return static_cast<std::uint32_t>(random() % below);
  };
  constexpr std::uint64_t size = 1 << 20;
  const ReplyStyle style = seed % 2 != 0 ? ReplyStyle::simple : ReplyStyle::structured;
  nbd::TransmissionLimits limits;
  limits.commands = 1 + pick(6);
  limits.pieces = 1 + pick(12);
  limits.window = 1 + pick(8);
  limits.input_bytes = 28 + pick(70000);
  World world(style, {size, 512, 1 + pick(10)}, limits);
  world.hold();
  std::string model(size, '\0');

  for (std::uint64_t cookie = 1; cookie <= 60; ++cookie) {
    world.client.receive_step = 1 + pick(100000);
    world.client.send_step = 1 + pick(100000);
    const std::uint64_t offset = pick(size / 512) * std::uint64_t{512};
    const std::uint64_t most = std::min<std::uint64_t>(size - offset, 600 * 1024);
    const std::uint32_t length = (1 + pick(static_cast<std::uint32_t>(most / 512))) * 512;
    const std::uint16_t fua = static_cast<std::uint16_t>(pick(2));
    const std::uint32_t kind = pick(5);
    const std::uint16_t type = std::array<std::uint16_t, 5>{0, 1, 4, 6, 3}[kind];
    if (type == 1) {
      const std::string data = nbd_pattern(length, pick(1000));
      world.client.send(nbd_write(cookie, offset, data, fua).str());
      model.replace(offset, length, data);
    } else if (type == 3) {
      world.client.send(nbd_request(type, cookie, 0, 0).str());
    } else {
      const bool df = type == 0 && style == ReplyStyle::structured && pick(2) != 0;
      world.client.send(nbd_request(type, cookie, offset, length, df ? 4 : fua).str());
      if (type != 0) model.replace(offset, length, std::string(length, '\0'));
    }
    // One request at a time, its pieces in any order, so that the outcome is certain.
    for (;;) {
      world.settle();
      if (world.sink.submitted() == 0) break;
      world.sink.complete_at(pick(static_cast<std::uint32_t>(world.sink.submitted())));
    }
    REQUIRE(world.client.unread() == 0);
    if (type != 0) {
      const Chunk reply = world.reply();
      REQUIRE(reply.cookie == cookie);
      REQUIRE(reply.error == 0);
    } else if (style == ReplyStyle::simple) {
      REQUIRE(world.simple(length).data == model.substr(offset, length));
    } else {
      REQUIRE(assembled(world.replies(), cookie, offset, length) == model.substr(offset, length));
    }
  }
  CHECK(world.memory(0, size) == model);
}

TEST_CASE("Many requests at once are each answered once, with errors or without") {
  const unsigned seed = GENERATE(range(100u, 140u));
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto pick = [&](std::uint32_t below) {
    return static_cast<std::uint32_t>(random() % below);
  };
  const ReplyStyle style = seed % 2 != 0 ? ReplyStyle::simple : ReplyStyle::structured;
  nbd::TransmissionLimits limits;
  limits.commands = 2 + pick(20);
  limits.pieces = 1 + pick(20);
  limits.window = 1 + pick(8);
  limits.input_bytes = 28 + pick(70000);
  World world(style, {1 << 20, 512, 1 + pick(20)}, limits);
  world.hold();
  for (const IoKind kind : {IoKind::read, IoKind::write, IoKind::write_zeroes, IoKind::flush})
    if (pick(3) == 0) world.sink.fail(kind, pick(1 << 20), 512, EIO);
  std::map<std::uint64_t, std::size_t> lengths;  // of reads
  constexpr std::uint64_t requests = 80;
  for (std::uint64_t cookie = 0; cookie < requests; ++cookie) {
    const std::uint64_t offset = pick(1024) * std::uint64_t{512};
    const std::uint32_t length = (1 + pick(1024)) * 512;
    const std::uint16_t type = std::array<std::uint16_t, 6>{0, 0, 1, 4, 6, 3}[pick(6)];
    if (type == 1) {
      world.client.send(nbd_write(cookie, offset, nbd_pattern(length, 1)).str());
    } else if (type == 3) {
      world.client.send(nbd_request(3, cookie, 0, 0).str());
    } else {
      const bool df = type == 0 && style == ReplyStyle::structured && pick(2) != 0;
      world.client.send(nbd_request(type, cookie, offset, length, df ? 4 : 0).str());
      if (type == 0) lengths[cookie] = length;
    }
  }
  for (;;) {
    world.client.receive_step = 1 + pick(100000);
    world.client.send_step = 1 + pick(100000);
    world.settle();
    if (world.sink.submitted() == 0) break;
    world.sink.complete_at(pick(static_cast<std::uint32_t>(world.sink.submitted())));
  }
  const std::string bytes = world.client.take_replies();
  ReplyParser parser(bytes);
  const auto length_of = [&](std::uint64_t cookie) {
    return lengths.contains(cookie) ? lengths[cookie] : 0;
  };
  const bool aborted = world.client.transmission.is_aborted();  // a simple read failed half-way
  std::map<std::uint64_t, int> answers;
  while (parser.valid() && !parser.at_end()) {
    const Chunk chunk = style == ReplyStyle::simple ? parser.simple_of(length_of) : parser.chunk();
    if (chunk.done()) ++answers[chunk.cookie];
  }
  if (!aborted) {
    CHECK(parser.valid());
    CHECK(world.client.unread() == 0);
    CHECK(answers.size() == requests);
  }
  for (const auto& [cookie, count] : answers) CHECK(count == 1);
  CHECK(world.sink.all_free());
}
