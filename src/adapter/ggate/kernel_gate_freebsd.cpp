// GEOM gate through /dev/ggctl. One descriptor serves all threads; START ignores O_NONBLOCK and the
// descriptor cannot be polled, hence the threads of the intake.
#include <sys/param.h>  // first: linker.h wants it

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/linker.h>
#include <sys/sysctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "../component_os.hpp"
#include "../confine.hpp"
#include "geom_tree.hpp"
#include "ggate_kernel.h"
#include "hast/adapter/ggate/gate_device.hpp"
#include "hast/base/units.hpp"

namespace hast::adapter::ggate {

namespace {

constexpr const char* kControlPath = "/dev/ggctl";
constexpr const char* kModule = "geom_gate";
constexpr const char* kTree = "kern.geom.confxml";
constexpr std::chrono::seconds kAnswerTime{1};
constexpr std::chrono::seconds kReadsEndTime{10};
constexpr std::chrono::milliseconds kReadsPause{10};

/// Ends a START that sleeps; all other threads of hastd are as little disturbed by it.
constexpr int kWakeSignal = SIGUSR1;

GateCommand command_of(hast_gate_command command) {
  switch (command) {
    case HAST_GATE_READ:
      return GateCommand::read;
    case HAST_GATE_WRITE:
      return GateCommand::write;
    case HAST_GATE_DELETE:
      return GateCommand::remove;
    case HAST_GATE_FLUSH:
      return GateCommand::flush;
    case HAST_GATE_OTHER:
      break;
  }
  return GateCommand::other;
}

/// The kernel looks names up in a table where a device that is being created has none yet, and
/// falls over it (seen in its source): whatever finds a device by its name waits for creations.
std::mutex names_mutex;

/// The kernel's own description of all its disks; empty if it gives none.
std::string geom_tree() {
  for (;;) {
    std::size_t size = 0;
    if (::sysctlbyname(kTree, nullptr, &size, nullptr, 0) != 0) return {};
    size += size / 4;  // it may grow meanwhile
    std::string tree(size, '\0');
    if (::sysctlbyname(kTree, tree.data(), &size, nullptr, 0) == 0) return tree.substr(0, size);
    if (errno != ENOMEM) return {};
  }
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// Of a device, without asking it for data.
Result<port::DiskGeometry> geometry_of(const std::string& path) {
  const Descriptor node(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (node.fd() < 0) return Error{Errc::io_failed, errno, path};
  Result<port::DiskGeometry> geometry = os::device_geometry(node.fd());
  if (!geometry) return Error{Errc::io_failed, geometry.error().os_error, path};
  return geometry;
}

/// Reads of the component that were under way when the kernel was told to ask us. The kernel tells
/// of them only while it looks at no new device. Should it just look at this one, which has no
/// server any more, that does not end before the device goes: then such reads are not waited for.
class DirectReads {
 public:
  explicit DirectReads(const std::string& gate) {
    try {
      thread_ = std::thread([this, gate] { look(gate); });
    } catch (const std::system_error&) {  // as if the kernel told nothing
    }
  }
  ~DirectReads() {
    given_up_ = true;
    if (thread_.joinable()) thread_.join();
  }
  /// False: they do not end.
  bool wait_for_end() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kAnswerTime, [this] { return told_; });
    if (!told_) return true;
    return changed_.wait_for(lock, kReadsEndTime, [this] { return ended_; });
  }

 private:
  void look(const std::string& gate) {
    bool ended = false;
    while (!ended && !given_up_) {
      ended = !reads_component(geom_tree(), gate);
      {
        const std::lock_guard lock(mutex_);
        told_ = true;
        ended_ = ended;
      }
      changed_.notify_all();
      if (!ended) std::this_thread::sleep_for(kReadsPause);
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool told_ = false;
  bool ended_ = false;
  std::atomic<bool> given_up_{false};
  std::thread thread_;
};

class KernelGate final : public GateDevice {
 public:
  KernelGate(int control, std::string name) : control_(control), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  int create(const port::VolumeInfo& volume) override {
    may_read_directly_ = false;
    const std::lock_guard lock(names_mutex);
    return hast_gate_create(control_.fd(), name_.c_str(), volume.size_bytes, volume.sector_bytes,
                            &unit_);
  }
  int adopt() override {
    may_read_directly_ = true;  // whoever left it may have begun that
    return cancel(unit_);
  }
  int resize(std::uint64_t size_bytes) override {
    return hast_gate_resize(control_.fd(), unit_, size_bytes);
  }
  int destroy() override {
    int unit = -1;  // by its name: the one we knew may be somebody else's by now
    if (const int error = cancel(unit)) return error;
    if (unit == unit_ && !may_read_directly_) return hast_gate_destroy(control_.fd(), unit);
    if (const int error = hast_gate_read_through(control_.fd(), unit)) return error;
    DirectReads reads(name_);
    return reads.wait_for_end() ? hast_gate_destroy(control_.fd(), unit) : EBUSY;
  }
  int remove_unseen() override {
    int unit = -1;
    if (has_node()) return 0;
    if (const int error = cancel(unit)) return error == ENXIO ? 0 : error;
    return hast_gate_destroy(control_.fd(), unit);
  }
  void wait_for_looks() override { (void)geom_tree(); }  // told when the looks before it are over
  bool has_node() override { return ::access(("/dev/" + name_).c_str(), F_OK) == 0; }

  Result<port::VolumeInfo> existing() override {
    const Result<port::DiskGeometry> found = geometry_of("/dev/" + name_);
    if (found) return port::VolumeInfo{found->size_bytes, found->sector_bytes};
    if (found.error().os_error == EACCES)
      return Error{Errc::unsupported, EACCES,
                   found.error().detail + " (devfs.rules(5) must let this user read its size)"};
    return found.error();
  }

  int read_from(const port::LocalCopy& copy, const port::VolumeInfo& volume) override {
    const Result<port::DiskGeometry> provider = geometry_of(copy.path);
    if (!provider || copy.offset_bytes % volume.sector_bytes != 0 ||
        !range_within(copy.offset_bytes, volume.size_bytes, provider->size_bytes))
      return EINVAL;
    const int error =
        hast_gate_read_from(control_.fd(), unit_, copy.path.c_str(), copy.offset_bytes);
    if (error != 0) return error;
    read_offset_ = copy.offset_bytes;
    may_read_directly_ = true;
    return 0;
  }
  int read_through() override {
    const int error = hast_gate_read_through(control_.fd(), unit_);
    const auto offset_bytes = std::exchange(read_offset_, std::nullopt);
    if (error != 0 || !offset_bytes) return error;
    const int still = hast_gate_reads_come(control_.fd(), unit_, *offset_bytes);
    may_read_directly_ = still != EBUSY;  // for what does not end destroy() does not wait
    return still;
  }

  Fetched fetch(ByteSpan buffer) override {
    hast_gate_request request{};
    const int error = hast_gate_start(control_.fd(), unit_, buffer.data(), buffer.size(), &request);
    return {error,
            {request.sequence, command_of(request.command), request.offset_bytes,
             request.length_bytes}};
  }
  int finish(std::uint64_t sequence, int error, ByteSpan data) override {
    return hast_gate_done(control_.fd(), unit_, sequence, error, data.data());
  }

  void thread_begins() override {
    sigset_t wake;
    sigemptyset(&wake);
    sigaddset(&wake, kWakeSignal);
    ::pthread_sigmask(SIG_UNBLOCK, &wake, nullptr);
  }
  void interrupt(std::thread& thread) override {
    ::pthread_kill(thread.native_handle(), kWakeSignal);
  }

 private:
  int cancel(int& unit) const {
    const std::lock_guard lock(names_mutex);
    return hast_gate_cancel(control_.fd(), name_.c_str(), &unit);
  }

  const Descriptor control_;
  const std::string name_;
  int unit_ = -1;                             // written before the threads start
  std::optional<std::uint64_t> read_offset_;  // while the kernel reads by itself
  bool may_read_directly_ = false;            // or have a moment ago
};

int open_control() { return ::open(kControlPath, O_RDWR | O_CLOEXEC); }

}  // namespace

Result<std::unique_ptr<GateDevice>> kernel_gate(std::string name) {
  int control = open_control();
  if (control < 0 && errno == ENOENT && ::kldload(kModule) >= 0) control = open_control();
  if (control < 0)
    return Error{Errc::unsupported, errno,
                 std::string(kControlPath) +
                     " (kldload geom_gate makes it, geom_gate_load=\"YES\" in loader.conf keeps "
                     "it; devfs.rules(5) lets others than root use it)"};
  const unsigned long* commands = nullptr;
  const std::size_t count = hast_gate_ioctls(&commands);
  confine_to_ioctls(control, std::span(commands, count));

  struct sigaction wake {};
  wake.sa_handler = [](int) {};  // without SA_RESTART: the call ends
  ::sigaction(kWakeSignal, &wake, nullptr);
  return std::unique_ptr<GateDevice>(std::make_unique<KernelGate>(control, std::move(name)));
}

}  // namespace hast::adapter::ggate
