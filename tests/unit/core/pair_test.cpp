// A primary and a secondary over two fake disks, without a wire: seeded workloads with lost links,
// lost power, promotions and failing disks. A failure prints its seed; HAST_PAIR_SEED=N runs that
// seed alone, HAST_PAIR_SEEDS=N runs more of them.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/core_pair.hpp"
#include "support/pair_checker.hpp"

using namespace hast;
using namespace hast::core;
using namespace hast::test;

namespace {

/// What may go wrong in a story.
struct Trouble {
  bool power = false;        // nodes lose their power, not only their process
  bool promotion = false;    // the other node becomes primary
  bool disk_errors = false;  // single operations of the disks fail
};

struct Setting {
  std::uint64_t seed = 0;
  Replication mode = Replication::fullsync;
  Trouble trouble;
  bool second_is_new = false;  // node 1 joins with a component that never met the other
};

ComponentShape shape_for(std::uint64_t seed) {
  ComponentShape shape;
  const bool large = seed % 8 == 0;  // extents of several blocks
  shape.extent_bytes = large ? 256 * 1024 : 4096;
  shape.extents = large ? 3 : 16;
  shape.sector_bytes = large ? 4096 : 512;
  shape.keepdirty = seed % 3 == 0 ? 1 : 3;
  return shape;
}

class Story {
 public:
  explicit Story(const Setting& setting)
      : setting_(setting),
        random_(setting.seed),
        shape_(shape_for(setting.seed)),
        pair_(shape_, {setting.mode, MapCommit::Flush::yes, 6, 3}, random_),
        history_(shape_.data_bytes() / shape_.sector_bytes, shape_.sector_bytes),
        nodes_{Facts(history_.sectors()), Facts(history_.sectors())} {
    pair_.speak(native() ? Secondary::Dialect::native : Secondary::Dialect::original);
    for (std::size_t id : {0u, 1u}) {
      ondisk::Metadata metadata = fresh_metadata(shape_);
      if (!(id == 1 && setting.second_is_new)) metadata.resuid = 77;
      store_metadata(pair_.node(id).media, shape_, metadata);
    }
    if (setting.second_is_new) {  // whatever was on that disk before
      const std::vector<std::byte> old(shape_.data_bytes(), std::byte{0xdd});
      pair_.node(1).media.preset(shape_.layout().data_offset, old);
      paired_ = false;
    }
    start_primary(0);
    pair_.become_secondary(1);
    note("--- seed " + std::to_string(setting.seed) + " " + std::string(to_string(setting.mode)));
  }

  /// Empty if everything was as promised.
  std::string run() {
    for (int i = 0; i < 400 && trouble_.empty(); ++i) act();
    if (trouble_.empty()) end_well();
    return trouble_;
  }

 private:
  using NodeId = CorePair::NodeId;

  /// Half of the stories are told in protocol version 3.
  bool native() const { return setting_.seed % 2 == 1; }

  /// What is known of a node from outside.
  struct Facts {
    explicit Facts(std::size_t sectors) : floors(sectors) {}
    Floors floors;
    bool lost_power = false;   // since both were equal
    bool wrote_alone = false;  // certainly: while there was no link at all
    bool maybe_wrote_alone = false;
    std::size_t seen_events = 0;
  };
  struct Asked {
    CoreClient::Id id = 0;
    IoKind kind{};
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    WriteNumber number = 0;
    bool fua = false;
    bool was_linked = false;
    std::uint64_t link = 0;
    // When it was submitted:
    std::vector<WriteNumber> floor;
    std::vector<WriteNumber> held;  // by the acting node itself
    std::vector<WriteNumber> held_by_peer;
  };

  void fail(const std::string& what) {
    if (trouble_.empty()) trouble_ = what;
    note("!!! " + what);
  }
  /// HAST_PAIR_TRACE=1 tells the story as it goes.
  void note(const std::string& what) const {
    static const bool tracing = std::getenv("HAST_PAIR_TRACE") != nullptr;
    if (tracing) std::fprintf(stderr, "%s\n", what.c_str());
  }
  std::string state_of(NodeId id) const {
    const Result<ondisk::Metadata> on_disk = metadata_on(pair_.node(id).media, shape_);
    return std::string(pair_.node(id).primary ? "primary " : "secondary ") + std::to_string(id) +
           " (" + std::to_string(on_disk->localcnt) + "," + std::to_string(on_disk->remotecnt) +
           (on_disk->inconsistent ? ", inconsistent" : "") +
           (on_disk->outdated ? ", outdated" : "") + ", generation " +
           std::to_string(on_disk->generations.current % 10000) + ")";
  }
  NodeId acting() const { return *pair_.primary(); }
  Facts& facts(NodeId id) { return nodes_[id]; }
  Floors& floors(NodeId id) { return nodes_[id].floors; }

  // Acting ----------------------------------------------------------------------------------------

  void act() {
    const std::uint64_t what = random_.below(100);
    if (what < 45) {
      submit();
    } else if (what < 88) {
      for (std::uint64_t i = random_.below(12); i > 0; --i) step();
    } else if (what < 91) {
      pair_.tick();
    } else if (what < 94) {
      if (pair_.linked()) cut();
    } else if (what < 97) {
      if (!pair_.linked()) connect();
    } else if (what < 98 && setting_.trouble.disk_errors) {
      break_disk();
    } else {
      strike();
    }
    observe();
    if (random_.chance(5)) check_marks();
  }

  void step() {
    pair_.step();
    observe();
  }

  void submit() {
    CoreClient& client = *pair_.node(acting()).client;
    if (pair_.node(acting()).primary->status().slots_free == 0) return;
    Asked asked;
    const std::uint64_t kind = random_.below(10);
    asked.kind = kind < 5   ? IoKind::write
                 : kind < 6 ? IoKind::write_zeroes
                 : kind < 7 ? IoKind::discard
                 : kind < 9 ? IoKind::read
                            : IoKind::flush;
    asked.was_linked = pair_.linked();
    asked.link = link_;
    asked.floor = visible_;
    asked.held = floors(acting()).now;
    asked.held_by_peer = floors(CorePair::other(acting())).now;
    if (asked.kind != IoKind::flush) choose_range(asked);
    const std::uint64_t offset = asked.first * shape_.sector_bytes;
    const std::uint64_t length = asked.count * shape_.sector_bytes;
    if (asked.kind == IoKind::write) {
      asked.number = history_.begin_write(asked.first, asked.count);
      client.set_fua(asked.fua = random_.chance(10));
      asked.id = client.write(offset, history_.content(asked.number, asked.count));
    } else {
      if (asked.kind == IoKind::discard || asked.kind == IoKind::write_zeroes)
        asked.number = history_.begin_zeroing(asked.first, asked.count);
      asked.id = client.submit(asked.kind, offset, length);
    }
    asked_.push_back(std::move(asked));
  }

  void choose_range(Asked& asked) {
    const std::uint64_t block = port::kBlockBytes / shape_.sector_bytes;
    asked.first = random_.below(history_.sectors());
    // Reads and writes stay within a block; a few hot places make overlaps likely.
    if (random_.chance(40)) asked.first %= 16;
    const std::uint64_t room =
        std::min(history_.sectors() - asked.first, block - asked.first % block);
    asked.count = 1 + random_.below(std::min<std::uint64_t>(room, 12));
  }

  bool counters_differ() const {
    const Counters mine = pair_.node(acting()).primary->facts().counters;
    const ondisk::Metadata& peer = pair_.node(CorePair::other(acting())).secondary->metadata();
    if (native())
      return peer.generations.current != pair_.node(acting()).primary->facts().generations.current;
    return mine != Counters{peer.remotecnt, peer.localcnt};
  }

  void cut() {
    while (pair_.deliver_answers()) {
    }
    observe();  // what was acknowledged while the link was there
    if (!pair_.node(acting()).primary->quiet()) facts(acting()).maybe_wrote_alone = true;
    // The news of a finished resync may never be heard; that the counters became equal is seen.
    if (!synced_ && differed_at_link_up_ && !counters_differ()) became_equal();
    synced_ = false;
    note("cut");
    pair_.cut_link();
  }

  void break_disk() {
    FakeDisk& disk = *pair_.node(random_.below(2)).disk;
    DiskFault fault;
    const std::uint64_t which = random_.below(4);
    if (which > 0) fault.begin = shape_.layout().data_offset;
    if (which < 3) fault.kind = which == 1 ? IoKind::read : IoKind::write;
    fault.skip = static_cast<unsigned>(random_.below(4));
    fault.times = 1 + static_cast<unsigned>(random_.below(2));
    disk.fail(fault);
  }

  /// A process dies, a node loses its power, a node is promoted.
  void strike() {
    const NodeId p = acting();
    const NodeId q = CorePair::other(p);
    const std::uint64_t what = random_.below(4);
    const bool power = setting_.trouble.power && random_.chance(50);
    if (what == 0) {
      lose(q, power);
      pair_.become_secondary(q);
    } else if (what == 1 || !setting_.trouble.promotion || !paired_ || !promotable(q)) {
      if (setting_.trouble.disk_errors && pair_.node(p).primary->status().local_lost) return;
      lose(p, power);
      start_primary(p);
    } else {
      lose(p, power);
      promote(q);
      pair_.become_secondary(p);
    }
  }

  void lose(NodeId id, bool power) {
    if (pair_.linked()) cut();
    note((power ? "power loss of " : "death of ") + state_of(id));
    if (id == acting()) asked_.clear();  // nobody will ever hear of them
    facts(id).seen_events = 0;
    // What a secondary only received is gone with its process.
    const bool forgets = power || (id != acting() && setting_.mode == Replication::memsync);
    power ? pair_.power_loss(id) : pair_.kill(id);
    if (!forgets) return;
    facts(id).lost_power = true;
    floors(id).lose_power();
  }

  void start_primary(NodeId id) {
    pair_.become_primary(id);
    visible_ = floors(id).now;
    synced_ = false;
  }

  /// INV-5: only such a node takes the role primary without force.
  bool promotable(NodeId id) const {
    const ondisk::Metadata& held = pair_.node(id).secondary->metadata();
    return !native() || (!held.inconsistent && !held.outdated);
  }

  void promote(NodeId id) {
    note("promotion of " + state_of(id));
    pair_.leave_secondary(id);
    start_primary(id);
  }

  // Meeting ---------------------------------------------------------------------------------------

  void connect() {
    switch (pair_.connect()) {
      case CorePair::Handshake::linked:
        ++link_;
        synced_ = false;
        differed_at_link_up_ = counters_differ();
        met();
        break;
      case CorePair::Handshake::refused:
        fail("the nodes refuse each other");
        break;
      case CorePair::Handshake::split_brain:
        give_up_the_other();
        break;
      case CorePair::Handshake::failed:
        break;
    }
  }

  /// INV-7, and the floors of who is overwritten.
  void met() {
    note("met: " + state_of(0) + ", " + state_of(1) + ", source " +
         std::string(to_string(pair_.source())));
    const NodeId winner =
        pair_.source() == SyncSource::primary ? acting() : CorePair::other(acting());
    const NodeId loser = CorePair::other(winner);
    if (facts(winner).wrote_alone && facts(loser).wrote_alone)
      fail("INV-7: both nodes wrote alone and were merged");
    const bool promised = setting_.mode != Replication::async && !setting_.trouble.disk_errors;
    for (std::size_t s = 0; s < history_.sectors(); ++s) {
      const WriteNumber kept = floors(winner).now[s];
      if (promised && floors(loser).durable[s] > kept)
        fail("flushed write " + std::to_string(floors(loser).durable[s]) + " of sector " +
             std::to_string(s) + " is overwritten");
      if (promised && !facts(winner).lost_power && floors(loser).now[s] > kept)
        fail("acknowledged write " + std::to_string(floors(loser).now[s]) + " of sector " +
             std::to_string(s) + " is overwritten");
    }
    take_over(loser, winner);
    visible_ = floors(winner).now;  // the acting node answers reads with the newest of both
    at_link_up_ = visible_;
  }

  /// What the loser holds is overwritten by what the winner has.
  void take_over(NodeId loser, NodeId winner) {
    for (std::size_t s = 0; s < history_.sectors(); ++s) {
      const WriteNumber kept = floors(winner).now[s];
      floors(loser).now[s] = std::min(floors(loser).now[s], kept);
      floors(loser).durable[s] = std::min(floors(loser).durable[s], kept);
    }
  }

  void give_up_the_other() {
    const NodeId p = acting();
    const NodeId q = CorePair::other(p);
    if (!facts(p).maybe_wrote_alone || !facts(q).maybe_wrote_alone)
      fail("INV-7: a split-brain although only one node wrote alone");
    pair_.kill(q);
    store_metadata(pair_.node(q).media, shape_, fresh_metadata(shape_));
    preset_map(pair_.node(q).media, shape_, {});
    nodes_[q] = Facts(history_.sectors());
    paired_ = false;
    pair_.become_secondary(q);
  }

  // Looking on ------------------------------------------------------------------------------------

  void observe() {
    const NodeId p = acting();
    if (synced_ && !pair_.linked()) synced_ = false;
    const std::vector<Event>& events = pair_.node(p).primary_host->events.all();
    for (; facts(p).seen_events < events.size(); ++facts(p).seen_events) {
      const Event::Kind kind = events[facts(p).seen_events].kind;
      if (kind == Event::Kind::sync_done || kind == Event::Kind::in_sync) became_equal();
    }
    CoreClient& client = *pair_.node(p).client;
    for (std::size_t i = 0; i < asked_.size();) {
      if (!client.done(asked_[i].id)) {
        ++i;
        continue;
      }
      const Asked asked = std::move(asked_[i]);
      asked_.erase(asked_.begin() + static_cast<std::ptrdiff_t>(i));
      answered(asked, client);
    }
    // An episode may be counted for a request that is never answered.
    const bool unsure = !pair_.linked() || !synced_;
    for (const Asked& asked : asked_) {
      if (unsure && asked.kind != IoKind::read) facts(p).maybe_wrote_alone = true;
    }
    const bool doubtful = nodes_[0].maybe_wrote_alone || nodes_[1].maybe_wrote_alone;
    if (synced_ && doubtful && counters_are_equal()) {
      for (Facts& node : nodes_) node.maybe_wrote_alone = false;
    }
    for (NodeId id : {0u, 1u}) {
      if (pair_.node(id).alive() && pair_.node(id).disk->racing_writes() > 0)
        fail("writes of the same bytes race on a disk");
    }
  }

  bool counters_are_equal() const {
    const auto mine = metadata_on(pair_.node(acting()).media, shape_);
    const auto peer = metadata_on(pair_.node(CorePair::other(acting())).media, shape_);
    return mine && peer && mine->localcnt == peer->remotecnt && mine->remotecnt == peer->localcnt;
  }

  void became_equal() {
    if (!pair_.linked()) return;
    const NodeId p = acting();
    const NodeId q = CorePair::other(p);
    synced_ = paired_ = true;
    note("equal: " + state_of(0) + ", " + state_of(1));
    for (std::size_t s = 0; s < history_.sectors(); ++s) {
      // async: what was acknowledged since may still be on its way.
      const bool all = setting_.mode != Replication::async;
      raise(floors(p).now[s], visible_[s]);
      raise(floors(q).now[s], all ? visible_[s] : at_link_up_[s]);
      raise(floors(p).durable[s], at_link_up_[s]);
      raise(floors(q).durable[s], at_link_up_[s]);
    }
    for (Facts& node : nodes_) node.lost_power = node.wrote_alone = false;
  }

  static void raise(WriteNumber& floor, WriteNumber to) { floor = std::max(floor, to); }

  void answered(const Asked& asked, const CoreClient& client) {
    if (asked.kind != IoKind::read)
      note(std::string(client.ok(asked.id) ? "ok " : "error ") +
           std::string(to_string(asked.kind)) + " " + std::to_string(asked.number) + " at " +
           std::to_string(asked.first) + "+" + std::to_string(asked.count) +
           (pair_.linked() ? " linked" : " alone"));
    if (!client.ok(asked.id)) {
      if (!setting_.trouble.disk_errors && !may_refuse(asked))
        fail(std::string(to_string(asked.kind)) + " failed without a reason");
      return;
    }
    if (asked.kind == IoKind::read) {
      const std::string wrong = history_.check(client.data(asked.id), asked.first, asked.floor);
      if (!wrong.empty()) fail("read: " + wrong);
      return;
    }
    const bool same_link = asked.was_linked && pair_.linked() && asked.link == link_;
    // While the peer is ahead nothing is acknowledged that it has not got.
    const bool peer_is_ahead = pair_.linked() && pair_.source() == SyncSource::secondary;
    const bool replicated = same_link && setting_.mode != Replication::async;
    Facts& mine = facts(acting());
    if (!same_link) mine.maybe_wrote_alone = true;
    if (asked.kind == IoKind::flush) {
      // Each node has flushed what it held; the peer may not hold everything yet.
      raise_durable(acting(), asked.floor, asked.held);
      if (replicated || peer_is_ahead)
        raise_durable(CorePair::other(acting()), asked.floor, asked.held_by_peer);
      return;
    }
    const bool alone_all_the_time = !asked.was_linked && !pair_.linked() && asked.link == link_;
    if (alone_all_the_time) mine.wrote_alone = true;
    const bool on_both = replicated || peer_is_ahead;
    // Submitted and answered on different sides of a link's beginning or end: it is visible now,
    // but only the next resync makes sure who holds it.
    const bool certain = same_link || peer_is_ahead || alone_all_the_time;
    for (std::uint64_t s = asked.first; s < asked.first + asked.count; ++s) {
      raise(visible_[s], asked.number);
      if (!certain) continue;
      raise(mine.floors.now[s], asked.number);
      if (asked.fua) raise(mine.floors.durable[s], asked.number);
      Floors& peer = floors(CorePair::other(acting()));
      if (on_both) raise(peer.now[s], asked.number);
      if (on_both && asked.fua) raise(peer.durable[s], asked.number);
    }
  }

  /// While the peer is ahead and away, or was when the request ended.
  bool may_refuse(const Asked& asked) const {
    (void)asked;
    return metadata_on(pair_.node(acting()).media, shape_, Layer::newest).value().inconsistent ||
           pair_.node(acting()).primary->metadata().inconsistent;
  }

  void raise_durable(NodeId id, const std::vector<WriteNumber>& covered,
                     const std::vector<WriteNumber>& held) {
    for (std::size_t s = 0; s < history_.sectors(); ++s)
      raise(floors(id).durable[s], std::min(covered[s], held[s]));
  }

  /// INV-2: where no bit is set on either side the disks agree, whoever loses power now.
  void check_marks() {
    if (!paired_ || setting_.trouble.disk_errors) return;
    for (Layer one : {Layer::newest, Layer::durable}) {
      for (Layer two : {Layer::newest, Layer::durable}) {
        const DiskMedia& a = pair_.node(0).media;
        const DiskMedia& b = pair_.node(1).media;
        if (metadata_on(a, shape_, one).value().inconsistent ||
            metadata_on(b, shape_, two).value().inconsistent)
          continue;
        Bitmap marked = map_on(a, shape_, one);
        marked.merge(map_on(b, shape_, two));
        const ConstByteSpan left = data_on(a, shape_, one);
        const ConstByteSpan right = data_on(b, shape_, two);
        for (std::uint64_t e = 0; e < shape_.extents; ++e) {
          if (marked.test(e)) continue;
          const std::uint64_t at = e * shape_.extent_bytes;
          if (!same_bytes(left.subspan(at, shape_.extent_bytes),
                          right.subspan(at, shape_.extent_bytes)))
            return fail("INV-2: extent " + std::to_string(e) + " differs and is not marked");
        }
      }
    }
  }

  // The end ---------------------------------------------------------------------------------------

  void settle() {
    pair_.settle();
    observe();
  }

  void end_well() {
    for (NodeId id : {0u, 1u}) pair_.node(id).disk->heal();
    settle();
    for (int tries = 0; tries < 100 && !synced_ && trouble_.empty(); ++tries) {
      if (!pair_.linked()) connect();
      settle();
      for (int i = 0; i < 31; ++i) {
        pair_.tick();
        settle();
      }
      const PrimaryStatus status = pair_.node(acting()).primary->status();
      if (status.local_lost) {  // its disk is back; so is it, after a restart
        lose(acting(), false);
        start_primary(acting_before_);
      }
      acting_before_ = acting();
    }
    settle();
    if (!trouble_.empty()) return;
    if (!synced_) return fail("INV-13: healed and connected, but never in sync");
    if (!asked_.empty()) return fail("a request was never answered");
    check_images();
    if (!pair_.node(acting()).primary->quiet()) fail("something leaked in the primary");
    pair_.cut_link();
    pair_.settle();
    if (!pair_.node(CorePair::other(acting())).secondary->quiet())
      fail("something leaked in the secondary");
  }

  void check_images() {
    const ConstByteSpan mine = data_on(pair_.node(acting()).media, shape_);
    const ConstByteSpan peer = data_on(pair_.node(CorePair::other(acting())).media, shape_);
    if (!same_bytes(mine, peer)) return fail("in sync, and the images differ");
    const std::string wrong = history_.check(mine, 0, visible_);
    if (!wrong.empty()) fail("at the end: " + wrong);
  }

  Setting setting_;
  SeededRandom random_;
  ComponentShape shape_;
  CorePair pair_;
  SectorHistory history_;
  std::vector<Facts> nodes_;
  std::vector<Asked> asked_;
  std::vector<WriteNumber> visible_;     // floors of what the acting node answers reads with
  std::vector<WriteNumber> at_link_up_;  // the same, when the link came up
  std::uint64_t link_ = 0;
  bool synced_ = false;
  bool differed_at_link_up_ = false;
  bool paired_ = true;
  NodeId acting_before_ = 0;
  std::string trouble_;
};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

void tell(const Trouble& trouble, std::uint64_t seeds) {
  const std::uint64_t only = number_from("HAST_PAIR_SEED", 0);
  const std::uint64_t last = only ? only : number_from("HAST_PAIR_SEEDS", seeds);
  for (std::uint64_t seed = only ? only : 1; seed <= last; ++seed) {
    for (Replication mode : {Replication::fullsync, Replication::memsync, Replication::async}) {
      Setting setting;
      setting.seed = seed;
      setting.mode = mode;
      setting.trouble = trouble;
      setting.second_is_new = seed % 5 == 0;
      INFO("seed " << seed << ", " << to_string(mode) << ": HAST_PAIR_SEED=" << seed
                   << " unit_core \"[pair]\"");
      CHECK(Story(setting).run() == "");
    }
  }
}

}  // namespace

TEST_CASE("seeded: lost links and dying processes", "[pair]") { tell({}, 30); }

TEST_CASE("seeded: nodes that lose their power", "[pair]") { tell({.power = true}, 30); }

TEST_CASE("seeded: promotions of the other node", "[pair]") {
  tell({.power = false, .promotion = true}, 30);
}

TEST_CASE("seeded: power losses and promotions", "[pair]") {
  tell({.power = true, .promotion = true}, 30);
}

TEST_CASE("seeded: failing disk operations", "[pair]") { tell({.disk_errors = true}, 30); }
