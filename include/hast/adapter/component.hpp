// Component: the regular file or block device (FreeBSD: GEOM provider) that holds metadata, map and
// data of one resource on this node. Calls block and may come from any thread; results are errno of
// this host, 0 for success. The two platforms differ only behind src/adapter/component_os.hpp.
// Whoever opened it owns it; the lock lasts as long as the object.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "hast/base/bytes.hpp"
#include "hast/base/log.hpp"
#include "hast/base/result.hpp"
#include "hast/port/disk.hpp"

namespace hast::adapter {

enum class ComponentKind : std::uint8_t { file, device };

enum class Access : std::uint8_t {
  exclusive,  // read and write, locked against everyone else: hastd, hastctl create
  unlocked,   // read and write beside a holder of the lock
  read_only,  // no lock either: hastctl dump on a component in use
};

/// What DIOCGDELETE leaves behind on a FreeBSD provider is up to the provider. Refused, discards of
/// providers answer EOPNOTSUPP; trusted, the operator knows that deleted ranges read as zeros
/// (ZFS volumes, md(4)). Linux has a call that promises zeros and needs no trust.
enum class DeviceDelete : std::uint8_t { refused, trusted };

struct ComponentOptions {
  Access access = Access::exclusive;
  IoMode io = IoMode::automatic;  // direct needs buffers aligned to port::kBufferAlignment
  DeviceDelete device_delete = DeviceDelete::refused;
};

class Component {
 public:
  /// Errors: component_not_found, component_unsupported, component_busy, io_failed; the detail
  /// names the path. Blocks briefly (at most 0.1 s for a lock that udev may hold).
  static Result<std::unique_ptr<Component>> open(const std::string& path,
                                                 ComponentOptions options = {});
  ~Component();
  Component(const Component&) = delete;
  Component& operator=(const Component&) = delete;

  /// Who closes the descriptor when this object goes, instead of the destructor.
  void close_by(std::function<void(int fd)> closer) { closer_ = std::move(closer); }

  const std::string& path() const { return path_; }
  ComponentKind kind() const { return kind_; }
  int fd() const { return fd_; }
  /// Past the page cache.
  bool is_direct() const { return direct_; }
  const port::DiskGeometry& geometry() const { return geometry_; }

  /// Exact length: the end of a file that shrank is EIO, a range past geometry() EINVAL.
  int read(std::uint64_t offset_bytes, ByteSpan into);
  int write(std::uint64_t offset_bytes, ConstByteSpan from);

  /// Both leave zeros to be read. discard() gives the space back and answers EOPNOTSUPP where the
  /// kernel cannot; write_zeroes() then writes them.
  int discard(std::uint64_t offset_bytes, std::uint64_t length_bytes);
  int write_zeroes(std::uint64_t offset_bytes, std::uint64_t length_bytes);

  /// Everything completed before is on stable storage. A failure is kept: after one nobody knows
  /// which writes the kernel dropped, and it would report success next time, so every later flush
  /// and durable write fails alike until the component is opened again, or flush_again() (INV-4).
  int flush();
  /// On stable storage when it returns; says nothing of other writes. Cheaper than a flush where
  /// much is dirty. A failure is that of a flush.
  int write_durably(std::uint64_t offset_bytes, ConstByteSpan from);
  void flush_again() { flush_error_ = 0; }

 private:
  Component(int fd, std::string path, ComponentKind kind, ComponentOptions options);
  void try_direct();
  bool contains(std::uint64_t offset_bytes, std::uint64_t length_bytes) const;
  int write_zero_bytes(std::uint64_t offset_bytes, std::uint64_t length_bytes);
  int remember_refusal(std::atomic<bool>& refused, int error, const char* what);

  int fd_;
  std::function<void(int)> closer_;
  std::string path_;
  ComponentKind kind_;
  ComponentOptions options_;
  port::DiskGeometry geometry_;
  bool direct_ = false;
  std::atomic<bool> discard_refused_{false};
  std::atomic<bool> zeroing_refused_{false};
  std::atomic<bool> flush_refused_{false};
  std::atomic<bool> durable_writes_refused_{false};
  std::mutex flush_mutex_;  // one at a time: the kernel tells a failure to one caller only
  std::atomic<int> flush_error_{0};
  Log log_;
};

}  // namespace hast::adapter
