// Rewrites what the local component could not read with what the peer holds, so that the disk can
// put the sectors elsewhere (INV-11). One range at a time, read from the peer again under its range
// lock: what was read for the client may have been overwritten since. What is asked for beyond a
// short queue is forgotten: the next failed read asks again.
#pragma once

#include <array>
#include <cstdint>

#include "hast/core/buffer.hpp"
#include "hast/core/volume.hpp"

namespace hast::core {

class ReadRepair {
 public:
  class Observer {
   public:
    /// True if the peer certainly holds the newest acknowledged data of the range, and this node's
    /// copy is meant to be the same (INV-6).
    virtual bool may_repair(std::uint64_t offset_bytes, std::uint64_t length_bytes) const = 0;
    /// The local component was written; `error` is 0 or its errno.
    virtual void repair_ended(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                              int error) = 0;
    virtual void repairs_idle() = 0;

   protected:
    ~Observer() = default;
  };

  static constexpr std::size_t kQueue = 32;

  ReadRepair(Volume& volume, Observer& observer);

  /// At most kBlockBytes, within the volume.
  void ask(std::uint64_t offset_bytes, std::uint64_t length_bytes);
  /// Forgets what waits; the range at work ends by itself.
  void stop() { waiting_ = 0; }
  bool idle() const { return !working_ && waiting_ == 0; }

 private:
  struct Range {
    std::uint64_t offset_bytes = 0;
    std::uint64_t length_bytes = 0;
    bool operator==(const Range&) const = default;
  };

  void begin_next();
  void locked();
  void remote_done(const RemoteOp& op);
  void disk_done(const port::DiskOp& op);
  void end();
  bool allowed() const;
  std::uint64_t length() const { return claim_.end - claim_.begin; }

  Volume& volume_;
  Observer& observer_;
  AlignedBuffer buffer_;
  std::array<Range, kQueue> queue_{};  // of which the first waiting_ are in use
  std::size_t waiting_ = 0;
  bool working_ = false;
  RangeClaim claim_;
  RemoteOp remote_;
  port::DiskOp disk_;
};

}  // namespace hast::core
