// Disk: a local component as the core sees it. The data plane is an intrusive operation: the caller
// owns the op and its buffer, both stay put until `completed` runs, exactly once, on the owner's
// executor, never from inside submit(). Operations may complete in any order; a flush makes durable
// every operation that had completed before the flush was submitted, a durable write itself alone.
// After one of them that failed nobody knows what is durable, so all fail until the disk is opened
// again, or told that everybody who relied on one has heard of it.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "hast/base/intrusive_list.hpp"
#include "hast/base/result.hpp"
#include "hast/base/types.hpp"

namespace hast::port {

struct DiskOp : ListNode<DiskOp> {
  IoKind kind = IoKind::read;
  std::uint64_t offset_bytes = 0;  // on the component, a multiple of the sector size
  std::uint64_t length_bytes = 0;  // a multiple of the sector size; 0 for flush
  std::byte* data = nullptr;       // read and write only; aligned to kBufferAlignment
  bool durable = false;            // a write that completes when it is on stable storage
  int error = 0;                   // errno of this host, 0 on success; a short transfer is EIO

  void (*completed)(DiskOp&) = nullptr;
  void* owner = nullptr;  // for the one who set `completed`
};

/// A component that cannot flush has nothing volatile as far as anybody knows: EOPNOTSUPP counts as
/// flushed (it is reported once elsewhere), everything else is an error.
constexpr int flush_result(int error) { return error == EOPNOTSUPP ? 0 : error; }

/// A failure of it says something of other operations, too.
constexpr bool is_promise(const DiskOp& op) { return op.kind == IoKind::flush || op.durable; }

/// Binds an op's completion to a member function: `completes_with<&Cls::read_done>(op, this)`.
template <auto method, class T>
void completes_with(DiskOp& op, T* owner) {
  op.owner = owner;
  op.completed = [](DiskOp& done) { (static_cast<T*>(done.owner)->*method)(done); };
}

/// Buffers given to disks are aligned so that direct I/O works on every sector size hast accepts.
inline constexpr std::size_t kBufferAlignment = 4096;

struct DiskGeometry {
  std::uint64_t size_bytes = 0;
  std::uint32_t sector_bytes = 512;
};

class Disk {
 public:
  virtual ~Disk() = default;
  virtual DiskGeometry geometry() const = 0;
  /// discard and write_zeroes both leave the range reading as zeros, so that two nodes stay equal
  /// byte for byte; where the kernel cannot, EOPNOTSUPP (discard) or written zeros (write_zeroes).
  virtual void submit(DiskOp& op) = 0;
  /// Submissions may be kept back until this call, which ends every turn of the owner's loop.
  virtual void kick() {}
  /// What a failed flush or durable write should have covered is not relied on any more: the next
  /// one may succeed.
  virtual void flush_again() {}
  /// kick() returns when all of them are done, as they are at once in memory.
  virtual bool completes_in_kick() const { return false; }
};

/// Opens components exclusively (locked against a second hastd).
class DiskOpener {
 public:
  using Opened = std::function<void(Result<std::unique_ptr<Disk>>)>;
  virtual ~DiskOpener() = default;
  /// `opened` may run before this returns. Errors: component_not_found, component_unsupported,
  /// component_busy, io_failed.
  virtual void open(const std::string& path, Opened opened) = 0;
  /// `closed` runs once all disks of this opener that were destroyed are closed, and not locked any
  /// more.
  virtual void when_closed(std::function<void()> closed) { closed(); }
  /// A new regular file of that size which takes no room yet, readable by its owner only, and the
  /// folder it is in. Blocking but brief. Errors: io_failed, also if there is such a file.
  virtual Result<std::unique_ptr<Disk>> create_sparse(const std::string& path,
                                                      std::uint64_t size_bytes) = 0;
  virtual void remove(const std::string& path) = 0;  // of what create_sparse() made
};

}  // namespace hast::port
