// The two halves of a client's way in. A Frontend (NBD export, GEOM gate device) takes requests
// from clients; a RequestSink (core::Primary) executes them. All on the resource's executor.
//
// The sink owns a fixed pool of request slots, each with its buffer: a front-end acquires one,
// receives straight into it, submits it, and releases it when the answer has left. When no slot is
// free it stops reading: that is the back-pressure, nothing queues.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "hast/base/intrusive_list.hpp"
#include "hast/base/result.hpp"
#include "hast/base/types.hpp"

namespace hast::port {

/// Reads and writes never cross a multiple of this, so each lies in one block: front-ends split
/// larger requests there. It is also the largest READ or WRITE an original of FreeBSD 12 or older
/// accepts (wire-protocol §6.1).
inline constexpr std::uint32_t kBlockBytes = 128 * 1024;

/// The most a discard or write_zeroes request may cover: bounds the time one of them takes.
inline constexpr std::uint64_t kMaxDiscardBytes = 32 * 1024 * 1024;

struct IoRequest {
  IoKind kind = IoKind::read;
  bool fua = false;                // durable on every node that is up before completion
  std::uint64_t offset_bytes = 0;  // in the volume; a multiple of the sector size
  std::uint64_t length_bytes = 0;  // read, write: within one block; 0 for flush
  std::byte* buffer = nullptr;     // kBlockBytes, owned by the slot, aligned to kBufferAlignment
  int error = 0;                   // errno of this host, valid when `completed` runs

  /// Runs exactly once per submit(), never from inside submit(). The slot stays the front-end's
  /// until release().
  void (*completed)(IoRequest&) = nullptr;
  void* owner = nullptr;
};

/// Someone who waits for a slot. Called once, in the order of waiting; acquire() then succeeds.
class SlotWaiter : public ListNode<SlotWaiter> {
 public:
  virtual void slot_freed() = 0;

 protected:
  ~SlotWaiter() = default;
};

struct VolumeInfo {
  std::uint64_t size_bytes = 0;
  std::uint32_t sector_bytes = 512;
};

class RequestSink {
 public:
  virtual ~RequestSink() = default;
  virtual VolumeInfo volume() const = 0;
  /// nullptr when none is free: then wait_for_slot(), which may be taken back by cancel_wait().
  virtual IoRequest* acquire() = 0;
  virtual void wait_for_slot(SlotWaiter& waiter) = 0;
  virtual void cancel_wait(SlotWaiter& waiter) = 0;
  /// Out-of-range, misaligned or oversized requests complete with EINVAL, they are no assertion.
  virtual void submit(IoRequest& request) = 0;
  virtual void release(IoRequest& request) = 0;
  /// What is submitted between these two goes out together, at the latter, and may complete in it.
  /// Without them it goes out when the loop has run what is ready.
  virtual void batch_begins() {}
  virtual void batch_ends() {}
};

/// The volume as it lies on this node's component.
struct LocalCopy {
  std::string path;                // of the component
  std::uint64_t offset_bytes = 0;  // there, of the volume's first byte
};

/// A way for clients to reach one resource, for as long as the resource is configured.
class Frontend {
 public:
  virtual ~Frontend() = default;
  /// Starts listening; clients are refused with the `reason` given to withdraw() until serve().
  virtual Result<void> start() = 0;
  /// Before the component is opened for a role: `done` runs when nothing that a former server left
  /// can hold that up.
  virtual void prepare(std::function<void()> done) { done(); }
  /// Opens the volume to clients. The sink outlives the matching withdraw().
  virtual Result<void> serve(RequestSink& sink) = 0;
  /// `done` runs once clients find what serve() opened, or it is clear that they will not.
  virtual void when_open(std::function<void()> done) { done(); }
  /// While serving: reads may be answered from there, past the sink, from now on and until this is
  /// called with nullopt: once that has returned, none may begin (INV-6). Serving begins without.
  virtual void read_from(const std::optional<LocalCopy>& copy) { (void)copy; }
  /// Closes the volume: clients are dropped, nothing new is submitted. (A device that waits for the
  /// next hastd may take requests for a moment longer, until one comes when it has none; those that
  /// fail are as good as not taken.) `done` runs once every slot is back with the sink. `reason` is
  /// what clients are told from now on, a clause such as "resource shared is secondary on this
  /// node".
  virtual void withdraw(std::string reason, std::function<void()> done) = 0;
  /// Stops listening. Withdrawn before. `done` runs once nothing refers to this object.
  virtual void stop(std::function<void()> done) = 0;
  /// Where clients find it, for status and logs: "nbd+unix:///shared?socket=/run/shared.sock".
  virtual std::string location() const = 0;
};

}  // namespace hast::port
