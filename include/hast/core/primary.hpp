// The primary: everything that decides what happens to a client's request, to the dirty map, to the
// counters and to a resync. Plain synchronous methods, no clock, no log, no network: the engine
// calls them when something happened, and they submit operations and fill the outbox. All calls on
// the resource's executor. The invariants it keeps are cited where they are kept
// (docs/invariants.md).
//
// Life: construct over an opened component; serve as RequestSink; link_up()/link_down() as the peer
// comes and goes; prepare_stop(), wait for quiet(), destroy.
#pragma once

#include <cstdint>
#include <optional>

#include "hast/core/barrier.hpp"
#include "hast/core/event.hpp"
#include "hast/core/generation.hpp"
#include "hast/core/io_statistics.hpp"
#include "hast/core/map_commit.hpp"
#include "hast/core/metadata_writer.hpp"
#include "hast/core/read_repair.hpp"
#include "hast/core/resync.hpp"
#include "hast/core/slot.hpp"
#include "hast/core/volume.hpp"
#include "hast/port/frontend.hpp"
#include "hast/port/random.hpp"

namespace hast::core {

/// Why a component that is not whole may be used by a primary.
enum class Promotion : std::uint8_t {
  resumed,  // it was primary a moment ago, the peer serves what is missing here
  forced,   // an operator takes it as it is: that starts a history of its own (INV-5, INV-7)
};

/// Whether a primary without a peer may answer what only it can vouch for.
enum class GoAlone : std::uint8_t { freely, if_permitted };

struct PrimaryOptions {
  Replication replication = Replication::memsync;
  MapCommit::Flush metaflush = MapCommit::Flush::yes;
  std::size_t slots = 128;
  std::size_t resync_window = Resync::kDefaultWindow;
  Promotion promotion = Promotion::resumed;
  OnLocalError on_local_error = OnLocalError::detach;
  GoAlone go_alone = GoAlone::freely;
};

/// What the core asks of the engine. Cheap and never re-entrant: flags and posts.
class PrimaryHost : public Outbox::Observer {
 public:
  virtual void drop_link(Error why) = 0;  // close, join, then link_down()
  virtual void happened(const Event& event) = 0;
  virtual void changed() = 0;          // quiet() or identity_durable() may be true now
  virtual void defer_delivery() = 0;   // call deliver() soon, not from here
  virtual void permission_wanted() {}  // requests wait for permit_alone()
  /// Whether any read may be answered by the component, without asking this; at first none may.
  /// "No" comes before the first answer to a client that makes it so (INV-6).
  virtual void local_reads(bool possible) { (void)possible; }
  virtual void batch_begins() {}  // RequestSink's
  virtual void batch_ends() {}

 protected:
  ~PrimaryHost() = default;
};

/// The secondary's answer to step 2 of the handshake, its map already expanded.
struct PeerAnswer {
  std::uint64_t datasize = 0;
  std::uint32_t extentsize = 0;
  Counters counters;
  bool virgin = false;
  SyncSource source = SyncSource::primary;
  bool native = false;        // it understands orders, FUA and write-zeroes
  bool inconsistent = false;  // and is marked so
  Generations generations;
  std::uint64_t boot = 0;  // differs after every start of its machine; 0: unknown
  ConstByteSpan map;       // empty: none
};

struct PrimaryStatus {
  IoStatistics io;
  std::uint64_t dirty_bytes = 0;     // extents with writes in flight or a resync pending
  std::uint64_t stale_bytes = 0;     // served from the peer
  std::uint64_t unsynced_bytes = 0;  // extents with a resync pending
  bool local_lost = false;           // no local component: the peer serves everything
  bool flush_lost = false;           // a flush failed here, and nobody stands in yet
  bool frozen = false;               // requests wait for permit_alone()
  bool synced = false;  // connected, and each node has everything: durably, and so recorded
  bool syncing = false;
  SyncSource sync_source = SyncSource::primary;
  std::uint64_t sync_copied_bytes = 0;
  std::uint64_t sync_total_bytes = 0;
  std::size_t slots_free = 0;
  std::size_t local_queue = 0;
  std::size_t send_queue = 0;
  std::size_t receive_queue = 0;
};

class Primary final : public port::RequestSink,
                      private MetadataWriter::Observer,
                      private MapCommit::Observer,
                      private Resync::Observer,
                      private ReadRepair::Observer {
 public:
  Primary(const Component& component, const PrimaryOptions& options, PrimaryHost& host,
          port::Random& random);
  ~Primary() override;

  // port::RequestSink
  port::VolumeInfo volume() const override;
  port::IoRequest* acquire() override;
  void wait_for_slot(port::SlotWaiter& waiter) override;
  void cancel_wait(port::SlotWaiter& waiter) override;
  void submit(port::IoRequest& request) override;
  void release(port::IoRequest& request) override;
  void batch_begins() override { host_.batch_begins(); }
  void batch_ends() override { host_.batch_ends(); }
  /// Hands finished requests back and wakes those who wait for a slot; see defer_delivery().
  void deliver();

  // The link. Between link_up() and link_down() the engine moves the outbox.
  /// Starts making the resource id durable if there is none yet; step 2 waits for it.
  void prepare_identity();
  bool identity_durable() const;
  PrimaryFacts facts() const;
  /// Errors: size_mismatch, peer_waits (writes are on their way that the peer must not overtake:
  /// try again), split_brain (this node was written since the facts were sent).
  Result<void> link_up(const PeerAnswer& answer, const PrimaryFacts& sent);
  /// After the connections are closed and their reader and writer have ended.
  void link_down();
  Outbox& outbox() { return volume_.outbox; }
  /// A reply without data, or whose data are already in the operation's buffer.
  void reply(RemoteOp& op, int error);
  void reply_received(RemoteOp& op);

  /// About once a second: cleans the map, resumes an incomplete resync.
  void tick();
  /// Any flush of the component failed: not even one that succeeds later can vouch for the data.
  /// Before its completion.
  void flush_failed(int error);
  void set_replication(Replication mode) { replication_ = mode; }
  void set_metaflush(MapCommit::Flush flush) { commit_.set_flush(flush); }
  void set_on_local_error(OnLocalError policy) { on_local_error_ = policy; }

  // The local component after it was given up.
  bool local_lost() const { return local_lost_; }
  /// Nothing is on its way to the component: the disk behind it may be replaced.
  bool component_idle() const;
  /// The component is back, or another one is in its place, opened anew over the same port::Disk.
  /// Lost and idle only. Returns at once; the component is in use again when attaching() has become
  /// false and local_lost(), too. What it lacks is then copied from the peer: what changed since it
  /// was lost, or everything if it is new or older than it should be.
  /// Errors: size_mismatch (it is laid out differently), resuid_mismatch (it belongs elsewhere).
  Result<void> attach(const Component& component);
  bool attaching() const { return attach_metadata_ticket_ != 0 || attach_map_ticket_ != 0; }

  // Without the peer (GoAlone::if_permitted).
  void set_go_alone(GoAlone rule);
  /// Until the next link_up(). Requests that waited for it go on.
  void permit_alone();
  bool waits_for_permission() const { return !waiting_permission_.empty(); }

  /// Nobody hears answers any more: from now on nothing is acknowledged that the peer lacks, so
  /// that a demotion during an outage does not look like a split-brain afterwards (INV-3, INV-7).
  void clients_left();
  /// The front-end is withdrawn: leave as little behind as possible (needs the peer for that).
  void prepare_stop();
  bool quiet() const;

  const ondisk::Metadata& metadata() const { return metadata_.metadata(); }
  std::uint32_t extent_bytes() const { return volume_.map.extent_bytes(); }
  /// Of the volume's first byte on the component.
  std::uint64_t data_offset_bytes() const { return volume_.on_component(0); }
  std::uint64_t map_bytes() const { return (volume_.map.extents() + 7) / 8; }
  PrimaryStatus status() const;
  /// Of slots and ranges of a resync. A second reading does not show the first one's most.
  Usage usage();

 private:
  using SlotList = IntrusiveList<Slot, Slot>;
  enum class Episode : std::uint8_t { none, counting, counted };
  enum class Lag : std::uint8_t { none, recording, recorded, unrecordable };
  enum class Alone : std::uint8_t { unsaid, telling, told, refused };
  class Entry;  // delivers at the end of the outermost call into the core

  // Requests.
  bool is_valid(const Slot& slot) const;
  void start(Slot& slot);
  void start_read(Slot& slot);
  void start_write(Slot& slot);
  void start_flush(Slot& slot);
  int flush_verdict(const Slot& slot);
  bool discards_possible() const;
  void write_locked(Slot& slot);
  void mark(Slot& slot);
  void dispatch(Slot& slot);
  void mark_degraded(Slot& slot);
  void read_remotely(Slot& slot);
  void submit_disk(Slot& slot, IoKind kind);
  void send(Slot& slot, IoKind kind);
  void disk_done(port::DiskOp& op);
  void remote_received(RemoteOp& op);
  void remote_done(RemoteOp& op);
  void local_failed(Slot& slot, IoKind kind);
  void peer_failed(IoKind kind, std::uint64_t offset_bytes, int error);

  // Outcomes.
  void advance(Slot& slot);
  void advance_read(Slot& slot);
  void advance_write(Slot& slot);
  void advance_flush(Slot& slot);
  void conclude_flush(Slot& slot);
  LocalState local_copy_of(const Slot& slot) const;
  void rely_on_peer(Slot& slot);
  void succeed(Slot& slot);
  void release_lock(Slot& slot);
  void end_extents(Slot& slot);
  void answer(Slot& slot, int error);
  void leave_core(Slot& slot);
  void put(Slot& slot);
  int failure_of(const Slot& slot) const;

  // Without the peer.
  bool writes_alone();
  bool needs_permission() const;
  bool may_answer_alone(Slot& slot);
  void release_waiting_for_permission();
  void restart_waiting_for_permission();

  // Durability.
  static bool is_unreplicated(const Slot& slot);
  bool vouches_alone(const Slot& slot) const;
  bool episode_is_counted(Slot& slot);
  void count_episode();
  void episode_counted(int error);
  bool lag_is_recorded(Slot& slot);
  bool peer_knows(Slot& slot);
  void record_lag();
  void metadata_committed(Ticket ticket, int error) override;
  void map_committed(Ticket ticket, int error) override;
  void commit_changed_map();

  // Which side holds what.
  bool has_local_copy(const Slot& slot) const;
  bool reads_all_locally() const;
  void tell_local_reads();
  bool local_newer_in(const Slot& slot) const;
  bool holds_something_alone() const;
  bool answered_in_flight() const;
  bool peer_has_what_it_answered() const;
  bool peer_has_everything() const;
  bool vouch_is_awaited() const;
  Replication mode_of_writes() const;
  bool waits_for_vouch(Slot& slot);
  void release_waiting_for_vouch();
  void begin_unmarked(Slot& slot);
  bool can_lose_local() const;
  void give_up_local(int error);
  void vouch_done(RemoteOp& op);
  void component_failed_write(std::uint64_t offset_bytes, std::uint64_t length_bytes, int error);
  void lose_local(int error);
  void flushes_are_lost();
  void attach_step(Ticket& ticket, Ticket ended, int error);
  bool may_repair(std::uint64_t offset_bytes, std::uint64_t length_bytes) const override;
  void repair_ended(std::uint64_t offset_bytes, std::uint64_t length_bytes, int error) override;
  void repairs_idle() override;

  // Orders to a native peer.
  void derive_generation();
  void greet(SyncSource source);
  bool must_mark_peer() const;
  void send_order(PeerOrder order);
  void order_done(RemoteOp& op);
  void look_for_restart(std::uint64_t boot);
  void tell_alone();
  void alone_done(RemoteOp& op);
  void say_goodbye();

  // Resync.
  bool merge(const PeerAnswer& answer);
  void release_when_merged();
  void merge_failed(int error);
  std::uint64_t unsynced_bytes() const;
  void start_sync();
  void resync_pass_ended() override;
  void resync_drained() override;
  bool clients_wait() const override { return !slots_.all_free(); }
  void resync_range_failed(IoKind io, std::uint64_t offset_bytes, int error) override;
  bool run_barrier();
  void run_last_barrier();
  void barrier_done(int local_error, int remote_error);
  void local_flush_failed(int error);
  void sync_ended();
  void clean_map();
  void sync_incomplete();
  void sync_proven();
  void mark_synced();
  void announce_synced();
  void happened(Event event) { host_.happened(event); }

  PrimaryHost& host_;
  port::Random& random_;
  Replication replication_;
  Volume volume_;
  SlotPool slots_;
  MetadataWriter metadata_;
  MapCommit commit_;
  Barrier barrier_;
  Resync resync_;
  ReadRepair repair_;
  OnLocalError on_local_error_;

  SlotList waiting_map_;         // for their extents to be stable (INV-1)
  SlotList waiting_peer_;        // for the peer to record that it is alone (INV-12)
  SlotList waiting_metadata_;    // for the episode to be counted (INV-3) or the lag (INV-11)
  SlotList waiting_vouch_;       // for the peer to vouch for all it has (INV-12)
  SlotList waiting_permission_;  // to be answered without the peer
  SlotList answered_;            // to be delivered
  IntrusiveList<port::SlotWaiter, port::SlotWaiter> waiters_;
  int depth_ = 0;
  bool delivering_ = false;
  bool local_reads_ = false;  // what the host was told

  GoAlone go_alone_;
  bool permitted_ = false;  // by somebody who knows, until the peer is back
  Episode episode_ = Episode::none;
  Ticket episode_ticket_ = 0;
  std::uint64_t localcnt_before_ = 0;  // the episode that is being counted
  Generations generations_before_;
  /// Of a count that failed: it may be on the platter, so it is the next one, or told to the peer.
  std::uint64_t next_generation_ = 0;
  // The generation began in this process, and no peer was told to take it over.
  bool generation_is_mine_ = false;
  Ticket identity_ticket_ = 0;  // 0: durable
  // The outbox is released when both are durable: 0.
  Ticket merge_map_ticket_ = 0;
  Ticket merge_metadata_ticket_ = 0;
  bool virgin_ = false;
  /// The peer holds newer acknowledged data, until a resync from it is done: nothing is
  /// acknowledged without it. `stale` in volume_ says where; the metadata say `inconsistent`.
  bool peer_ahead_ = false;
  Lag lag_ = Lag::none;
  Ticket lag_ticket_ = 0;
  Alone alone_ = Alone::unsaid;  // of the present connection
  RemoteOp alone_op_;
  bool vouch_asked_ = false;  // for a flush of the peer, before this node gives up its component
  RemoteOp vouch_op_;
  int give_up_error_ = 0;
  PeerOrder alone_order_;
  RemoteOp order_op_;
  PeerOrder order_;                 // none: nothing is on its way
  bool peer_native_ = false;        // it is connected and obeys orders
  bool peer_marked_ = false;        // on this connection, until sync_end (INV-5)
  bool peer_inconsistent_ = false;  // marked, on this connection or one before, until sync_end
  Generations peer_generations_;
  std::uint64_t peer_boot_ = 0;  // when it was last connected; 0: unknown
  /// Of the latest change that only the peer has; 0: none, or it has flushed it.
  FlushEpoch unflushed_there_ = 0;
  FlushEpoch flushes_fail_until_ = 0;  // the peer lost what they should have covered
  bool local_lost_ = false;  // then `stale` in volume_ says what it lacks, should it come back
  Ticket attach_metadata_ticket_ = 0;  // 0: durable, or nothing is taken back
  Ticket attach_map_ticket_ = 0;
  int attach_error_ = 0;
  std::uint64_t durable_sequence_ = 0;  // of the metadata on it when it was lost
  bool sync_due_ = false;  // start as soon as the merged map is durable and nothing is on its way
  bool sync_ending_ = false;   // the pass is over, its barrier is not
  bool sync_failed_ = false;   // a block of the pass could not be copied
  bool sync_barrier_ = false;  // the running barrier began after the pass ended
  bool clients_left_ = false;
  int flush_lost_ = 0;  // errno of a flush after which none of this node vouches for anything
  int flush_again_ticks_ = 0;
  bool stopping_ = false;
  bool last_barrier_due_ = false;  // once nothing is on its way any more
  bool synced_ = false;            // everything was copied and flushed since the last link_up()
  bool local_discards_ = true;     // until the component says that it cannot
  bool peer_discards_ = true;      // until the connected peer says that it cannot
  int retry_ticks_ = 0;            // until an incomplete resync is tried again
  int metadata_retry_ticks_ = 0;   // until a failed commit is tried again; 0: none failed
  Ticket synced_ticket_ = 0;       // of the counters that follow a resync; 0: announced
  SyncSource synced_from_ = SyncSource::primary;
  std::uint64_t sync_copied_ = 0;
  Counters peer_;
  std::size_t degraded_writes_ = 0;  // under way without a peer
  std::size_t local_queue_ = 0;
  IoStatistics io_;
};

}  // namespace hast::core
