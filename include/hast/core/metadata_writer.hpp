// Makes the metadata durable: copy one, flush, copy two, flush (INV-10), one commit at a time;
// changes that arrive meanwhile share the next one. A failure is reported, never swallowed (INV-4).
#pragma once

#include <cstdint>
#include <optional>

#include "hast/core/buffer.hpp"
#include "hast/core/component.hpp"

namespace hast::core {

/// Numbers commits, from 1. A commit covers every change made before it began.
using Ticket = std::uint64_t;

class MetadataWriter {
 public:
  class Observer {
   public:
    /// The commit ended; `error` is 0 or an errno. Tickets end in order.
    virtual void metadata_committed(Ticket ticket, int error) = 0;

   protected:
    ~Observer() = default;
  };

  MetadataWriter(const Component& component, Observer& observer);

  const ondisk::Metadata& metadata() const { return metadata_; }
  /// The caller changes fields here and then calls commit().
  ondisk::Metadata& change() { return metadata_; }
  /// The ticket of the commit that will hold the present fields.
  Ticket commit();
  /// The caller has put fields back after a commit that failed. One that began meanwhile stores
  /// them as they were, so another follows it.
  void taken_back() { again_ = again_ || running_; }
  bool idle() const { return !running_; }
  /// False from a commit that failed to the next that does not: its fields may be on the platter.
  bool is_durable() const { return durable_sequence_ == metadata_.sequence; }
  /// The sequence number of the newest metadata known to be on stable storage.
  std::uint64_t durable_sequence() const { return durable_sequence_; }
  /// Idle only. The next commit goes to another component of the same layout, or to the same one
  /// after who knows what.
  void continue_on(const Component& component);

 private:
  enum class Step : std::uint8_t { write_first, flush_first, write_second, flush_second };

  void begin();
  void submit(Step step);
  void step_done(port::DiskOp& op);
  void finish(int error);

  port::Disk& disk_;
  std::optional<std::uint64_t> second_copy_;
  ondisk::Metadata metadata_;
  Observer& observer_;
  AlignedBuffer block_;
  port::DiskOp op_;
  Step step_ = Step::write_first;
  bool reversed_;  // the second copy first, because the first is the only good one
  std::uint64_t durable_sequence_;
  std::uint64_t written_sequence_ = 0;  // of the commit that runs, or ran last
  Ticket ticket_ = 0;                   // of the commit that runs, or ran last
  bool running_ = false;
  bool again_ = false;
};

}  // namespace hast::core
