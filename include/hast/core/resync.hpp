// Copies what differs between the nodes, a window of ranges at a time, each under its range lock,
// in the direction of each unit: local to peer, or peer to local where the local copy is stale
// (INV-6). An extent counts as copied only if every one of its ranges was (INV-2); what failed
// stays marked and is tried again later. One pass walks the map once, upwards.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "hast/core/buffer.hpp"
#include "hast/core/volume.hpp"

namespace hast::core {

class Resync {
 public:
  class Observer {
   public:
    /// Every unsynced extent was visited; those that failed are still in the map.
    virtual void resync_pass_ended() = 0;
    /// Nothing of a stopped pass is on its way any more: start() is possible again.
    virtual void resync_drained() = 0;
    virtual bool clients_wait() const = 0;  // a request is under way
    virtual void resync_range_failed(IoKind io, std::uint64_t offset_bytes, int error) = 0;

   protected:
    ~Observer() = default;
  };

  static constexpr std::size_t kDefaultWindow = 16;  // ranges of up to kBlockBytes
  /// While there are clients a range begins after so many of their requests, or when none is left:
  /// a request has to queue behind what is under way.
  static constexpr std::size_t kRequestsPerRange = 5;
  /// So many ranges after the last request was answered there are none: about a millisecond.
  static constexpr std::size_t kSharedRanges = 16;

  Resync(Volume& volume, std::size_t window, Observer& observer);
  ~Resync();

  /// Connected, and the merged map is durable.
  void start();
  /// The link is gone. Ranges on their way end as failed.
  void stop();
  /// A write left these extents different again: copies in progress do not count.
  void invalidate(ExtentRange extents);
  /// A client asks for something: from now on requests and ranges take turns.
  void client_asked();
  /// The last one that waited for something has its answer.
  void clients_rest() { resume(); }
  /// Once a second: a request may wait for this very resync (INV-13), so it does not wait for
  /// turns.
  void tick();

  bool running() const { return running_; }
  bool idle() const { return in_flight_ == 0; }
  std::size_t in_flight() const { return in_flight_; }  // ranges
  std::uint64_t copied_bytes() const { return copied_bytes_; }
  std::uint64_t total_bytes() const { return total_bytes_; }

 private:
  struct OpenExtent {
    std::uint64_t extent = 0;
    std::uint32_t in_flight = 0;
    bool all_issued = false;
    bool failed = false;
  };
  struct Range : ListNode<Range> {
    Resync* resync = nullptr;
    RangeClaim claim;
    port::DiskOp disk;
    RemoteOp remote;
    std::byte* data = nullptr;
    std::uint64_t extent = 0;
    bool pull = false;
    std::uint64_t length() const { return claim.end - claim.begin; }
  };

  struct Piece {
    std::uint64_t extent = 0;
    std::uint64_t begin = 0;  // bytes in the volume
    std::uint64_t end = 0;
    bool ends_extent = false;
  };

  void pump();
  void resume();
  bool may_begin() const;
  std::optional<Piece> next_piece();
  void issue(const Piece& piece);
  void locked(Range& range);
  void disk_done(port::DiskOp& op);
  void remote_done(RemoteOp& op);
  void submit_disk(Range& range, IoKind kind);
  void send(Range& range, IoKind kind);
  void range_done(Range& range, int error, IoKind io);
  void close_finished_extents();
  OpenExtent& open(std::uint64_t extent);

  Volume& volume_;
  Observer& observer_;
  AlignedBuffer buffers_;
  std::deque<Range> ranges_;  // a deque: ranges have nodes and never move
  IntrusiveList<Range, Range> idle_;
  std::vector<OpenExtent> open_;  // few: those of the window
  std::size_t in_flight_ = 0;
  std::size_t shared_ranges_ = 0;
  std::size_t requests_ = 0;  // of clients, since the last range began
  bool running_ = false;
  bool pass_over_ = false;
  std::uint64_t cursor_extent_ = 0;
  std::uint64_t cursor_begin_ = 0;  // within cursor_extent_; 0: nothing of it was issued yet
  std::uint64_t copied_bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace hast::core
