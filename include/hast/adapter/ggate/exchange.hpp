// An exchange: one request of the kernel from START to DONE, and the buffer its data pass through.
// A fixed number of them exists; the intake fills them, the pump works on them. Owned by the
// intake.
#pragma once

#include <cstdint>
#include <memory>

#include "hast/adapter/ggate/gate_device.hpp"
#include "hast/base/intrusive_list.hpp"

namespace hast::adapter::ggate {

class Pump;

struct Exchange : ListNode<Exchange> {
  GateRequest request;
  std::unique_ptr<std::byte[]> memory;
  std::size_t capacity = 0;

  // The pump's.
  Pump* pump = nullptr;
  IoKind kind = IoKind::read;
  std::uint64_t next = 0;   // first byte that is not submitted
  std::uint64_t end = 0;    // of what is to be submitted
  std::size_t in_sink = 0;  // pieces
  bool flush_due = false;   // a flush is the one piece
  bool abandoned = false;   // not all of it was done, and not because of an error
  int error = 0;            // the first one

  ByteSpan buffer() const { return {memory.get(), capacity}; }
  /// What a read returns.
  ByteSpan data() const {
    if (request.command != GateCommand::read || request.length_bytes > capacity) return {};
    return {memory.get(), static_cast<std::size_t>(request.length_bytes)};
  }
  bool has_pending() const { return next < end || flush_due; }
  void end_submission() {
    next = end;
    flush_due = false;
  }
  /// False when there is not enough memory, or more is wanted than a request may have.
  bool make_room(std::uint64_t bytes);
};

using ExchangeList = IntrusiveList<Exchange, Exchange>;

/// More than any request has: the largest record of ZFS is 16 MiB, and what comes through /dev is
/// at most kern.maxphys (1 MiB unless it was raised).
inline constexpr std::uint64_t kMaxRequestBytes = 32 * 1024 * 1024;

}  // namespace hast::adapter::ggate
