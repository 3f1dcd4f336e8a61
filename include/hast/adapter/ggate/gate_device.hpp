// GateDevice: one device of GEOM gate as its server sees it, named when it was made. The kernel's
// is kernel_gate(); tests have one that behaves as a kernel was observed to behave. All calls come
// from the executor of the resource, except those that may wait for requests of this or another
// device to be answered: fetch(), resize(), destroy(), remove_unseen() and wait_for_looks() come
// from threads of their own, one at a time but for fetch(). Results are errno of this host, 0 for
// success. Owned by the front-end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "hast/base/bytes.hpp"
#include "hast/base/result.hpp"
#include "hast/port/frontend.hpp"

namespace hast::adapter::ggate {

/// `other`: a command this version does not know; it is refused.
enum class GateCommand : std::uint8_t { read, write, remove, flush, other };

/// What a client of the device wants, in the kernel's words: nothing of it has been checked.
struct GateRequest {
  std::uint64_t sequence = 0;  // names it towards finish()
  GateCommand command = GateCommand::other;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
};

/// Outcome of fetch().
struct Fetched {
  /// 0: `request` was taken. ECANCELED: the device is being destroyed, or interrupt(). EINTR: a
  /// signal. ENXIO: there is no such device any more. ENOMEM: the next request is a write of
  /// request.length_bytes, which `buffer` cannot hold; it stays where it is.
  int error = 0;
  GateRequest request{};
};

class GateDevice {
 public:
  virtual ~GateDevice() = default;

  /// "hast/shared" for /dev/hast/shared.
  virtual const std::string& name() const = 0;

  /// Brings the device into being; its requests are this object's. EEXIST: there is one of that
  /// name, see adopt(). Returns before the node in /dev exists: those who look at new devices read
  /// from it first, and are answered by fetch() and finish().
  virtual int create(const port::VolumeInfo& volume) = 0;
  /// Size and sector size of the device that has the name. Error ENOENT: it has no node in /dev.
  virtual Result<port::VolumeInfo> existing() = 0;
  /// Takes over the device that has the name: all requests that were taken from it and not finished
  /// can be fetched again, first and in their order. ENXIO: there is none.
  virtual int adopt() = 0;
  virtual int resize(std::uint64_t size_bytes) = 0;
  /// Removes the device that has the name, open or not: everything queued or taken fails with
  /// ENXIO. ENXIO: there is none. EBUSY: the kernel is reading from the component by itself, and
  /// does not come to an end; it would fall over a device that goes meanwhile.
  virtual int destroy() = 0;
  /// It can be found in /dev.
  virtual bool has_node() = 0;
  /// Removes the device that has the name if it never had a node: its server died while the kernel
  /// looked at it, and the kernel goes on waiting. Till then nobody opens or closes any disk for
  /// writing, that server included, whose component stays locked.
  virtual int remove_unseen() = 0;
  /// Returns when the kernel has looked at all devices, new or just closed, that it was to look at.
  virtual void wait_for_looks() = 0;

  /// From now on the kernel answers reads from there by itself; it asks for those that fail.
  /// Errors, with nothing changed: EINVAL (no provider of GEOM, or the volume does not lie in it),
  /// ENXIO, whatever opening it gives.
  virtual int read_from(const port::LocalCopy& copy, const port::VolumeInfo& volume) = 0;
  /// Ends that, whoever began it: once this has returned, no such read begins. ENXIO: there is no
  /// device. EBUSY: the kernel goes on; destroy() does not wait for it then.
  virtual int read_through() = 0;

  /// Blocks until there is a request; a write's data are then in `buffer`. Any number of threads.
  virtual Fetched fetch(ByteSpan buffer) = 0;
  /// Answers a request; `data` are what a read returns. A request that is not known any more is
  /// no error; ENOENT: there is no device. EAGAIN as `error` would put it back.
  virtual int finish(std::uint64_t sequence, int error, ByteSpan data) = 0;

  /// First call of every thread that fetches.
  virtual void thread_begins() {}
  /// Wakes `thread` if it sleeps in fetch() at this moment; else nothing happens: repeat it.
  virtual void interrupt(std::thread& thread) = 0;
};

/// The kernel's. Errors: unsupported (no GEOM gate in this system, or no permission for it).
Result<std::unique_ptr<GateDevice>> kernel_gate(std::string name);

}  // namespace hast::adapter::ggate
