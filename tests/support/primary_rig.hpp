// A Primary with everything around it in a test's hand: media and disk, a scripted peer, a client,
// a recording host. It plays the engine: connects, disconnects, restarts, crashes, and carries
// operations until nothing moves. It watches INV-1 throughout: a data write that leaves for the
// disk or the peer under a bit that is not on stable storage is counted, and finish() checks that
// there was none and that nothing leaked.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "hast/core/generation.hpp"
#include "hast/core/primary.hpp"
#include "support/catch.hpp"
#include "support/core_client.hpp"
#include "support/core_hosts.hpp"
#include "support/fake_disk.hpp"
#include "support/scripted_peer.hpp"
#include "support/test_component.hpp"

namespace hast::test {

struct RigOptions {
  /// The component is given up when it fails a write.
  static RigOptions detaching() {
    RigOptions options;
    options.primary.on_local_error = OnLocalError::detach;
    return options;
  }

  ComponentShape shape;
  bool doubtful = false;  // a flush had failed when it was last used
  core::PrimaryOptions primary{.replication = Replication::fullsync,
                               .metaflush = core::MapCommit::Flush::yes,
                               .slots = 8,
                               .resync_window = 4,
                               .promotion = core::Promotion::resumed,
                               .on_local_error = OnLocalError::pass};
};

/// What the scripted peer knows of itself; its handshake answers follow from it.
struct PeerIdentity {
  std::uint64_t resuid = 0;
  core::Counters counters;
  std::vector<std::uint64_t> dirty;  // bits of its own map
  bool native = false;               // it obeys orders
  Generations generations;           // told by a native one
  bool inconsistent = false;         // likewise
  std::uint64_t boot = 0;            // likewise
};

class PrimaryRig {
 public:
  static constexpr std::uint64_t kResuid = 0x5eed;

  /// Both nodes have met before and are equal, unless `identity` says otherwise.
  explicit PrimaryRig(const RigOptions& options = {})
      : options_(options),
        media_(formatted_media(options.shape)),
        random_(1),
        peer_(options.shape.data_bytes(), options.shape.sector_bytes) {
    ondisk::Metadata metadata = fresh_metadata(options.shape);
    metadata.resuid = identity.resuid = kResuid;
    store_metadata(media_, options.shape, metadata);
  }
  ~PrimaryRig() {
    if (!primary_) return;
    if (std::uncaught_exceptions() == 0) finish();
    if (primary_) crash();
  }
  PrimaryRig(const PrimaryRig&) = delete;
  PrimaryRig& operator=(const PrimaryRig&) = delete;

  // The process.
  /// Opens what is on the media now.
  PrimaryRig& start() {
    HAST_ASSERT(!primary_);
    disk_ = std::make_unique<FakeDisk>(media_);
    disk_->watch([this](const port::DiskOp& op) { check_marked(op); });
    host_ = std::make_unique<RecordingPrimaryHost>();
    core::Component component = open_component(*disk_, media_, options_.shape);
    component.metadata.prevrole = Role::primary;
    component.doubtful = options_.doubtful;
    primary_ = std::make_unique<core::Primary>(component, options_.primary, *host_, random_);
    client_ = std::make_unique<CoreClient>(*primary_);
    peer_.watch([this](const core::RemoteOp& op) { check_marked(op); });
    return *this;
  }
  PrimaryRig& start_connected() {
    start();
    REQUIRE(connect());
    settle();
    return *this;
  }
  /// Connected, and both nodes hold `fill` in the first `extents` extents, all of it flushed.
  void start_filled(unsigned fill, std::uint64_t extents) {
    start_connected();
    for (std::uint64_t at = 0; at < extents * shape().extent_bytes; at += port::kBlockBytes) {
      client().write(at, port::kBlockBytes, fill);
      settle();
    }
    client().flush();
    settle();
  }
  /// The component is given up over a write of `fill` to the first 4096 bytes.
  void lose_component(unsigned fill) {
    disk().fail(data_fault(IoKind::write, 0, 4096));
    const auto id = client().write(0, 4096, fill);
    settle();
    REQUIRE(client().ok(id));
    REQUIRE(primary().local_lost());
  }
  /// What is on the media now, as the engine opens it.
  Result<void> attach() { return primary().attach(open_component(disk(), media(), shape())); }
  /// The process dies; what it had not finished never happens. The media keep what completed.
  void crash() {
    if (!primary_) return;
    disk_->cut();
    disk_->watch(nullptr);
    peer_.detach();
    primary_->link_down();
    client_->release_all();
    // Slots come back as their answers do; they are nobody's answers any more.
    while (disk_->held() > 0 || host_->delivery_due) move_locally();
    client_.reset();
    primary_.reset();
    host_.reset();
    disk_.reset();
  }
  void power_loss() {
    crash();
    media_.power_loss();
  }
  /// An orderly end: nothing may be left behind in memory.
  void finish() {
    client_->release_all();
    settle();
    disconnect();
    settle();
    CHECK(client_->unanswered() == 0);
    CHECK(primary_->quiet());
    CHECK(unmarked_writes_ == 0);  // INV-1
    CHECK(disk_->racing_writes() == 0);
    if (!primary_->quiet()) return;
    client_.reset();
    primary_.reset();
    host_.reset();
    disk_.reset();
  }
  void restart() {
    finish();
    start();
  }

  // The link.
  /// The whole handshake, as engine and a real secondary do it.
  Result<void> connect() {
    primary_->prepare_identity();
    while (!primary_->identity_durable() && disk_->held() > 0) move_locally();
    const core::PrimaryFacts facts = primary_->facts();
    const Result<core::SyncDecision> decision =
        core::decide_sync({identity.resuid, identity.counters, identity.generations}, facts);
    if (!decision) return decision.error();
    if (identity.resuid == 0) identity.resuid = facts.resuid;
    return link_up(*decision, facts);
  }
  Result<void> link_up(const core::SyncDecision& decision, const core::PrimaryFacts& facts) {
    std::vector<std::byte> map(divide_up(options_.shape.extents, 8));
    Bitmap bits(options_.shape.extents);
    for (std::uint64_t extent : identity.dirty) bits.set(extent);
    if (decision.kind == core::SyncKind::full) bits.set_all();
    bits.export_bytes(0, map);
    core::PeerAnswer answer;
    answer.datasize = options_.shape.data_bytes();
    answer.extentsize = options_.shape.extent_bytes;
    answer.counters = identity.counters;
    answer.virgin = decision.virgin;
    answer.source = decision.source;
    answer.native = identity.native;
    answer.generations = identity.generations;
    answer.inconsistent = identity.inconsistent;
    answer.boot = identity.boot;
    if (decision.kind != core::SyncKind::own_extents) answer.map = map;
    Result<void> up = primary_->link_up(answer, facts);
    if (up) peer_.attach(*primary_);
    return up;
  }
  void disconnect() {
    peer_.detach();
    host_->drop_reasons.clear();
    primary_->link_down();
  }

  // Time.
  /// Everything that can happen without the clock happens; dropped links go down.
  void settle() {
    for (std::size_t steps = 0;; ++steps) {
      HAST_ASSERT(steps < 1'000'000);
      if (move_locally()) continue;
      if (!host_->drop_reasons.empty() && primary_->outbox().connected()) {
        disconnect();
        continue;
      }
      if (primary_->outbox().connected() && peer_.run() > 0) continue;
      return;
    }
  }
  /// As settle(), but the peer neither takes nor answers.
  void settle_locally() {
    while (move_locally()) {
    }
  }
  void deliver() {
    host_->delivery_due = false;
    primary_->deliver();
  }
  void tick(int times = 1) {
    for (int i = 0; i < times; ++i) {
      primary_->tick();
      settle();
    }
  }

  // What there is.
  core::Primary& primary() { return *primary_; }
  CoreClient& client() { return *client_; }
  ScriptedPeer& peer() { return peer_; }
  FakeDisk& disk() { return *disk_; }
  DiskMedia& media() { return media_; }
  RecordingPrimaryHost& host() { return *host_; }
  EventLog& events() { return host_->events; }
  const ComponentShape& shape() const { return options_.shape; }
  RigOptions& options() { return options_; }
  PeerIdentity identity;

  Bitmap map(Layer layer = Layer::durable) const { return map_on(media_, shape(), layer); }
  ondisk::Metadata metadata(Layer layer = Layer::durable) const {
    return metadata_on(media_, shape(), layer).value();
  }
  ConstByteSpan data(Layer layer = Layer::newest) const { return data_on(media_, shape(), layer); }
  bool images_equal() const { return same_bytes(data(), peer_.data()); }
  std::uint64_t unmarked_writes() const { return unmarked_writes_; }

  // Choices of disk operations.
  bool is_data(const port::DiskOp& op) const {
    return op.kind != IoKind::flush && op.offset_bytes >= shape().layout().data_offset;
  }
  bool is_map(const port::DiskOp& op) const {
    return op.kind == IoKind::write && op.offset_bytes == ondisk::kMapOffset;
  }
  std::size_t held_data() const {
    return disk_->held_of([this](const port::DiskOp& op) { return is_data(op); });
  }
  std::size_t held_map() const {
    return disk_->held_of([this](const port::DiskOp& op) { return is_map(op); });
  }
  bool complete_data() {
    return disk_->complete_first([this](const port::DiskOp& op) { return is_data(op); });
  }
  bool complete_map() {
    return disk_->complete_first([this](const port::DiskOp& op) { return is_map(op); });
  }
  std::size_t logged_map_writes() const {
    return disk_->logged([](const DiskLogEntry& entry) {
      return entry.kind == IoKind::write && entry.offset_bytes == ondisk::kMapOffset;
    });
  }
  std::size_t logged_data_writes() const {
    return disk_->logged([this](const DiskLogEntry& entry) {
      return entry.kind == IoKind::write && entry.offset_bytes >= shape().layout().data_offset;
    });
  }
  DiskFault data_fault(IoKind kind, std::uint64_t offset, std::uint64_t length) const {
    DiskFault fault;
    fault.kind = kind;
    fault.begin = shape().layout().data_offset + offset;
    fault.end = fault.begin + length;
    return fault;
  }
  DiskFault map_fault() const {
    return {.kind = IoKind::write,
            .begin = ondisk::kMapOffset,
            .end = ondisk::kMapOffset + shape().layout().map_bytes};
  }
  DiskFault metadata_fault() const {
    return {.kind = IoKind::write, .begin = 0, .end = ondisk::kMetadataBytes};
  }

 private:
  bool move_locally() {
    if (host_->delivery_due) return deliver(), true;
    if (disk_->held() == 0) return false;
    disk_->complete();
    return true;
  }

  /// INV-1, looked at from outside: the bit on the platter, at the moment of submission.
  void check_marked(const port::DiskOp& op) {
    if (!is_data(op) || op.kind == IoKind::read) return;
    check_marked(op.offset_bytes - shape().layout().data_offset, op.length_bytes);
  }
  void check_marked(const core::RemoteOp& op) {
    if (op.kind == IoKind::read || op.kind == IoKind::flush) return;
    if (!primary_->status().local_lost) check_marked(op.offset_bytes, op.length_bytes);
  }
  void check_marked(std::uint64_t offset, std::uint64_t length) {
    const bool flushed = options_.primary.metaflush == core::MapCommit::Flush::yes;
    const Bitmap marked = map(flushed ? Layer::durable : Layer::newest);
    for (std::uint64_t e = offset / shape().extent_bytes;
         e <= (offset + length - 1) / shape().extent_bytes; ++e) {
      if (!marked.test(e)) ++unmarked_writes_;
    }
  }

  RigOptions options_;
  DiskMedia media_;
  SeededRandom random_;
  ScriptedPeer peer_;
  std::unique_ptr<FakeDisk> disk_;
  std::unique_ptr<RecordingPrimaryHost> host_;
  std::unique_ptr<core::Primary> primary_;
  std::unique_ptr<CoreClient> client_;
  std::uint64_t unmarked_writes_ = 0;
};

}  // namespace hast::test
