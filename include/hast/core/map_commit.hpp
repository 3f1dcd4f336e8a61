// The group commit of the activemap (INV-1): all writes that wait for new bits share one write of
// the changed pages, which are one durable write as a rule, or several and a flush. One commit at a
// time; whoever arrives meanwhile shares the next.
#pragma once

#include <array>
#include <cstdint>

#include "hast/core/buffer.hpp"
#include "hast/core/component.hpp"
#include "hast/core/dirty_map.hpp"
#include "hast/core/metadata_writer.hpp"

namespace hast::core {

class MapCommit {
 public:
  enum class Flush : std::uint8_t { yes, no };  // metaflush: on, off

  class Observer {
   public:
    /// The commit ended; `error` is 0 or an errno: then its pages are still due.
    virtual void map_committed(Ticket ticket, int error) = 0;

   protected:
    ~Observer() = default;
  };

  MapCommit(const Component& component, DirtyMap& map, Flush flush, Observer& observer);

  void set_flush(Flush flush) { flush_ = flush; }
  /// The ticket of the commit that will hold the present image; starts it when none runs.
  Ticket commit();
  bool idle() const { return !running_; }
  std::uint64_t commits() const { return ticket_; }

 private:
  static constexpr std::size_t kParallelWrites = 8;
  /// Runs of changed pages are written with one operation each, up to this length.
  static constexpr std::uint64_t kMaxRunPages = 64;

  void begin();
  std::uint64_t run_end(std::uint64_t first) const;
  bool is_one_run() const;
  bool write_next(port::DiskOp& op);
  void write_done(port::DiskOp& op);
  void flush_done(port::DiskOp& op);
  void writes_finished();
  void finish(int error);

  port::Disk& disk_;
  std::uint64_t map_bytes_;
  DirtyMap& map_;
  Flush flush_;
  Observer& observer_;
  Bitmap pages_;         // of the running commit
  AlignedBuffer image_;  // the pages of the running commit, at their places in the map
  std::array<port::DiskOp, kParallelWrites> writes_;
  port::DiskOp flush_op_;
  std::uint64_t next_page_ = 0;
  std::size_t in_flight_ = 0;
  int error_ = 0;
  Ticket ticket_ = 0;
  bool running_ = false;
  bool again_ = false;
  bool one_write_ = false;  // of the running commit, durable by itself
};

}  // namespace hast::core
