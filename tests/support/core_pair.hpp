// Two nodes of the core wired together without a wire: a Primary's outbox to a Secondary, each over
// its own fake disk. What is on the way between them can be lost, nodes can die with or without
// their power, be promoted, and come back. Everything moves only when the test says so, one small
// step at a time, so that a seed decides every interleaving.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "hast/core/primary.hpp"
#include "hast/core/secondary.hpp"
#include "support/core_client.hpp"
#include "support/core_hosts.hpp"
#include "support/fake_disk.hpp"
#include "support/test_component.hpp"

namespace hast::test {

struct PairNode {
  explicit PairNode(const ComponentShape& shape) : media(formatted_media(shape)) {}
  bool alive() const { return primary != nullptr || secondary != nullptr; }

  DiskMedia media;
  std::unique_ptr<FakeDisk> disk;
  std::unique_ptr<RecordingPrimaryHost> primary_host;
  std::unique_ptr<core::Primary> primary;
  std::unique_ptr<CoreClient> client;  // of the primary
  std::unique_ptr<RecordingSecondaryHost> secondary_host;
  std::unique_ptr<core::Secondary> secondary;
};

class CorePair {
 public:
  using NodeId = std::size_t;
  static NodeId other(NodeId node) { return 1 - node; }

  CorePair(const ComponentShape& shape, const core::PrimaryOptions& options, SeededRandom& random)
      : shape_(shape),
        options_(options),
        random_(random),
        nodes_{PairNode(shape), PairNode(shape)} {}
  ~CorePair() {
    for (NodeId node : {0u, 1u}) kill(node);
  }
  CorePair(const CorePair&) = delete;
  CorePair& operator=(const CorePair&) = delete;

  PairNode& node(NodeId id) { return nodes_[id]; }
  const PairNode& node(NodeId id) const { return nodes_[id]; }
  const ComponentShape& shape() const { return shape_; }
  /// Both speak protocol version 3, or 2.
  void speak(core::Secondary::Dialect dialect) { dialect_ = dialect; }
  bool linked() const { return linked_; }
  std::optional<NodeId> primary() const {
    for (NodeId id : {0u, 1u}) {
      if (nodes_[id].primary) return id;
    }
    return std::nullopt;
  }

  // Roles.
  void become_primary(NodeId id) {
    PairNode& node = open(id);
    node.primary_host = std::make_unique<RecordingPrimaryHost>();
    node.primary = std::make_unique<core::Primary>(open_component(*node.disk, node.media, shape_),
                                                   options_, *node.primary_host, random_);
    node.client = std::make_unique<CoreClient>(*node.primary);
  }
  void become_secondary(NodeId id) {
    PairNode& node = open(id);
    node.secondary_host = std::make_unique<RecordingSecondaryHost>();
    node.secondary = std::make_unique<core::Secondary>(
        open_component(*node.disk, node.media, shape_), kPeerRequests, *node.secondary_host);
  }
  /// The process dies between any two events; the media keep what completed.
  void kill(NodeId id) {
    PairNode& node = nodes_[id];
    if (!node.alive()) return;
    cut_link();
    node.disk->cut();
    if (node.client) node.client->release_all();
    while (node.disk->held() > 0 || (node.primary_host && node.primary_host->delivery_due))
      move_disk_or_deliver(node, 0);
    close(node);
  }
  /// An orderly end of a secondary: what it received reaches its disk.
  void leave_secondary(NodeId id) {
    PairNode& node = nodes_[id];
    cut_link();
    node.disk->run_all();
    HAST_ASSERT(node.secondary->quiet());
    close(node);
  }
  void power_loss(NodeId id) {
    kill(id);
    nodes_[id].media.power_loss(
        [this](std::uint64_t, std::size_t versions) { return random_.below(versions + 1); });
  }

  // The link.
  enum class Handshake { linked, refused, split_brain, failed };
  /// The whole handshake; between its steps the nodes go on working.
  Handshake connect() {
    const NodeId id = *primary();
    core::Primary& p = *nodes_[id].primary;
    core::Secondary& s = *nodes_[other(id)].secondary;
    p.prepare_identity();
    for (int i = 0; i < 20 && !p.identity_durable(); ++i) step();
    if (!p.identity_durable()) return Handshake::failed;
    const bool native = dialect_ == core::Secondary::Dialect::native;
    core::PrimaryFacts facts = p.facts();
    if (!native) facts.generations = {}, facts.inconsistent = false;
    const core::Counters counters{s.metadata().localcnt, s.metadata().remotecnt};
    const Result<core::SyncDecision> decision = s.decide(facts);
    if (!decision)
      return decision.error().code == Errc::split_brain ? Handshake::split_brain
                                                        : Handshake::refused;
    while (!s.identity_durable()) nodes_[other(id)].disk->complete();
    if (s.identity_failed()) return Handshake::failed;
    for (std::uint64_t i = random_.below(4); i > 0; --i) step();
    if (random_.chance(10)) return Handshake::failed;  // the answer is lost
    const std::vector<std::byte> map = s.map_for(*decision);
    core::PeerAnswer answer;
    answer.datasize = s.layout().data_bytes;
    answer.extentsize = s.layout().extent_bytes;
    answer.counters = counters;
    answer.virgin = decision->virgin;
    answer.source = decision->source;
    answer.map = map;
    answer.native = native;
    if (native) answer.generations = s.metadata().generations;
    answer.inconsistent = native && s.metadata().inconsistent;
    if (!p.link_up(answer, facts)) return Handshake::failed;
    s.session_started(dialect_);
    linked_ = true;
    source_ = decision->source;
    return Handshake::linked;
  }
  SyncSource source() const { return source_; }
  /// Some of what is on its way still arrives at the secondary, nothing at the primary.
  void cut_link() {
    if (!std::exchange(linked_, false)) return;
    const NodeId id = *primary();
    for (std::uint64_t i = random_.below(requests_.size() + 1); i > 0; --i) deliver_request();
    requests_.clear();
    replies_.clear();
    nodes_[other(id)].secondary->session_ended();
    nodes_[id].primary_host->drop_reasons.clear();
    nodes_[id].primary->link_down();
  }

  // Time.
  /// One thing that can happen happens; false if nothing can.
  bool step() {
    const std::uint64_t first = random_.below(kMoves);
    for (std::uint64_t i = 0; i < kMoves; ++i) {
      if (move(static_cast<int>((first + i) % kMoves))) return true;
    }
    return false;
  }
  bool deliver_answers() {
    const std::optional<NodeId> id = primary();
    return id && deliver(nodes_[*id]);
  }
  void settle() {
    for (std::size_t steps = 0; step(); ++steps) HAST_ASSERT(steps < 1'000'000);
  }
  void tick() {
    if (const std::optional<NodeId> id = primary()) nodes_[*id].primary->tick();
  }

 private:
  static constexpr std::size_t kPeerRequests = 8;
  static constexpr std::uint64_t kMoves = 7;

  struct Message {
    std::uint64_t seq = 0;
    IoKind kind{};
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    bool memsync = false;
    bool received = false;
    int error = 0;
    std::vector<std::byte> data;
    bool fua = false;
    core::PeerOrder order;
  };

  PairNode& open(NodeId id) {
    PairNode& node = nodes_[id];
    HAST_ASSERT(!node.alive());
    node.disk = std::make_unique<FakeDisk>(node.media);
    return node;
  }
  static void close(PairNode& node) {
    node.client.reset();
    node.primary.reset();
    node.primary_host.reset();
    node.secondary.reset();
    node.secondary_host.reset();
    node.disk.reset();
  }
  static bool move_disk_or_deliver(PairNode& node, std::size_t index) {
    if (node.disk->held() > 0) return node.disk->complete(index), true;
    if (!node.primary_host || !node.primary_host->delivery_due) return false;
    return deliver(node);
  }
  static bool deliver(PairNode& node) {
    if (!std::exchange(node.primary_host->delivery_due, false)) return false;
    node.primary->deliver();
    return true;
  }

  bool move(int which) {
    const std::optional<NodeId> id = primary();
    switch (which) {
      case 0:
      case 1: {
        PairNode& node = nodes_[static_cast<std::size_t>(which)];
        if (!node.alive() || node.disk->held() == 0) return false;
        node.disk->complete(random_.below(node.disk->held()));
        return true;
      }
      case 2:
        return id && deliver(nodes_[*id]);
      case 3:
        return linked_ && send_request(*nodes_[*id].primary);
      case 4:
        return linked_ && deliver_request();
      case 5:
        return linked_ && send_reply(*nodes_[other(*id)].secondary);
      default:
        return linked_ && (deliver_reply(*nodes_[*id].primary) || drop_if_asked(nodes_[*id]));
    }
  }

  bool drop_if_asked(PairNode& node) {
    if (node.primary_host->drop_reasons.empty()) return false;
    cut_link();
    return true;
  }

  bool send_request(core::Primary& from) {
    core::RemoteOp* op = from.outbox().next();
    if (op == nullptr) return false;
    Message message{op->seq, op->kind, op->offset_bytes, op->length_bytes, op->memsync, false,
                    0,       {}};
    message.fua = op->fua;
    if (op->order != nullptr) {
      message.order = *op->order;
      requests_.push_back(std::move(message));
      return true;
    }
    if (op->kind == IoKind::write) message.data.assign(op->data, op->data + op->length_bytes);
    const bool native = dialect_ == core::Secondary::Dialect::native;
    if (op->kind == IoKind::write_zeroes && !native) {  // on the wire: a WRITE of a hole
      message.kind = IoKind::write;
      message.data.resize(op->length_bytes);
    }
    requests_.push_back(std::move(message));
    return true;
  }
  bool deliver_request() {
    if (requests_.empty()) return false;
    core::Secondary& to = *nodes_[other(*primary())].secondary;
    core::PeerRequest* request = to.acquire();
    if (request == nullptr) return false;
    const Message message = std::move(requests_.front());
    requests_.pop_front();
    request->kind = message.kind;
    request->seq = message.seq;
    request->offset_bytes = message.offset;
    request->length_bytes = message.length;
    request->memsync = message.memsync;
    request->fua = message.fua;
    request->order = message.order;
    if (!message.data.empty())
      std::memcpy(request->buffer, message.data.data(), message.data.size());
    to.submit(*request);
    return true;
  }
  bool send_reply(core::Secondary& from) {
    core::PeerReply* reply = from.next_reply();
    if (reply == nullptr) return false;
    const core::PeerRequest& request = *reply->request;
    Message message;
    message.seq = request.seq;
    message.kind = request.kind;
    message.received = reply->received;
    message.error = reply->received ? 0 : request.error;
    if (request.kind == IoKind::read && message.error == 0)
      message.data.assign(request.buffer, request.buffer + request.length_bytes);
    from.reply_sent(*reply);
    replies_.push_back(std::move(message));
    return true;
  }
  bool deliver_reply(core::Primary& to) {
    if (replies_.empty()) return false;
    const Message message = std::move(replies_.front());
    replies_.pop_front();
    core::RemoteOp* op = to.outbox().find(message.seq);
    HAST_ASSERT(op != nullptr);
    if (message.received) return to.reply_received(*op), true;
    if (!message.data.empty()) std::memcpy(op->data, message.data.data(), message.data.size());
    to.reply(*op, message.error);
    return true;
  }

  ComponentShape shape_;
  core::PrimaryOptions options_;
  SeededRandom& random_;
  std::array<PairNode, 2> nodes_;
  std::deque<Message> requests_;
  std::deque<Message> replies_;
  core::Secondary::Dialect dialect_ = core::Secondary::Dialect::original;
  bool linked_ = false;
  SyncSource source_ = SyncSource::primary;
};

}  // namespace hast::test
