// The secondary: order, replies, its map, its identity.
#include "hast/core/secondary.hpp"

#include <algorithm>
#include <cerrno>

#include "support/catch.hpp"
#include "support/secondary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

constexpr std::uint64_t kExtent = 256 * 1024;
using Seqs = std::vector<std::uint64_t>;

PrimaryFacts facts(std::uint64_t local = 0, std::uint64_t remote = 0, bool virgin = false) {
  return {SecondaryRig::kResuid, virgin, {local, remote}};
}

/// A component that never met a primary.
void make_new(SecondaryRig& rig) {
  store_metadata(rig.media(), rig.shape(), fresh_metadata(rig.shape()));
}

Bitmap sent_map(SecondaryRig& rig, const SyncDecision& decision) {
  Bitmap map(rig.shape().extents);
  map.import_bytes(rig.secondary().map_for(decision));
  return map;
}
Bitmap regular_map(SecondaryRig& rig) {
  return sent_map(rig, {SyncSource::primary, SyncKind::regular, false});
}

}  // namespace

// Requests ----------------------------------------------------------------------------------------

TEST_CASE("a write is on the disk when it is answered, a read returns it") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 4096, 8192, 7);
  CHECK(rig.answers().empty());
  rig.disk().run_all();
  const auto written = rig.answers();
  REQUIRE(written.size() == 1);
  CHECK(written[0].seq == 1);
  CHECK(written[0].error == 0);
  CHECK_FALSE(written[0].received);
  CHECK(filled_with(rig.data(4096, 8192), 7));
  rig.read(2, 4096, 4096);
  rig.disk().run_all();
  const auto read = rig.answers();
  REQUIRE(read.size() == 1);
  CHECK(read[0].data.size() == 4096);
  CHECK(filled_with(read[0].data, 7));
}

TEST_CASE("a discard zeroes, a discard of the whole volume is one request") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 8192, 7);
  rig.discard(2, 0, rig.shape().data_bytes());
  rig.disk().run_all();
  CHECK(rig.answered_seqs() == Seqs{1, 2});
  CHECK(filled_with(rig.data(0, 8192), 0));
  CHECK(rig.secondary().statistics().deletes == 1);
  CHECK(rig.secondary().statistics().writes == 1);
}

TEST_CASE("requests that do not overlap are on the disk at once and answered as they end") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 4096, 1);
  rig.write(2, 8192, 4096, 2);
  rig.read(3, 65536, 4096);
  REQUIRE(rig.held_data() == 3);
  rig.disk().complete(2);
  rig.disk().complete(1);
  CHECK(rig.answered_seqs() == Seqs{3, 2});
  rig.disk().run_all();
  CHECK(rig.answered_seqs() == Seqs{1});
}

TEST_CASE("overlapping requests keep their order of arrival, reads included") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 4096, 1);
  rig.read(2, 0, 512);
  rig.write(3, 0, 8192, 3);
  rig.discard(4, 4096, 4096);
  rig.read(5, 4096, 512);
  CHECK(rig.held_data() == 1);
  std::vector<SentReply> all;
  while (rig.disk().held() > 0) {
    rig.disk().complete(rig.disk().held() - 1);
    for (SentReply& reply : rig.answers()) all.push_back(std::move(reply));
  }
  REQUIRE(all.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(all[i].seq == i + 1);
  CHECK(filled_with(all[1].data, 1));
  CHECK(filled_with(all[4].data, 0));
  CHECK(filled_with(rig.data(0, 4096), 3));
}

TEST_CASE("reads of the same range do not wait for each other") {
  SecondaryRig rig;
  rig.start_session();
  rig.read(1, 0, 4096);
  rig.read(2, 0, 4096);
  CHECK(rig.held_data() == 2);
}

TEST_CASE("a flush covers every write that arrived before it, and waits for no later one") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 4096, 1);
  rig.read(2, 65536, 512);
  rig.flush(3);
  rig.write(4, 8192, 4096, 4);
  CHECK(rig.disk().held_of(IoKind::flush) == 0);
  REQUIRE(rig.disk().complete_first(
      [&](const port::DiskOp& op) { return op.kind == IoKind::write && rig.is_data(op); }));
  CHECK(rig.disk().held_of(IoKind::flush) == 1);  // not waiting for the read, nor for write 4
  REQUIRE(rig.disk().complete_first(IoKind::flush));
  CHECK(rig.answered_seqs() == Seqs{1, 3});
  CHECK(filled_with(rig.media().durable(rig.shape().layout().data_offset, 4096), 1));
}

TEST_CASE("a flush behind a write that waits for another write covers it") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 4096, 1);
  rig.write(2, 0, 4096, 2);  // waits for 1
  rig.flush(3);
  rig.flush(4);
  rig.disk().run_all();
  CHECK(rig.answered_seqs() == Seqs{1, 2, 3, 4});
  CHECK(filled_with(rig.media().durable(rig.shape().layout().data_offset, 4096), 2));
}

TEST_CASE("memsync: the early reply leaves before the disk is asked, the final one after") {
  SecondaryRig rig;
  rig.start_session();
  rig.write_memsync(7, 0, 4096, 1);
  auto early = rig.answers();
  REQUIRE(early.size() == 1);
  CHECK(early[0].seq == 7);
  CHECK(early[0].received);
  CHECK(early[0].error == 0);
  rig.disk().run_all();
  auto final = rig.answers();
  REQUIRE(final.size() == 1);
  CHECK(final[0].seq == 7);
  CHECK_FALSE(final[0].received);
}

TEST_CASE("memsync: both replies keep their order when nothing was sent in between") {
  SecondaryRig rig;
  rig.start_session();
  rig.disk().fail(
      {.kind = IoKind::write, .begin = rig.shape().layout().data_offset, .error = ENOSPC});
  rig.write_memsync(7, 0, 4096, 1);
  rig.disk().run_all();
  const auto both = rig.answers();
  REQUIRE(both.size() == 2);
  CHECK(both[0].received);
  CHECK(both[0].error == 0);  // never with an error
  CHECK_FALSE(both[1].received);
  CHECK(both[1].error == ENOSPC);
}

TEST_CASE("memsync: a native primary gets one reply for both when nothing was sent in between") {
  SecondaryRig rig;
  rig.start_session(Secondary::Dialect::native);
  rig.write_memsync(7, 0, 4096, 1);
  CHECK(rig.secondary().send_queue() == 1);
  rig.disk().run_all();
  rig.write_memsync(8, 4096, 4096, 1);
  const auto first = rig.answers();
  REQUIRE(first.size() == 2);
  CHECK(first[0].seq == 7);
  CHECK_FALSE(first[0].received);
  CHECK(first[1].seq == 8);
  CHECK(first[1].received);
  rig.disk().run_all();
  CHECK(rig.answered_seqs() == Seqs{8});
}

TEST_CASE("a failing disk is answered with its error, counted and reported") {
  SecondaryRig rig;
  rig.start_session();
  DiskFault fault;
  fault.begin = rig.shape().layout().data_offset;
  fault.times = 4;
  rig.disk().fail(fault);
  rig.write(1, 0, 512, 1);
  rig.read(2, 4096, 512);
  rig.discard(3, 8192, 512);
  rig.disk().run_all();
  rig.flush(4);
  rig.disk().run_all();
  for (const SentReply& reply : rig.answers()) CHECK(reply.error == EIO);
  const IoStatistics counts = rig.secondary().statistics();
  CHECK(counts.write_errors == 1);
  CHECK(counts.read_errors == 1);
  CHECK(counts.delete_errors == 1);
  CHECK(counts.flush_errors == 1);
  CHECK(rig.host().events.count(Event::Kind::local_io_failed) == 4);
}

TEST_CASE("a flush or discard the component cannot do is answered so, and is no disk error") {
  SecondaryRig rig;
  rig.start_session();
  rig.disk().without_cache();
  rig.disk().fail({.kind = IoKind::discard, .error = EOPNOTSUPP});
  rig.flush(1);
  rig.discard(2, 0, 512);
  rig.disk().run_all();
  for (const SentReply& reply : rig.answers()) CHECK(reply.error == EOPNOTSUPP);
  CHECK(rig.host().events.all().empty());
}

TEST_CASE("INV-9: requests out of bounds are answered EINVAL at once and touch nothing") {
  SecondaryRig rig;
  rig.start_session();
  const std::uint64_t size = rig.shape().data_bytes();
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  struct Bad {
    IoKind kind;
    std::uint64_t offset;
    std::uint64_t length;
  };
  const std::vector<Bad> bad{
      {IoKind::read, 0, 0},
      {IoKind::read, size, 512},
      {IoKind::read, size - 512, 1024},
      {IoKind::read, kMost - 511, 512},
      {IoKind::read, kMost - 511, 4096},  // weaknesses H6: wraps into the metadata
      {IoKind::read, 0, kMaxPeerIoBytes + 512},
      {IoKind::read, 256, 512},
      {IoKind::read, 0, 100},
      {IoKind::write, size - 512, 1024},
      {IoKind::write, kMost - 4095, 8192},
      {IoKind::write, 0, 0},
      {IoKind::write, 1, 512},
      {IoKind::discard, 512, size},
      {IoKind::discard, kMost, kMost},
      {IoKind::discard, 0, 0},
  };
  std::uint64_t seq = 1;
  for (const Bad& request : bad) {
    INFO(to_string(request.kind) << " " << request.offset << " " << request.length);
    PeerRequest& taken = rig.prepare(request.kind, seq);
    taken.offset_bytes = request.offset;
    taken.length_bytes = request.length;
    taken.memsync = request.kind == IoKind::write;
    rig.secondary().submit(taken);
    const auto replies = rig.answers();
    REQUIRE(replies.size() == 1);  // no early reply either
    CHECK(replies[0].error == EINVAL);
    CHECK(replies[0].seq == seq);
    CHECK_FALSE(replies[0].received);
    ++seq;
  }
  CHECK(rig.disk().submitted() == 0);
  rig.write(seq, size - kMaxPeerIoBytes, kMaxPeerIoBytes, 9);  // the largest there is
  rig.disk().run_all();
  CHECK(rig.answers().at(0).error == 0);
}

TEST_CASE("INV-9: a request that could not be taken up is answered and touches nothing") {
  SecondaryRig rig;
  rig.start_session();
  PeerRequest& request = rig.prepare(IoKind::write, 5, 0, 2 * kMaxPeerIoBytes);
  rig.secondary().refuse(request, EINVAL);
  const auto replies = rig.answers();
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].seq == 5);
  CHECK(replies[0].error == EINVAL);
  CHECK(rig.disk().submitted() == 0);
}

TEST_CASE("INV-8: a request that never came whole reaches no disk and gets no answer") {
  SecondaryRig rig;
  rig.start_session();
  PeerRequest& half = rig.prepare(IoKind::write, 3, 0, 4096, 0xbb);
  CHECK_FALSE(rig.secondary().quiet());
  rig.secondary().abandon(half);
  CHECK(rig.disk().submitted() == 0);
  CHECK(rig.answers().empty());
  CHECK(rig.secondary().quiet());
  CHECK(filled_with(rig.data(0, 4096), 0));
}

TEST_CASE("there are as many requests as configured, then nothing until one is answered") {
  SecondaryRigOptions options;
  options.requests = 2;
  SecondaryRig rig(options);
  rig.start_session();
  rig.write(1, 0, 512, 1);
  rig.write(2, 512, 512, 1);
  CHECK(rig.secondary().acquire() == nullptr);
  rig.disk().run_all();
  CHECK(rig.secondary().acquire() == nullptr);  // done, but not answered
  const std::size_t before = rig.host().freed;
  rig.answers();
  CHECK(rig.host().freed == before + 2);
  CHECK(rig.secondary().requests_free() == 2);
}

// Equal sequence numbers (weaknesses H3) ----------------------------------------------------------

TEST_CASE("two requests of one seq are answered in their order, whatever the disk does") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 4096, 1);      // the gate's first request
  rig.read(1, 65536, 512);       // a resync read
  rig.write(1, 131072, 512, 3);  // a resync write
  std::vector<SentReply> all;
  while (rig.disk().held() > 0) {
    rig.disk().complete(rig.disk().held() - 1);
    for (SentReply& reply : rig.answers()) all.push_back(std::move(reply));
  }
  REQUIRE(all.size() == 3);
  CHECK(all[0].data.empty());
  CHECK(all[1].data.size() == 512);
  CHECK(all[2].data.empty());
}

TEST_CASE("memsync: no reply of a later request of the seq comes before the former's final one") {
  SecondaryRig rig;
  rig.start_session();
  rig.write_memsync(1, 0, 4096, 1);
  rig.write_memsync(1, 8192, 4096, 2);
  rig.read(1, 65536, 512);
  std::vector<SentReply> all = rig.answers();
  CHECK(all.size() == 1);
  while (rig.disk().held() > 0) {
    rig.disk().complete(rig.disk().held() - 1);
    for (SentReply& reply : rig.answers()) all.push_back(std::move(reply));
  }
  REQUIRE(all.size() == 5);
  const std::vector<bool> received{all[0].received, all[1].received, all[2].received,
                                   all[3].received, all[4].received};
  CHECK(received == std::vector<bool>{true, false, true, false, false});
  CHECK(all[4].data.size() == 512);
}

TEST_CASE("a flush covers an earlier write that waits for its seq") {
  SecondaryRig rig;
  rig.start_session();
  rig.read(1, 65536, 512);   // slow
  rig.write(1, 0, 4096, 9);  // must answer after it
  rig.flush(2);
  const auto read_is_slow = [](const port::DiskOp& op) { return op.kind != IoKind::read; };
  while (rig.disk().complete_first(read_is_slow)) {
  }
  const Seqs before = rig.answered_seqs();
  const bool flushed = std::find(before.begin(), before.end(), 2) != before.end();
  const bool durable = filled_with(rig.media().durable(rig.shape().layout().data_offset, 4096), 9);
  CHECK((!flushed || durable));
  rig.disk().run_all();
  CHECK(filled_with(rig.media().durable(rig.shape().layout().data_offset, 4096), 9));
}

TEST_CASE("a write that waits for its seq keeps its place before later writes of its range") {
  SecondaryRig rig;
  rig.start_session();
  rig.read(1, 65536, 512);
  rig.write(1, 0, 4096, 1);  // waits for the read's answer
  rig.write(2, 0, 4096, 2);  // came later: it must win
  const auto read_is_slow = [](const port::DiskOp& op) { return op.kind != IoKind::read; };
  while (rig.disk().complete_first(read_is_slow)) {
  }
  rig.disk().run_all();
  CHECK(filled_with(rig.data(0, 4096), 2));
}

TEST_CASE("equal seqs of flushes wait, too") {
  SecondaryRig rig;
  rig.start_session();
  rig.read(1, 65536, 512);
  rig.flush(1);
  rig.flush(2);
  rig.disk().complete_first(IoKind::flush);
  CHECK(rig.answered_seqs() != Seqs{1});
  rig.disk().run_all();
  rig.answers();
  CHECK(rig.secondary().quiet());
}

// Sessions ----------------------------------------------------------------------------------------

TEST_CASE("a session that ends with requests under way drops their replies and leaks nothing") {
  SecondaryRig rig;
  rig.start_session();
  rig.write_memsync(1, 0, 4096, 1);
  rig.write(2, 0, 4096, 2);     // waits for 1
  rig.write(1, 8192, 4096, 3);  // waits for its seq
  rig.flush(4);
  rig.read(5, 65536, 512);
  rig.end_session();
  CHECK(rig.answers().empty());
  CHECK_FALSE(rig.secondary().quiet());
  const std::size_t before = rig.host().changes;
  rig.disk().run_all();
  CHECK(rig.answers().empty());
  CHECK(rig.secondary().quiet());
  CHECK(rig.host().changes > before);
}

TEST_CASE("memsync: what was acknowledged as received reaches the disk though its session ended") {
  SecondaryRig rig;
  rig.start_session();
  rig.write_memsync(1, 0, 4096, 1);
  rig.write_memsync(2, 0, 4096, 2);  // waits for 1, and was acknowledged too
  REQUIRE(rig.answers().size() == 2);
  rig.end_session();
  rig.disk().run_all();
  CHECK(filled_with(rig.data(0, 4096), 2));
}

TEST_CASE("INV-8: no old write arrives after a write of the next session") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 4096, 1);
  rig.write(2, 0, 4096, 2);
  rig.read(7, 65536, 512);
  rig.write(7, 0, 4096, 3);
  rig.end_session();
  rig.begin_session();
  rig.write(1, 0, 4096, 9);
  while (rig.disk().held() > 0) rig.disk().complete(rig.disk().held() - 1);
  CHECK(filled_with(rig.data(0, 4096), 9));
  CHECK(rig.answered_seqs() == Seqs{1});
}

TEST_CASE("a reply of the former session is never sent in the next, equal seqs or not") {
  SecondaryRig rig;
  rig.start_session();
  rig.write_memsync(1, 0, 4096, 1);
  rig.end_session();
  rig.begin_session();
  rig.read(1, 65536, 512);
  rig.disk().run_all();
  const auto replies = rig.answers();
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].data.size() == 512);
}

TEST_CASE("usage tells how many requests came at once, though all are answered when it is asked") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 512, 1);
  rig.write(2, 512, 512, 1);
  rig.disk().run_all();
  CHECK(rig.answers().size() == 2);
  rig.write(3, 0, 512, 1);
  const Usage usage = rig.secondary().usage();
  CHECK(usage.now == 1);
  CHECK(usage.most == 2);
  rig.end_session();
  rig.disk().run_all();
  CHECK(rig.secondary().usage().now == 0);
}

TEST_CASE("a large request counts as the small ones it is worth") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 128 * 1024, 1);
  const Usage usage = rig.secondary().usage();
  CHECK(usage.now == 1);
  CHECK(usage.most == 8);
  rig.disk().run_all();
}

TEST_CASE("a request acquired in the former session is not answered in the next") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 512, 1);
  rig.disk().run_all();
  rig.end_session();
  CHECK(rig.secondary().requests_free() == 16);
  rig.begin_session();
  CHECK(rig.answers().empty());
}

// The map -----------------------------------------------------------------------------------------

TEST_CASE("the map on disk is reported, and cleared only when the first request came") {
  SecondaryRig rig;
  preset_map(rig.media(), rig.shape(), {1, 4});
  rig.start();
  CHECK(regular_map(rig).count() == 2);
  CHECK(regular_map(rig).test(4));
  rig.begin_session();
  rig.disk().run_all();
  CHECK(rig.map().count() == 2);  // the primary may not have it yet
  rig.end_session();
  CHECK(regular_map(rig).count() == 2);
  rig.begin_session();
  rig.read(1, 0, 512);
  rig.disk().run_all();
  CHECK(rig.map(Layer::newest).count() == 0);
  rig.end_session();
  CHECK(regular_map(rig).count() == 0);
}

TEST_CASE("INV-2: a cleared map stays cleared: old bits must not come back over newer data") {
  SecondaryRig rig;
  preset_map(rig.media(), rig.shape(), {1, 4});
  rig.start_session();
  rig.read(1, 0, 512);
  rig.disk().run_all();
  rig.power_loss();
  CHECK(rig.map().count() == 0);
}

TEST_CASE("a refused request is no proof that the map was merged") {
  SecondaryRig rig;
  preset_map(rig.media(), rig.shape(), {1});
  rig.start_session();
  rig.read(1, 1, 1);
  rig.disk().run_all();
  CHECK(rig.map(Layer::newest).count() == 1);
}

TEST_CASE("a map that cannot be cleared is reported again and cleared in the next session") {
  SecondaryRig rig;
  preset_map(rig.media(), rig.shape(), {1});
  rig.start_session();
  rig.disk().fail({.kind = IoKind::write, .end = rig.shape().layout().data_offset});
  rig.read(1, 0, 512);
  rig.disk().run_all();
  CHECK(rig.host().events.count(Event::Kind::map_failed) == 1);
  rig.end_session();
  CHECK(regular_map(rig).test(1));
  rig.begin_session();
  rig.read(1, 0, 512);
  rig.disk().run_all();
  rig.end_session();
  CHECK(regular_map(rig).count() == 0);
  CHECK(rig.map(Layer::newest).count() == 0);
}

TEST_CASE("clearing the map touches the map alone, in pieces if it is large") {
  SecondaryRigOptions options;
  options.shape.extent_bytes = 512;
  options.shape.extents = 12'000'000;  // a map of 1.5 MB
  ComponentShape shape = options.shape;
  DiskMedia media(shape.layout().data_offset + 4096);
  store_metadata(media, shape, fresh_metadata(shape));
  preset_map(media, shape, {0, 11'999'999});
  FakeDisk disk(media);
  RecordingSecondaryHost host;
  Secondary secondary(open_component(disk, media, shape), 2, host);
  secondary.session_started();
  PeerRequest& request = *secondary.acquire();
  request.kind = IoKind::flush;
  request.seq = 1;
  secondary.submit(request);
  disk.run_all();
  CHECK_FALSE(map_on(media, shape, Layer::newest).any());
  for (const DiskLogEntry& entry : disk.log()) {
    if (entry.kind != IoKind::write) continue;
    CHECK(entry.offset_bytes >= ondisk::kMapOffset);
    CHECK(entry.offset_bytes + entry.length_bytes <= ondisk::kMapOffset + shape.layout().map_bytes);
  }
  while (PeerReply* reply = secondary.next_reply()) secondary.reply_sent(*reply);
  secondary.session_ended();
  CHECK(secondary.quiet());
}

TEST_CASE("weaknesses A1: the extents of the last writes are reported at the next handshake") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 0, 4096, 1);
  rig.discard(2, 3 * kExtent - 512, 1024);  // over two extents
  rig.read(3, 6 * kExtent, 512);
  rig.disk().run_all();
  rig.end_session();
  const Bitmap map = regular_map(rig);
  CHECK(map.count() == 3);
  CHECK(map.test(0));
  CHECK(map.test(2));
  CHECK(map.test(3));
  // Until the next primary has merged it; then only newer ones.
  rig.begin_session();
  rig.write(1, 7 * kExtent, 512, 1);
  rig.disk().run_all();
  rig.end_session();
  CHECK(regular_map(rig).count() == 1);
  CHECK(regular_map(rig).test(7));
}

TEST_CASE("as many writes are remembered as an original can have under way, no more") {
  SecondaryRigOptions options;
  options.shape.extent_bytes = 4096;
  options.shape.extents = 400;
  SecondaryRig rig(options);
  rig.start_session();
  for (std::uint64_t i = 0; i < 300; ++i) {
    rig.write(i + 1, i * 4096, 512, 1);
    rig.disk().run_all();
    rig.answers();
  }
  rig.end_session();
  const Bitmap map = regular_map(rig);
  CHECK(map.count() == 256);
  CHECK_FALSE(map.test(43));
  CHECK(map.test(44));
  CHECK(map.test(299));
}

TEST_CASE("what takes a secondary's place remembers what that was sent last") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(1, 2 * kExtent, 512, 1);
  rig.disk().run_all();
  rig.renew();
  CHECK(regular_map(rig).count() == 1);
  CHECK(regular_map(rig).test(2));
}

TEST_CASE("wire-protocol §5.3: the map's size is that of the image; none when both are new") {
  SecondaryRig rig;
  rig.start();
  const std::uint64_t bytes = rig.shape().layout().image_bytes;
  CHECK(rig.secondary().map_for({SyncSource::primary, SyncKind::regular, false}).size() == bytes);
  const auto full = rig.secondary().map_for({SyncSource::primary, SyncKind::full, false});
  CHECK(full.size() == bytes);
  CHECK(filled_with(full, 0xff));
  CHECK(rig.secondary().map_for({SyncSource::primary, SyncKind::own_extents, true}).empty());
}

// Identity ----------------------------------------------------------------------------------------

TEST_CASE("a new secondary adopts the primary's id, durably before its answer may leave") {
  SecondaryRig rig;
  make_new(rig);
  rig.start();
  const Result<SyncDecision> decision = rig.secondary().decide(facts());
  REQUIRE(decision);
  CHECK(decision->virgin);
  CHECK(decision->kind == SyncKind::full);
  CHECK_FALSE(rig.secondary().identity_durable());
  const std::size_t before = rig.host().changes;
  rig.disk().run_all();
  CHECK(rig.secondary().identity_durable());
  CHECK_FALSE(rig.secondary().identity_failed());
  CHECK(rig.host().changes > before);
  CHECK(rig.metadata().resuid == SecondaryRig::kResuid);
}

TEST_CASE("weaknesses A6: a full copy that was promised is promised again until it was merged") {
  // The answer of the first handshake is lost, or the node restarts: the counters now say "equal".
  for (const bool restarts : {false, true}) {
    SecondaryRig rig;
    make_new(rig);
    rig.start();
    REQUIRE(rig.secondary().decide(facts()));
    rig.disk().run_all();
    REQUIRE(rig.secondary().identity_durable());
    if (restarts) {
      rig.power_loss();
      rig.start();
    }
    const Result<SyncDecision> again = rig.secondary().decide(facts());
    REQUIRE(again);
    CHECK(again->source == SyncSource::primary);
    CHECK(sent_map(rig, *again).count() == rig.shape().extents);
    rig.begin_session();
    rig.read(1, 0, 512);
    rig.disk().run_all();
    rig.end_session();
    const Result<SyncDecision> later = rig.secondary().decide(facts());
    REQUIRE(later);
    CHECK(sent_map(rig, *later).count() == 0);
  }
}

TEST_CASE("weaknesses A6: at no moment of the adoption does the disk say known and equal") {
  for (int steps = 0; steps < 12; ++steps) {
    SecondaryRig rig;
    make_new(rig);
    rig.start();
    REQUIRE(rig.secondary().decide(facts()));
    for (int i = 0; i < steps && rig.disk().held() > 0; ++i) rig.disk().complete();
    rig.power_loss();
    const bool known = rig.metadata().resuid != 0;
    INFO("after " << steps << " steps");
    if (known) CHECK(rig.map().count() == rig.shape().extents);
  }
}

TEST_CASE("INV-4: an id that cannot be stored is not adopted") {
  for (unsigned step = 0; step < 3; ++step) {
    SecondaryRig rig;
    make_new(rig);
    rig.start();
    rig.disk().fail({.kind = IoKind::write, .skip = step});
    REQUIRE(rig.secondary().decide(facts()));
    rig.disk().run_all();
    CHECK(rig.secondary().identity_durable());  // nothing more is on its way
    CHECK(rig.secondary().identity_failed());
    CHECK(rig.host().events.all().size() == 1);
    rig.disk().heal();
    const Result<SyncDecision> again = rig.secondary().decide(facts());
    REQUIRE(again);
    CHECK(again->virgin);
    CHECK(again->kind == SyncKind::full);
    rig.disk().run_all();
    CHECK_FALSE(rig.secondary().identity_failed());
    CHECK(rig.metadata().resuid == SecondaryRig::kResuid);
  }
}

TEST_CASE("two new nodes: the id is adopted, the map stays empty") {
  SecondaryRig rig;
  make_new(rig);
  rig.start();
  const Result<SyncDecision> decision = rig.secondary().decide(facts(0, 0, true));
  REQUIRE(decision);
  CHECK(decision->kind == SyncKind::own_extents);
  rig.disk().run_all();
  CHECK(rig.secondary().identity_durable());
  CHECK_FALSE(rig.map().any());
}

TEST_CASE("refusals change nothing on disk") {
  SecondaryRig rig;
  ondisk::Metadata metadata = rig.metadata();
  metadata.localcnt = 1;
  store_metadata(rig.media(), rig.shape(), metadata);
  rig.start();
  const Result<SyncDecision> split = rig.secondary().decide(facts(1, 0));
  REQUIRE_FALSE(split);
  CHECK(split.error().code == Errc::split_brain);
  PrimaryFacts stranger = facts();
  stranger.resuid = 99;
  const Result<SyncDecision> mismatch = rig.secondary().decide(stranger);
  REQUIRE_FALSE(mismatch);
  CHECK(mismatch.error().code == Errc::resuid_mismatch);
  CHECK(rig.disk().submitted() == 0);
  CHECK(rig.secondary().identity_durable());
}

TEST_CASE("INV-9: a primary without an id is refused, by new and used components alike") {
  for (const bool used : {true, false}) {
    SecondaryRig rig;
    if (!used) make_new(rig);
    rig.start();
    PrimaryFacts nobody;
    nobody.virgin = true;
    CHECK_FALSE(rig.secondary().decide(nobody));
    CHECK(rig.disk().submitted() == 0);
  }
}

TEST_CASE("INV-5: a node that was left behind is never the source, and gets everything") {
  // With equal counters, and with counters that say it wrote alone: something it acknowledged
  // early was counted when the link was lost.
  for (const std::uint64_t localcnt : {0u, 1u}) {
    SecondaryRig rig;
    ondisk::Metadata metadata = rig.metadata();
    metadata.inconsistent = true;
    metadata.localcnt = localcnt;
    store_metadata(rig.media(), rig.shape(), metadata);
    rig.start();
    const SyncDecision everything{SyncSource::primary, SyncKind::full, false};
    const auto session = [&](const PrimaryFacts& primary) {
      const Result<SyncDecision> decision = rig.secondary().decide(primary);
      REQUIRE(decision);
      CHECK(rig.secondary().identity_durable() == (rig.metadata().localcnt == 0));
      rig.disk().run_all();
      CHECK(rig.metadata().localcnt == 0);  // taken back before the primary hears of it
      rig.begin_session();
      rig.read(1, 0, 512);
      rig.disk().run_all();
      rig.end_session();
      return *decision;
    };
    CHECK(session(facts()) == everything);
    // The primary has it all in its map now, and the counters do not call this node the source.
    CHECK_FALSE(rig.metadata().inconsistent);
    CHECK(session(facts()) == SyncDecision{});
  }
}

TEST_CASE("INV-4: a count that cannot be taken back is no answer, and stays") {
  SecondaryRig rig;
  ondisk::Metadata metadata = rig.metadata();
  metadata.inconsistent = true;
  metadata.localcnt = 1;
  store_metadata(rig.media(), rig.shape(), metadata);
  rig.start();
  rig.disk().fail({.kind = IoKind::write, .begin = 0, .end = ondisk::kMetadataBytes});
  REQUIRE(rig.secondary().decide(facts()));
  rig.disk().run_all();
  CHECK(rig.secondary().identity_durable());
  CHECK(rig.secondary().identity_failed());
  CHECK(rig.secondary().metadata().localcnt == 1);
  REQUIRE(rig.secondary().decide(facts()));
  rig.disk().run_all();
  CHECK_FALSE(rig.secondary().identity_failed());
  CHECK(rig.metadata().localcnt == 0);
}

TEST_CASE("INV-7: a split brain ends in the primary's favour once the operator says so, and once") {
  SecondaryRig rig;
  ondisk::Metadata metadata = rig.metadata();
  metadata.localcnt = 1;
  store_metadata(rig.media(), rig.shape(), metadata);
  preset_map(rig.media(), rig.shape(), {1, 3});
  rig.start();
  const PrimaryFacts primary = facts(1, 0);
  CHECK(rig.secondary().decide(primary).error().code == Errc::split_brain);
  CHECK(rig.secondary().own_changes().count() == 2);

  SECTION("to a primary that relies on this node's data it does not") {
    rig.secondary().give_up_own_changes();
    PrimaryFacts behind = primary;
    behind.inconsistent = true;
    CHECK_FALSE(rig.secondary().decide(behind));
    CHECK_FALSE(rig.secondary().decide(primary));
  }
  SECTION("it is inconsistent before the primary hears of it, and its map comes along") {
    rig.secondary().give_up_own_changes();
    const Result<SyncDecision> decision = rig.secondary().decide(primary);
    REQUIRE(decision);
    CHECK(*decision == SyncDecision{SyncSource::primary, SyncKind::regular, false});
    CHECK_FALSE(rig.secondary().identity_durable());
    rig.disk().run_all();
    CHECK(rig.secondary().identity_durable());
    CHECK(rig.metadata().inconsistent);
    CHECK(rig.metadata().localcnt == 0);
    CHECK(rig.secondary().map_for(*decision)[0] == std::byte{0b1010});
  }
  SECTION("a disk that cannot note it: nothing is given up") {
    rig.disk().fail({.kind = IoKind::write, .begin = 0, .end = ondisk::kMetadataBytes});
    rig.secondary().give_up_own_changes();
    REQUIRE(rig.secondary().decide(primary));
    rig.disk().run_all();
    CHECK(rig.secondary().identity_failed());
    CHECK_FALSE(rig.metadata().inconsistent);
    CHECK(rig.secondary().decide(primary).error().code == Errc::split_brain);
  }
}

TEST_CASE("INV-5: a node that was left behind gets everything, whatever it counted before") {
  SecondaryRig rig;
  ondisk::Metadata metadata = rig.metadata();
  metadata.inconsistent = true;
  metadata.localcnt = 1;
  store_metadata(rig.media(), rig.shape(), metadata);
  rig.start();
  const Result<SyncDecision> decision = rig.secondary().decide(facts(1, 0));
  REQUIRE(decision);
  CHECK(*decision == SyncDecision{SyncSource::primary, SyncKind::full, false});
}

TEST_CASE("INV-7: giving up is for the next handshake, and for a split brain only") {
  SecondaryRig rig;
  ondisk::Metadata metadata = rig.metadata();
  metadata.localcnt = 1;
  store_metadata(rig.media(), rig.shape(), metadata);
  rig.start();
  rig.secondary().give_up_own_changes();
  SECTION("another pair's primary gets nothing of it") {
    PrimaryFacts stranger = facts(1, 0);
    stranger.resuid = 99;
    CHECK(rig.secondary().decide(stranger).error().code == Errc::resuid_mismatch);
  }
  SECTION("nothing is given up where nothing has to be") {
    const Result<SyncDecision> decision = rig.secondary().decide(facts(0, 0));
    REQUIRE(decision);
    CHECK(decision->source == SyncSource::secondary);
  }
  CHECK_FALSE(rig.secondary().metadata().inconsistent);
  CHECK(rig.disk().submitted() == 0);
  CHECK(rig.secondary().decide(facts(1, 0)).error().code == Errc::split_brain);
}

TEST_CASE("a handshake that comes while the former one's adoption is stored adopts nothing twice") {
  SecondaryRig rig;
  make_new(rig);
  rig.start();
  REQUIRE(rig.secondary().decide(facts()));
  const std::uint64_t submitted = rig.disk().submitted();
  const Result<SyncDecision> again = rig.secondary().decide(facts());
  REQUIRE(again);
  CHECK(again->kind == SyncKind::full);
  CHECK(rig.disk().submitted() == submitted);
  CHECK_FALSE(rig.secondary().identity_durable());
  rig.disk().run_all();
  CHECK(rig.secondary().identity_durable());
  CHECK(rig.metadata().resuid == SecondaryRig::kResuid);
  CHECK(rig.map().count() == rig.shape().extents);
}

TEST_CASE("INV-4: what was being stored before a handshake does not vouch for what it decides") {
  const bool is_new = GENERATE(true, false);
  const bool is_doubtful = GENERATE(true, false);
  SecondaryRigOptions options;
  options.metadata_copy_lost = !is_doubtful;
  options.doubtful = is_doubtful;
  SecondaryRig rig(options);
  if (is_new) {
    make_new(rig);
  } else {
    ondisk::Metadata metadata = rig.metadata();
    metadata.inconsistent = true;
    metadata.localcnt = 1;  // to be taken back
    store_metadata(rig.media(), rig.shape(), metadata);
  }
  rig.start();
  REQUIRE(rig.disk().held() == 1);  // they are written anew
  REQUIRE(rig.secondary().decide(facts(0, 0, is_new)));
  for (int step = 0; step < 4; ++step) rig.disk().complete();
  REQUIRE(rig.disk().held() == 1);  // the second commit
  CHECK_FALSE(rig.secondary().identity_durable());
  rig.disk().run_all();
  CHECK(rig.secondary().identity_durable());
  CHECK_FALSE(rig.secondary().identity_failed());
  CHECK(rig.metadata().resuid == SecondaryRig::kResuid);
  CHECK(rig.metadata().localcnt == 0);
}

TEST_CASE("a map that is being cleared when the next session begins is cleared once") {
  SecondaryRig rig;
  preset_map(rig.media(), rig.shape(), {1, 3});
  rig.start_session();
  const auto map_writes = [&rig] {
    return rig.disk().logged([](const DiskLogEntry& entry) {
      return entry.kind == IoKind::write && entry.offset_bytes == ondisk::kMapOffset;
    });
  };
  rig.read(1, 0, 512);
  rig.end_session();
  rig.begin_session();
  rig.read(1, 0, 512);
  rig.disk().run_all();
  CHECK(map_writes() == 1);
  CHECK_FALSE(rig.map().any());
  CHECK(rig.answers().size() == 1);
  rig.end_session();
  CHECK(regular_map(rig).count() == 0);
}

TEST_CASE("a component that cannot flush has its map cleared all the same") {
  SecondaryRig rig;
  preset_map(rig.media(), rig.shape(), {1, 3});
  rig.start_session();
  rig.disk().without_cache();
  rig.read(1, 0, 512);
  rig.disk().run_all();
  CHECK_FALSE(rig.map().any());
  CHECK(rig.host().events.count(Event::Kind::map_failed) == 0);
  rig.answers();
  rig.end_session();
  CHECK(regular_map(rig).count() == 0);
}

TEST_CASE("INV-9: a read is answered once, whatever its request asks for") {
  SecondaryRig rig;
  rig.start_session();
  PeerRequest& request = rig.prepare(IoKind::read, 1, 0, 512);
  request.memsync = true;
  rig.secondary().submit(request);
  CHECK(rig.answers().empty());
  rig.disk().run_all();
  const std::vector<SentReply> sent = rig.answers();
  REQUIRE(sent.size() == 1);
  CHECK_FALSE(sent[0].received);
}

TEST_CASE("requests of one seq wait for each other within their session only") {
  SecondaryRig rig;
  rig.start_session();
  rig.write(5, 0, 512, 1);
  rig.end_session();
  rig.begin_session();
  rig.write(7, 8192, 512, 2);
  rig.write(5, 16384, 512, 3);
  CHECK(rig.held_data() == 3);  // not behind the former session's
  rig.write(5, 24576, 512, 4);
  CHECK(rig.held_data() == 3);  // behind its own
  rig.disk().complete();        // the former session's
  CHECK(rig.held_data() == 2);
  rig.disk().run_all();
  CHECK(rig.answered_seqs() == Seqs{7, 5, 5});
  CHECK(filled_with(rig.data(24576, 512), 4));
}

TEST_CASE("INV-7: what is given up without a common base is copied whole, from the beginning") {
  const bool common = GENERATE(true, false);
  SecondaryRig rig;
  ondisk::Metadata metadata = rig.metadata();
  metadata.localcnt = 1;
  metadata.generations.begin(4);
  metadata.generations.synced = common ? 4 : 3;
  metadata.generations.begin(21);
  store_metadata(rig.media(), rig.shape(), metadata);
  rig.start();
  PrimaryFacts primary = facts(1, 0);
  primary.generations.begin(4);
  primary.generations.synced = 4;
  primary.generations.begin(11);
  CHECK(rig.secondary().decide(primary).error().code == Errc::split_brain);
  rig.secondary().give_up_own_changes();
  const Result<SyncDecision> decision = rig.secondary().decide(primary);
  REQUIRE(decision);
  CHECK(decision->kind == (common ? SyncKind::regular : SyncKind::full));
  rig.disk().run_all();
  CHECK(rig.metadata().inconsistent);
  CHECK(rig.metadata().sync_from == (common ? 11 : 0));  // where an interrupted copy may go on
}
