// The secondary: applies what a primary asks, in an order both sides can rely on, and answers. It
// keeps arrival order where requests overlap, lets a FLUSH cover everything that arrived before it,
// and answers two requests of equal seq in the order they came (an original primary numbers all its
// resync requests 1). Knows no wire and no clock; all calls on the resource's executor.
//
// Life: construct over an opened component; per session: decide(), session_started(), acquire() and
// submit() per request, next_reply()/reply_sent(), session_ended(); wait for quiet(), destroy.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "hast/base/bitmap.hpp"
#include "hast/base/usage.hpp"
#include "hast/core/buffer.hpp"
#include "hast/core/component.hpp"
#include "hast/core/event.hpp"
#include "hast/core/generation.hpp"
#include "hast/core/metadata_writer.hpp"
#include "hast/core/primary.hpp"
#include "hast/core/range_lock.hpp"
#include "hast/port/disk.hpp"

namespace hast::core {

/// The largest READ or WRITE a secondary accepts: what originals of FreeBSD 13 and newer send.
inline constexpr std::uint32_t kMaxPeerIoBytes = 1024 * 1024;

struct PeerRequest;

/// One answer on its way to the primary.
struct PeerReply : ListNode<PeerReply> {
  PeerRequest* request = nullptr;
  bool received = false;  // memsync's early answer; never with an error
};

struct PeerRequest : ListNode<PeerRequest> {
  IoKind kind = IoKind::read;
  PeerOrder order;  // instead of I/O, unless its kind is none
  bool memsync = false;
  bool fua = false;  // durable before the final reply
  std::uint64_t seq = 0;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  std::byte* buffer = nullptr;  // kMaxPeerIoBytes, owned by the slot
  int error = 0;                // errno of this host, valid in its final reply

  // The core's own.
  enum class State : std::uint8_t {
    free,
    receiving,
    waiting_seq,
    waiting_range,
    waiting_writes,
    waiting_metadata,
    held,
    on_disk,
    replying
  };
  State state = State::free;
  std::uint64_t session = 0;
  bool holds_lock = false;
  Ticket ticket = 0;        // orders: the commit that makes it durable
  bool twin_ahead = false;  // an earlier request of the same seq is not answered yet
  class Secondary* secondary = nullptr;
  RangeClaim claim;
  port::DiskOp disk;
  PeerReply early;
  PeerReply final;

  bool is_write() const {
    return kind == IoKind::write || kind == IoKind::discard || kind == IoKind::write_zeroes;
  }
};

class SecondaryHost {
 public:
  virtual void replies_ready() = 0;
  virtual void request_freed() = 0;  // acquire() succeeds again
  virtual void happened(const Event& event) = 0;
  virtual void changed() = 0;  // quiet() or identity_durable() may be true now

 protected:
  ~SecondaryHost() = default;
};

/// Byte ranges of the last writes: as many as an original primary can have in flight.
struct RecentWrites {
  static constexpr std::size_t kMost = 256;
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  std::vector<Range> ranges;
  std::size_t oldest = 0;
};

class Secondary final : private MetadataWriter::Observer {
 public:
  static constexpr std::size_t kDefaultRequests = 128;

  /// `recent`: what the one before it was sent, if that was not this process's first.
  Secondary(const Component& component, std::size_t requests, SecondaryHost& host,
            RecentWrites recent = {});
  ~Secondary();

  // Handshake.
  /// decide_sync(); adopts the primary's resuid when this component has none, which must be
  /// durable (identity_durable()) before the answer leaves, and remembers that it is outdated when
  /// it is. Errors: those of decide_sync().
  Result<SyncDecision> decide(const PrimaryFacts& primary);
  bool identity_durable() const { return !adopting_ && decision_ticket_ == 0; }
  bool identity_failed() const { return identity_error_ != 0; }
  /// What the primary has to merge: the map on disk and the extents of the requests that were in
  /// flight last (an original primary forgets those, weaknesses 1); all ones for a full resync.
  std::vector<std::byte> map_for(const SyncDecision& decision) const;

  // Split-brain. The operator gives up what this node wrote alone (INV-7: nobody else does).
  /// The extents that it may have written since the nodes were last equal.
  Bitmap own_changes() const;
  /// If the next handshake finds a split-brain, it is resolved in the primary's favour: this node
  /// records that it is inconsistent, and a resync brings the union of both maps. Any other outcome
  /// of that handshake withdraws this.
  void give_up_own_changes() { giving_up_ = true; }

  // Session. One at a time: the newer replaces the older.
  enum class Dialect : std::uint8_t { original, native };  // native: protocol version 3
  void session_started(Dialect dialect = Dialect::original);
  /// Replies still due are dropped; disk operations on their way end by themselves.
  void session_ended();

  /// nullptr when all are in use: stop reading until request_freed().
  PeerRequest* acquire();
  void abandon(PeerRequest& request);  // acquired, but its payload never came whole (INV-8)
  void submit(PeerRequest& request);   // verified and complete
  /// A request that could not be taken up: answered with `error`, touches nothing.
  void refuse(PeerRequest& request, int error);

  PeerReply* next_reply();
  void reply_sent(PeerReply& reply);

  /// The primary left in an orderly way and said that this node has everything, and none came
  /// since.
  bool handed_over() const { return handed_over_; }
  bool quiet() const;
  const ondisk::Metadata& metadata() const { return metadata_.metadata(); }
  const ondisk::Layout& layout() const { return component_.layout; }
  std::uint32_t sector_bytes() const { return component_.sector_bytes(); }
  IoStatistics statistics() const { return io_; }
  const RecentWrites& recent_writes() const { return recent_; }
  std::size_t requests_free() const { return free_.size(); }
  std::size_t requests_in_use() const { return requests_.size() - free_.size(); }
  /// Of requests. A second reading does not show the first one's most.
  Usage usage() { return usage_.read(requests_in_use()); }
  std::size_t local_queue() const { return in_order_.size(); }
  std::size_t send_queue() const { return replies_.size(); }

 private:
  using List = IntrusiveList<PeerRequest, PeerRequest>;
  using ReplyList = IntrusiveList<PeerReply, PeerReply>;

  void give_way(SyncKind kind, const PrimaryFacts& primary);
  void adopt(std::uint64_t resuid, SyncKind kind);
  void store_identity();
  void identity_ended(int error);
  int check(const PeerRequest& request) const;
  void map_is_merged();
  void begin(PeerRequest& request);
  void obey(PeerRequest& request);
  void orders_committed(Ticket ticket, int error);
  void release_held(int error);
  void announce(PeerRequest& request);
  void proceed(PeerRequest& request);
  void execute(PeerRequest& request);
  void disk_done(PeerRequest& request);
  void finish(PeerRequest& request);
  bool answerable(const PeerReply& reply) const;
  void queue_reply(PeerReply& reply);
  void recycle(PeerRequest& request);
  bool has_unanswered_twin(const PeerRequest& request);
  void start_flushes();
  void let_next_twin_go(const PeerRequest& finished);
  void remember(const PeerRequest& request);
  void store_map(Bitmap map);
  void map_piece_done(port::DiskOp& op);
  void map_stored(int error);
  void metadata_committed(Ticket ticket, int error) override;

  Component component_;
  port::Disk& disk_;
  SecondaryHost& host_;
  MetadataWriter metadata_;
  AlignedBuffer buffers_;
  std::deque<PeerRequest> requests_;  // a deque: requests have nodes and never move
  RangeLock locks_;
  List free_;
  UsageMeter usage_;
  List ordering_;  // orders that wait for their metadata to be durable
  List held_;      // what arrived behind a sync_begin or an alone that is not durable yet
  List in_order_;  // submitted and not finished, in the order of arrival
  ReplyList replies_;
  std::uint64_t highest_seq_ = 0;
  std::size_t waiting_flushes_ = 0;
  std::size_t waiting_twins_ = 0;

  std::uint64_t session_ = 0;
  bool in_session_ = false;
  bool alone_untold_ = false;  // the session began with an ALONE that is not durable yet
  bool handed_over_ = false;
  bool merged_ = false;  // the first request of the session proved that the primary has our map

  bool adopting_ = false;
  bool adopting_everything_ = false;
  std::uint64_t adopted_resuid_ = 0;
  Ticket identity_ticket_ = 0;
  bool giving_up_ = false;
  Ticket decision_ticket_ = 0;
  ondisk::Metadata before_decision_;
  std::size_t marking_ = 0;  // orders that are not durable yet and that what follows waits for
  int marking_error_ = 0;
  Dialect dialect_ = Dialect::original;
  int identity_error_ = 0;
  bool lag_ends_with_merge_ = false;  // the mark "inconsistent" goes when the map was merged

  RecentWrites recent_;

  AlignedBuffer map_piece_;
  Bitmap map_to_store_;
  port::DiskOp map_op_;
  std::uint64_t stored_bytes_ = 0;
  bool storing_map_ = false;
  IoStatistics io_;
};

}  // namespace hast::core
