// UblkKernel: the kernel's ublk devices as the server of one of them sees them. The kernel's own is
// ublk_kernel(); tests have one that behaves like it. A device is found by the identity it was
// given, which the kernel keeps as long as the device exists, also when its server was killed: then
// its I/O waits for the next server. All calls come from the executor of the resource, which one
// thread runs. Owned by the front-end; serves at most one device at a time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "hast/base/bytes.hpp"
#include "hast/base/result.hpp"
#include "hast/port/frontend.hpp"

namespace hast::adapter::ublk {

/// What a client of the device wants, in the kernel's words: nothing of it has been checked.
struct Request {
  std::uint16_t tag = 0;       // names it towards the kernel; below kDepth
  std::optional<IoKind> kind;  // nullopt: an operation this version does not know
  bool fua = false;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
};

/// Requests the kernel hands out at once; the rest queues there.
inline constexpr std::uint16_t kDepth = 128;

/// A device that exists.
struct Device {
  std::uint32_t index = 0;  // of /dev/ublkbINDEX
  port::VolumeInfo volume;
  bool has_disk = true;  // false: it was never started, or is being removed
};

class UblkKernel {
 public:
  class Owner {
   public:
    virtual void arrived(const Request& request) = 0;
    /// The disk is there, or its requests flow again; or why not (errno).
    virtual void started(int error) = 0;
    /// The disk is gone, which stop() asked for; or why not (errno).
    virtual void stopped(int error) = 0;
    /// Somebody else stopped the device.
    virtual void lost() = 0;

   protected:
    ~Owner() = default;
  };

  virtual ~UblkKernel() = default;

  virtual std::vector<Device> find(std::uint64_t identity) = 0;
  /// Makes a device; serve() gives it its disk. Returns its index.
  virtual Result<std::uint32_t> add(std::uint64_t identity, const port::VolumeInfo& volume) = 0;
  /// Takes requests of a new device, or of one whose server is gone (`again`), and all that server
  /// has not answered. Returns before the disk is there: it is read from first. Error io_failed
  /// with EBUSY: the former server has not let go of it yet.
  virtual Result<void> serve(std::uint32_t index, bool again, Owner& owner) = 0;

  /// Of the device that is served. The data of a write, what a read returns; errno.
  virtual int load(const Request& request, ByteSpan into) = 0;
  virtual int store(const Request& request, ConstByteSpan from) = 0;
  virtual void finish(const Request& request, int error) = 0;
  /// Takes the disk away, open or not: what is not taken yet fails; what is, has to be finished
  /// before stopped() comes.
  virtual void stop() = 0;
  /// Lets go of the device, without a word to the owner from now on. What is not answered waits for
  /// the next server, unless the disk is gone.
  virtual void detach() = 0;

  /// Removes a device that nobody serves, and its disk, open or not.
  virtual Result<void> remove(std::uint32_t index) = 0;

  /// Makes /dev/hast/NAME stand for the device; whatever had the name before has it no more.
  virtual Result<void> link(std::string_view name, std::uint32_t index) = 0;
  /// Only if it stands for that device.
  virtual void unlink(std::string_view name, std::uint32_t index) = 0;
};

/// The kernel's. Errors: unsupported (no ublk driver in this kernel, or too old a one; built
/// without io_uring; no permission for it).
Result<std::unique_ptr<UblkKernel>> ublk_kernel(boost::asio::any_io_executor executor);

}  // namespace hast::adapter::ublk
