#include "hast/adapter/ublk/kernel.hpp"

#include "../loop_ring_linux.hpp"

#if __has_include(<liburing.h>) && __has_include(<linux/ublk_cmd.h>)
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/ublk_cmd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>

#include "../device_link_linux.hpp"
#include "hast/base/assert.hpp"
#include "hast/base/log.hpp"
#include "hast/base/units.hpp"

namespace hast::adapter::ublk {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kControl = "/dev/ublk-control";
constexpr const char* kCharacterDevices = "/sys/class/ublk-char";
constexpr unsigned kSectorShift = 9;  // of every number of sectors here

// Since Linux 6.5; the headers may be older.
constexpr std::uint64_t kUserCopy = 1U << 7;  // data are read and written on the character device
constexpr unsigned kTagShift = 25;            // of the place of a request's data there
constexpr unsigned kDeleteAsync = 0x14;

constexpr unsigned control_code(unsigned number) {
  return _IOC(_IOC_READ | _IOC_WRITE, 'u', number, sizeof(ublksrv_ctrl_cmd));
}
constexpr unsigned io_code(unsigned number) {
  return _IOC(_IOC_READ | _IOC_WRITE, 'u', number, sizeof(ublksrv_io_cmd));
}
static_assert(sizeof(ublksrv_ctrl_cmd) == 32);
static_assert(sizeof(ublksrv_io_cmd) == 16);
static_assert(sizeof(ublksrv_ctrl_dev_info) == 64);
static_assert(sizeof(ublksrv_io_desc) == 24);

constexpr std::uint64_t kFlags = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE | kUserCopy;
constexpr std::uint64_t kDescriptorBytes = kDepth * sizeof(ublksrv_io_desc);

// What completions are of: a tag, or one of these.
constexpr std::uint64_t kStarted = 1U << 16;
constexpr std::uint64_t kStopped = kStarted + 1;

std::string name_of(std::uint32_t index) { return fmt::format("ublkb{}", index); }

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

io_uring_sqe* prepare(io_uring* ring, int fd, unsigned code, std::uint64_t user_data) {
  io_uring_sqe* sqe = io_uring_get_sqe(ring);
  HAST_ASSERT(sqe != nullptr);
  std::memset(sqe, 0, 2 * sizeof *sqe);  // IORING_SETUP_SQE128
  io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, nullptr, 0, 0);
  sqe->cmd_op = code;
  io_uring_sqe_set_data64(sqe, user_data);
  return sqe;
}

ublksrv_ctrl_cmd command_for(std::uint32_t index) {
  ublksrv_ctrl_cmd command{};
  command.dev_id = index;
  command.queue_id = static_cast<std::uint16_t>(-1);
  return command;
}

void put_command(io_uring_sqe* sqe, const ublksrv_ctrl_cmd& command) {
  std::memcpy(sqe->cmd, &command, sizeof command);
}

/// Commands to the driver that are answered at once, more or less.
class Control {
 public:
  ~Control() {
    if (is_set_up_) io_uring_queue_exit(&ring_);
  }
  Result<void> open() {
    descriptor_ = Descriptor(::open(kControl, O_RDWR | O_CLOEXEC));
    if (descriptor_.get() < 0) return unavailable(errno);
    const int error = io_uring_queue_init(4, &ring_, IORING_SETUP_SQE128);
    is_set_up_ = error == 0;
    if (error != 0) return Error{Errc::unsupported, -error, "ublk devices need io_uring"};
    return {};
  }
  int fd() const { return descriptor_.get(); }

  /// errno.
  int ask(unsigned number, const ublksrv_ctrl_cmd& command) {
    put_command(prepare(&ring_, descriptor_.get(), control_code(number), 0), command);
    while (io_uring_sq_ready(&ring_) > 0) {
      const int submitted = io_uring_submit(&ring_);
      if (submitted < 0 && submitted != -EINTR) return -submitted;
    }
    io_uring_cqe* cqe = nullptr;
    while (const int error = io_uring_wait_cqe(&ring_, &cqe)) {
      if (error != -EINTR) return -error;
    }
    const int result = cqe->res;
    io_uring_cqe_seen(&ring_, cqe);
    return result < 0 ? -result : 0;
  }

 private:
  static Error unavailable(int error) {
    if (error == ENOENT)
      return Error{Errc::unsupported, 0,
                   "this kernel has no ublk devices; load the driver (modprobe ublk_drv, Linux 6.5 "
                   "or newer), or set frontend: {type: nbd-device}"};
    if (error == EPERM || error == EACCES)
      return Error{Errc::unsupported, error,
                   std::string(kControl) + ": hastd needs the capability CAP_SYS_ADMIN for it"};
    return Error{Errc::io_failed, error, kControl};
  }

  Descriptor descriptor_;
  io_uring ring_{};
  bool is_set_up_ = false;
};

/// A device as long as it is served: its character device, the ring, and what the kernel writes
/// about its requests.
class Service {
 public:
  Service(const boost::asio::any_io_executor& executor, UblkKernel::Owner& owner)
      : owner_(owner), ring_(executor) {}
  ~Service() {
    if (descriptors_ != nullptr) ::munmap(descriptors_, kDescriptorBytes);
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  Result<void> open(std::uint32_t index) {
    const std::string path = fmt::format("/dev/ublkc{}", index);
    // The node of a device that was just made may take a moment where udev makes it.
    for (int i = 0; i < 100; ++i) {
      device_ = Descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
      if (device_.get() >= 0 || errno != ENOENT) break;
      std::this_thread::sleep_for(1ms);
    }
    if (device_.get() < 0) return Error{Errc::io_failed, errno, path};
    void* at = ::mmap(nullptr, kDescriptorBytes, PROT_READ, MAP_SHARED, device_.get(),
                      UBLKSRV_CMD_BUF_OFFSET);
    if (at == MAP_FAILED) return Error{Errc::io_failed, errno, path};
    descriptors_ = at;
    if (const int error = ring_.set_up(2 * kDepth, IORING_SETUP_SQE128))
      return Error{Errc::io_failed, error, "io_uring"};
    for (std::uint16_t tag = 0; tag < kDepth; ++tag) put_io(tag, UBLK_IO_FETCH_REQ, 0);
    return {};
  }

  /// A command to the driver that waits for requests to be served.
  void control(int fd, unsigned number, const ublksrv_ctrl_cmd& command, std::uint64_t user_data) {
    put_command(prepare(ring_.uring(), fd, control_code(number), user_data), command);
    stopping_ = stopping_ || user_data == kStopped;
  }
  /// Nobody is told anything any more; true if the kernel has nothing of this ring left.
  bool end() {
    alive_.reset();
    ring_.silence();
    return ended_ == kDepth;
  }
  void submit() {
    if (!ring_.submit()) submit_later();
  }
  void listen() {
    ring_.wait([this] { turn(); });
  }

  void finish(const Request& request, int error) {
    const bool sized = request.kind != IoKind::flush && error == 0;
    put_io(request.tag, UBLK_IO_COMMIT_AND_FETCH_REQ,
           error != 0 ? -error : static_cast<std::int32_t>(sized ? request.length_bytes : 0));
    submit_later();
  }
  int load(const Request& request, ByteSpan into) {
    const ssize_t bytes = ::pread(device_.get(), into.data(), into.size(), place_of(request.tag));
    return outcome(bytes, into.size());
  }
  int store(const Request& request, ConstByteSpan from) {
    const ssize_t bytes = ::pwrite(device_.get(), from.data(), from.size(), place_of(request.tag));
    return outcome(bytes, from.size());
  }

 private:
  static off_t place_of(std::uint16_t tag) {
    return static_cast<off_t>(UBLKSRV_IO_BUF_OFFSET + (std::uint64_t{tag} << kTagShift));
  }
  static int outcome(ssize_t bytes, std::size_t wanted) {
    if (bytes < 0) return errno;
    return static_cast<std::size_t>(bytes) == wanted ? 0 : EIO;
  }

  void put_io(std::uint16_t tag, unsigned number, std::int32_t result) {
    io_uring_sqe* sqe = prepare(ring_.uring(), device_.get(), io_code(number), tag);
    ublksrv_io_cmd command{};
    command.tag = tag;
    command.result = result;
    std::memcpy(sqe->cmd, &command, sizeof command);
  }

  /// What a turn of the loop has finished goes to the kernel together.
  void submit_later() {
    if (std::exchange(submission_posted_, true)) return;
    ring_.post([this] {
      submission_posted_ = false;
      submit();
    });
  }

  /// The owner may let go of the device, and so of this object, in any of its calls.
  void turn() {
    listen();
    ring_.get_events();
    const std::weak_ptr<bool> alive = alive_;
    io_uring_cqe* cqe = nullptr;
    while (!alive.expired() && io_uring_peek_cqe(ring_.uring(), &cqe) == 0) {
      const std::uint64_t what = io_uring_cqe_get_data64(cqe);
      const int result = cqe->res;
      io_uring_cqe_seen(ring_.uring(), cqe);
      happened(what, result);
    }
  }

  void happened(std::uint64_t what, int result) {
    if (what == kStarted) return owner_.started(-result);
    if (what == kStopped && result != 0) return owner_.stopped(-result);
    if (what == kStopped) {
      stopped_ = true;
    } else if (result == UBLK_IO_RES_OK) {
      return owner_.arrived(request_of(static_cast<std::uint16_t>(what)));
    } else {
      ++ended_;  // the tag is over: the device is being stopped
    }
    if (ended_ < kDepth) return;
    if (stopped_) return owner_.stopped(0);
    if (!stopping_) owner_.lost();
  }

  Request request_of(std::uint16_t tag) const {
    const ublksrv_io_desc io = static_cast<const ublksrv_io_desc*>(descriptors_)[tag];
    Request request;
    request.tag = tag;
    request.fua = (io.op_flags & UBLK_IO_F_FUA) != 0;
    request.offset_bytes = io.start_sector << kSectorShift;
    request.length_bytes = std::uint64_t{io.nr_sectors} << kSectorShift;
    switch (ublksrv_get_op(&io)) {
      case UBLK_IO_OP_READ:
        request.kind = IoKind::read;
        break;
      case UBLK_IO_OP_WRITE:
        request.kind = IoKind::write;
        break;
      case UBLK_IO_OP_DISCARD:
        request.kind = IoKind::discard;
        break;
      case UBLK_IO_OP_FLUSH:
        request.kind = IoKind::flush;
        break;
      default:
        break;
    }
    return request;
  }

  UblkKernel::Owner& owner_;
  Descriptor device_;
  void* descriptors_ = nullptr;
  LoopRing ring_;  // ends before the device is closed
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::size_t ended_ = 0;  // tags
  bool stopping_ = false;
  bool stopped_ = false;
  bool submission_posted_ = false;
};

class DriverUblk final : public UblkKernel {
 public:
  DriverUblk(std::unique_ptr<Control> control, boost::asio::any_io_executor executor)
      : control_(std::move(control)), executor_(std::move(executor)) {}
  ~DriverUblk() override { detach(); }

  std::vector<Device> find(std::uint64_t identity) override {
    std::vector<Device> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(kCharacterDevices, error)) {
      const std::optional<std::uint32_t> index = index_of(entry.path());
      if (!index) continue;
      const std::optional<ublksrv_ctrl_dev_info> info = info_of(*index);
      if (!info || info->ublksrv_flags != identity) continue;
      found.push_back({*index, volume_of(*index), info->state != UBLK_S_DEV_DEAD});
    }
    return found;
  }

  Result<std::uint32_t> add(std::uint64_t identity, const port::VolumeInfo& volume) override {
    ublksrv_ctrl_dev_info info{};
    info.nr_hw_queues = 1;
    info.queue_depth = kDepth;
    info.max_io_buf_bytes = port::kBlockBytes;
    info.dev_id = static_cast<std::uint32_t>(-1);  // any
    info.ublksrv_pid = ::getpid();
    info.flags = kFlags;
    info.ublksrv_flags = identity;
    ublksrv_ctrl_cmd command = command_for(info.dev_id);
    if (const int error = ask_with(UBLK_CMD_ADD_DEV, command, info)) return failure(error);
    if ((info.flags & kFlags) != kFlags) {
      (void)remove(info.dev_id);
      return Error{Errc::unsupported, 0, "its ublk driver is too old: Linux 6.5 or newer"};
    }
    ublk_params parameters = parameters_of(volume);
    command = command_for(info.dev_id);
    if (const int error = ask_with(UBLK_CMD_SET_PARAMS, command, parameters)) {
      (void)remove(info.dev_id);
      return failure(error);
    }
    return info.dev_id;
  }

  Result<void> serve(std::uint32_t index, bool again, Owner& owner) override {
    HAST_ASSERT(!service_);
    if (again) {
      const int error = control_->ask(UBLK_CMD_START_USER_RECOVERY, command_for(index));
      if (error != 0) return failure(error);
    }
    auto service = std::make_unique<Service>(executor_, owner);
    if (Result<void> opened = service->open(index); !opened) return opened;
    ublksrv_ctrl_cmd command = command_for(index);
    command.data[0] = static_cast<std::uint64_t>(::getpid());
    service->control(control_->fd(), again ? UBLK_CMD_END_USER_RECOVERY : UBLK_CMD_START_DEV,
                     command, kStarted);
    service->submit();
    service->listen();
    service_ = std::move(service);
    index_ = index;
    return {};
  }

  int load(const Request& request, ByteSpan into) override { return service_->load(request, into); }
  int store(const Request& request, ConstByteSpan from) override {
    return service_->store(request, from);
  }
  void finish(const Request& request, int error) override { service_->finish(request, error); }
  void stop() override {
    service_->control(control_->fd(), UBLK_CMD_STOP_DEV, command_for(index_), kStopped);
    service_->submit();
  }
  /// A ring that the driver still has commands of may only end with the process: closed before, it
  /// corrupts the kernel's memory (Linux 6.12, each of four guests died).
  void detach() override {
    if (service_ && !service_->end()) (void)service_.release();
    service_.reset();
  }

  /// The driver forgets it once nobody has it open.
  Result<void> remove(std::uint32_t index) override {
    if (const int error = control_->ask(UBLK_CMD_STOP_DEV, command_for(index)))
      return failure(error);
    if (const int error = control_->ask(kDeleteAsync, command_for(index))) return failure(error);
    return {};
  }

  Result<void> link(std::string_view name, std::uint32_t index) override {
    return link_device(name, name_of(index));
  }
  void unlink(std::string_view name, std::uint32_t index) override {
    unlink_device(name, name_of(index));
  }

 private:
  static Error failure(int error) { return {Errc::io_failed, error, "ublk"}; }

  static std::optional<std::uint32_t> index_of(const fs::path& device) {
    const std::string name = device.filename().string();
    constexpr std::string_view kPrefix = "ublkc";
    if (!name.starts_with(kPrefix)) return std::nullopt;
    std::uint32_t index = 0;
    const char* const begin = name.data() + kPrefix.size();
    const char* const end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(begin, end, index);
    if (error != std::errc{} || rest != end) return std::nullopt;
    return index;
  }

  template <class T>
  int ask_with(unsigned number, ublksrv_ctrl_cmd& command, T& buffer) {
    command.addr = reinterpret_cast<std::uint64_t>(&buffer);
    command.len = sizeof buffer;
    return control_->ask(number, command);
  }

  std::optional<ublksrv_ctrl_dev_info> info_of(std::uint32_t index) {
    ublksrv_ctrl_dev_info info{};
    ublksrv_ctrl_cmd command = command_for(index);
    if (ask_with(UBLK_CMD_GET_DEV_INFO, command, info) != 0) return std::nullopt;
    return info;
  }

  port::VolumeInfo volume_of(std::uint32_t index) {
    ublk_params parameters{};
    parameters.len = sizeof parameters;
    ublksrv_ctrl_cmd command = command_for(index);
    if (ask_with(UBLK_CMD_GET_PARAMS, command, parameters) != 0) return {0, 0};
    return {parameters.basic.dev_sectors << kSectorShift,
            std::uint32_t{1} << parameters.basic.logical_bs_shift};
  }

  static ublk_params parameters_of(const port::VolumeInfo& volume) {
    constexpr std::uint32_t kBlockSectors = port::kBlockBytes >> kSectorShift;
    constexpr std::uint8_t kPageShift = 12;
    ublk_params parameters{};
    parameters.len = sizeof parameters;
    parameters.types = UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_DISCARD;
    ublk_param_basic& basic = parameters.basic;
    basic.attrs = UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA;
    basic.logical_bs_shift = static_cast<std::uint8_t>(std::countr_zero(volume.sector_bytes));
    basic.physical_bs_shift = std::max(basic.logical_bs_shift, kPageShift);
    basic.io_min_shift = basic.physical_bs_shift;
    basic.io_opt_shift = std::countr_zero(port::kBlockBytes);
    basic.max_sectors = basic.chunk_sectors = kBlockSectors;  // none crosses a block
    basic.dev_sectors = volume.size_bytes >> kSectorShift;
    ublk_param_discard& discard = parameters.discard;
    discard.discard_granularity = std::uint32_t{1} << basic.physical_bs_shift;
    discard.max_discard_sectors = port::kMaxDiscardBytes >> kSectorShift;
    discard.max_discard_segments = 1;
    return parameters;
  }

  std::unique_ptr<Control> control_;
  boost::asio::any_io_executor executor_;
  std::unique_ptr<Service> service_;
  std::uint32_t index_ = 0;
};

}  // namespace

Result<std::unique_ptr<UblkKernel>> ublk_kernel(boost::asio::any_io_executor executor) {
  auto control = std::make_unique<Control>();
  if (Result<void> opened = control->open(); !opened) return std::move(opened).error();
  return std::unique_ptr<UblkKernel>(
      std::make_unique<DriverUblk>(std::move(control), std::move(executor)));
}

}  // namespace hast::adapter::ublk

#else

namespace hast::adapter::ublk {

Result<std::unique_ptr<UblkKernel>> ublk_kernel(boost::asio::any_io_executor) {
  return Error{Errc::unsupported, 0,
               "this hastd was built without ublk devices (no liburing, or no linux/ublk_cmd.h); "
               "set frontend: {type: nbd-device}"};
}

}  // namespace hast::adapter::ublk

#endif
