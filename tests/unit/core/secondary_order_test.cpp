// What a native primary orders: durable before it is confirmed, and nothing overtakes it.
#include <cerrno>

#include "support/catch.hpp"
#include "support/secondary_rig.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

Generations generation(std::uint64_t id) {
  Generations generations;
  generations.begin(id);
  return generations;
}

ConstByteSpan whole_of(SecondaryRig& rig) { return data_on(rig.media(), rig.shape()); }

void order(SecondaryRig& rig, std::uint64_t seq, PeerOrder wanted) {
  PeerRequest& request = rig.prepare(IoKind::flush, seq);
  request.order = wanted;
  rig.secondary().submit(request);
}

void start_native(SecondaryRig& rig) {
  rig.start();
  rig.secondary().session_started(Secondary::Dialect::native);
}

void finish_native(SecondaryRig& rig) {
  rig.disk().run_all();
  rig.answers();
  rig.secondary().session_ended();
  rig.disk().run_all();
}

}  // namespace

TEST_CASE("INV-5: sync_begin is confirmed when the mark is durable, and holds back what follows") {
  SecondaryRig rig;
  start_native(rig);
  order(rig, 1, {PeerOrder::Kind::sync_begin, false, generation(9)});
  rig.write(2, 0, 512, 7);
  while (rig.disk().held() > 0) {
    CHECK(rig.answers().empty());
    CHECK(filled_with(whole_of(rig).first(512), 0));  // not a byte before the mark
    rig.disk().complete();
    if (metadata_on(rig.media(), rig.shape(), Layer::durable)->inconsistent) break;
  }
  rig.disk().run_all();
  CHECK(rig.answered_seqs() == std::vector<std::uint64_t>{1, 2});
  CHECK(filled_with(whole_of(rig).first(512), 7));
  const ondisk::Metadata marked = *metadata_on(rig.media(), rig.shape(), Layer::durable);
  CHECK(marked.inconsistent);
  CHECK(marked.sync_from == 9);
  finish_native(rig);
}

TEST_CASE(
    "INV-1: alone is confirmed when it is durable, and holds back what no map has a bit for") {
  SecondaryRig rig;
  start_native(rig);
  rig.write(1, 4096, 512, 6);
  order(rig, 2, {PeerOrder::Kind::alone, false, generation(9)});
  rig.write(3, 0, 512, 7);
  const auto is_untracked = [&rig] {
    return metadata_on(rig.media(), rig.shape(), Layer::durable)->generations.synced ==
           Generations::kUntracked;
  };
  while (rig.disk().held() > 0 && !is_untracked()) {
    CHECK(filled_with(whole_of(rig).first(512), 0));
    rig.disk().complete();
  }
  rig.disk().run_all();
  CHECK(rig.answered_seqs() == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(filled_with(whole_of(rig).first(512), 7));
  finish_native(rig);
}

TEST_CASE("INV-4: a mark that cannot be written is answered with the error, and so is the rest") {
  const auto kind = GENERATE(PeerOrder::Kind::sync_begin, PeerOrder::Kind::alone);
  SecondaryRig rig;
  start_native(rig);
  DiskFault fault;
  fault.kind = IoKind::write;
  fault.times = 10;
  rig.disk().fail(fault);
  order(rig, 1, {kind, false, generation(9)});
  rig.write(2, 0, 512, 7);
  rig.disk().run_all();
  const std::vector<SentReply> sent = rig.answers();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].error == EIO);
  CHECK(sent[1].error == EIO);
  CHECK(filled_with(whole_of(rig).first(512), 0));
  finish_native(rig);
}

TEST_CASE("sync_end takes the marks away and the generations over") {
  SecondaryRig rig;
  start_native(rig);
  order(rig, 1, {PeerOrder::Kind::sync_begin, false, generation(9)});
  Generations both = generation(9);
  both.synced = 9;
  order(rig, 2, {PeerOrder::Kind::sync_end, false, both});
  rig.disk().run_all();
  CHECK(rig.answers().size() == 2);
  const ondisk::Metadata whole = *metadata_on(rig.media(), rig.shape(), Layer::durable);
  CHECK_FALSE(whole.inconsistent);
  CHECK(whole.sync_from == 0);
  CHECK(whole.generations == both);
  finish_native(rig);
}

TEST_CASE("INV-4: what an order could not store is stored before the next primary hears of it") {
  SecondaryRig rig;
  start_native(rig);
  const PrimaryFacts primary{SecondaryRig::kResuid, false, {}, generation(4), true};
  Generations next = primary.generations;
  next.begin(5);
  rig.disk().fail({.kind = IoKind::write, .end = ondisk::kMetadataBytes, .times = 2});
  order(rig, 1, {PeerOrder::Kind::alone, false, next});
  rig.disk().run_all();
  CHECK(rig.answers().at(0).error == EIO);
  rig.secondary().session_ended();
  REQUIRE(rig.secondary().decide(primary));
  CHECK_FALSE(rig.secondary().identity_durable());
  rig.disk().run_all();
  CHECK(rig.secondary().identity_durable());
  CHECK(rig.secondary().identity_failed());
  SECTION("then it is stored by the next try") {
    REQUIRE(rig.secondary().decide(primary));
    CHECK_FALSE(rig.secondary().identity_durable());
    rig.disk().run_all();
  }
  SECTION("or by whatever else is stored meanwhile") {
    rig.secondary().session_started(Secondary::Dialect::native);
    order(rig, 2, {.kind = PeerOrder::Kind::goodbye, .current = true, .generations = {}});
    finish_native(rig);
    REQUIRE(rig.secondary().decide(primary));
  }
  CHECK(rig.secondary().identity_durable());
  CHECK_FALSE(rig.secondary().identity_failed());
  CHECK(metadata_on(rig.media(), rig.shape(), Layer::durable)->localcnt == 1);
}

TEST_CASE(
    "INV-12: a node that knew no generation yet continues that of the primary it is told of") {
  SecondaryRig rig;
  start_native(rig);
  const PrimaryFacts primary{SecondaryRig::kResuid, false, {}, generation(4), true};
  Generations next = primary.generations;
  next.begin(5);
  order(rig, 1, {PeerOrder::Kind::alone, false, next});
  rig.disk().run_all();
  CHECK(rig.answers().size() == 1);
  CHECK(rig.secondary().decide(primary).value().source == SyncSource::secondary);
  finish_native(rig);
}

TEST_CASE("INV-12: a node that is told to be alone is ahead from then on, for either table") {
  SecondaryRig rig;
  start_native(rig);
  const PrimaryFacts before{SecondaryRig::kResuid, false, {}, generation(4)};
  Generations both = generation(4);
  both.synced = 4;
  order(rig, 1, {PeerOrder::Kind::sync_end, false, both});
  order(rig, 2, {PeerOrder::Kind::alone, false, generation(5)});
  rig.disk().run_all();
  CHECK(rig.answers().size() == 2);
  const ondisk::Metadata mine = *metadata_on(rig.media(), rig.shape(), Layer::durable);
  CHECK(mine.localcnt == 1);
  CHECK(mine.generations.current == 5);
  CHECK(mine.generations.contains(4));
  const SyncDecision decision = rig.secondary().decide(before).value();
  CHECK(decision.source == SyncSource::secondary);
  CHECK(decision.kind == SyncKind::full);  // its map does not know what the primary lacks
  finish_native(rig);
}

TEST_CASE("INV-7: a node that is told to be alone succeeds what the primary counted before, too") {
  SecondaryRig rig;
  start_native(rig);
  Generations both = generation(4);
  both.synced = 4;
  order(rig, 1, {PeerOrder::Kind::sync_end, false, both});
  Generations alone = both;
  alone.begin(5);  // the primary's own, of which this node has heard nothing
  alone.begin(6);
  order(rig, 2, {PeerOrder::Kind::alone, false, alone});
  rig.disk().run_all();
  CHECK(metadata_on(rig.media(), rig.shape(), Layer::durable)->generations.contains(5));
  PrimaryFacts primary{SecondaryRig::kResuid, false, {1, 0}, both};
  primary.generations.begin(5);
  const Result<SyncDecision> decision = rig.secondary().decide(primary);
  REQUIRE(decision);
  CHECK(decision->source == SyncSource::secondary);
  finish_native(rig);
}

TEST_CASE(
    "INV-2: a map is kept until it is durable that everything is here, and where is unknown") {
  SecondaryRig rig;
  preset_map(rig.media(), rig.shape(), {1});
  start_native(rig);
  const auto map = [&rig] { return map_on(rig.media(), rig.shape()).count(); };
  SECTION("the primary may have no disk to merge it into") {
    rig.disk().fail({.kind = IoKind::write, .begin = 0, .end = ondisk::kMetadataBytes});
    order(rig, 1, {PeerOrder::Kind::alone, false, generation(5)});
    rig.read(2, 0, 512);
    rig.disk().run_all();
    CHECK(map() == 1);
  }
  SECTION("durable: it is needed no more") {
    order(rig, 1, {PeerOrder::Kind::alone, false, generation(5)});
    rig.read(2, 0, 512);
    rig.disk().run_all();
    CHECK(map() == 0);
  }
  SECTION("durable, but the primary never heard of it: the next one may have no disk either") {
    order(rig, 1, {PeerOrder::Kind::alone, false, generation(5)});
    rig.secondary().session_ended();
    rig.disk().run_all();
    CHECK(map() == 1);
  }
  finish_native(rig);
}

TEST_CASE("a node is handed over if all is here, is whole, and can note that the primary left") {
  const bool current = GENERATE(true, false);
  const bool inconsistent = GENERATE(true, false);
  const bool fails = GENERATE(true, false);
  SecondaryRig rig;
  ondisk::Metadata metadata = rig.metadata();
  metadata.inconsistent = inconsistent;
  store_metadata(rig.media(), rig.shape(), metadata);
  start_native(rig);
  if (fails) rig.disk().fail({.kind = IoKind::write, .begin = 0, .end = ondisk::kMetadataBytes});
  order(rig, 1, {PeerOrder::Kind::goodbye, current, {}});
  CHECK_FALSE(rig.secondary().handed_over());
  rig.disk().run_all();
  CHECK(rig.answers().at(0).error == (fails ? EIO : 0));
  CHECK(rig.secondary().handed_over() == (current && !inconsistent && !fails));
  finish_native(rig);
}

TEST_CASE("a primary that leaves while this node lacks something makes it outdated") {
  for (const bool current : {true, false}) {
    SecondaryRig rig;
    start_native(rig);
    order(rig, 1, {PeerOrder::Kind::goodbye, current, {}});
    rig.disk().run_all();
    CHECK(rig.answers().size() == 1);
    CHECK(metadata_on(rig.media(), rig.shape(), Layer::durable)->outdated == !current);
    finish_native(rig);
  }
}

TEST_CASE("INV-5: a node that learns of a newer primary remembers that it is outdated") {
  const bool whole = GENERATE(true, false);  // else it relies on what this node has
  SecondaryRig rig;
  ondisk::Metadata metadata = rig.metadata();
  metadata.generations = generation(4);
  store_metadata(rig.media(), rig.shape(), metadata);
  rig.start();
  PrimaryFacts primary{SecondaryRig::kResuid, false, {1, 0}, generation(4), !whole};
  primary.generations.synced = 4;
  primary.generations.begin(6);
  CHECK(rig.secondary().decide(primary)->source == SyncSource::primary);
  rig.disk().run_all();
  CHECK(metadata_on(rig.media(), rig.shape(), Layer::durable)->outdated == whole);
}

TEST_CASE("INV-4: what a failed handshake took back is not stored by the commit behind it") {
  SecondaryRig rig;
  ondisk::Metadata metadata = rig.metadata();
  metadata.generations = generation(4);
  store_metadata(rig.media(), rig.shape(), metadata);
  start_native(rig);
  rig.disk().fail({.kind = IoKind::write, .end = ondisk::kMetadataBytes, .times = 2});
  order(rig, 1, {.kind = PeerOrder::Kind::goodbye, .current = true, .generations = {}});
  rig.disk().run_all();
  CHECK(rig.answers().at(0).error == EIO);
  rig.secondary().session_ended();
  PrimaryFacts primary{SecondaryRig::kResuid, false, {1, 0}, generation(4), false};
  primary.generations.synced = 4;
  primary.generations.begin(6);
  // What failed before is stored first; that this node is outdated, behind it.
  REQUIRE(rig.secondary().decide(primary));
  rig.disk().run_all();
  CHECK(rig.secondary().identity_failed());
  CHECK_FALSE(rig.secondary().metadata().outdated);
  CHECK_FALSE(metadata_on(rig.media(), rig.shape(), Layer::durable)->outdated);
}

TEST_CASE("a FUA write is answered when it is durable") {
  SecondaryRig rig;
  start_native(rig);
  PeerRequest& request = rig.prepare(IoKind::write, 1, 0, 512, 3);
  request.fua = true;
  rig.secondary().submit(request);
  rig.disk().complete();
  CHECK(rig.answers().empty());
  rig.disk().run_all();
  CHECK(rig.answers().size() == 1);
  CHECK(filled_with(data_on(rig.media(), rig.shape(), Layer::durable).first(512), 3));
  finish_native(rig);
}

TEST_CASE("write-zeroes is one operation of the disk, however long") {
  SecondaryRig rig;
  start_native(rig);
  rig.secondary().submit(rig.prepare(IoKind::write_zeroes, 1, 0, whole_of(rig).size()));
  REQUIRE(rig.disk().held() == 1);
  rig.disk().run_all();
  CHECK(rig.answers().at(0).error == 0);
  finish_native(rig);
}
