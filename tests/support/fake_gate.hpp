// GEOM gate as real kernels were seen to behave, for tests of its front-end anywhere. GateKernel is
// the kernel: devices by name and the requests of their clients; it outlives the daemons of a test.
// FakeGate is one daemon's way to it, which a kill() cuts as SIGKILL does: the device and what was
// taken from it stay. Thread-safe.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hast/adapter/ggate/gate_device.hpp"

namespace hast::test {

using adapter::ggate::Fetched;
using adapter::ggate::GateCommand;
using adapter::ggate::GateRequest;

class GateKernel {
 public:
  /// A request of a client. `done` and what follows are read under the kernel's lock: result().
  struct Bio {
    GateRequest request;
    std::vector<std::byte> data;
    bool is_taste = false;
    bool is_look = false;  // likewise, but of a device that had been closed
    bool done = false;
    int error = 0;
  };
  using BioPtr = std::shared_ptr<Bio>;
  struct Outcome {
    bool done = false;
    int error = 0;
    std::vector<std::byte> data{};
  };

  /// How many reads a new device is looked at with before it has a node in /dev.
  std::size_t tastes = 18;
  /// What calls fail with, once each; 0: they work.
  int create_error = 0;
  int cancel_error = 0;
  int destroy_error = 0;
  /// What the kernel can read by itself, by path. Outlive it.
  std::map<std::string, ConstByteSpan> providers;
  /// It goes on doing so whatever it is told.
  bool reads_for_ever = false;

  // Clients.
  BioPtr read(const std::string& name, std::uint64_t offset, std::uint64_t length) {
    return submit(name, GateCommand::read, offset, length, std::vector<std::byte>(length));
  }
  BioPtr write(const std::string& name, std::uint64_t offset, std::vector<std::byte> data) {
    const std::uint64_t length = data.size();
    return submit(name, GateCommand::write, offset, length, std::move(data));
  }
  BioPtr submit(const std::string& name, GateCommand command, std::uint64_t offset = 0,
                std::uint64_t length = 0, std::vector<std::byte> data = {}) {
    const std::lock_guard lock(mutex_);
    auto bio = std::make_shared<Bio>();
    bio->request = {0, command, offset, length};
    bio->data = std::move(data);
    const auto found = units_.find(name);
    if (found == units_.end() || found->second->destroying) {
      bio->done = true;
      bio->error = ENXIO;
    } else if (command == GateCommand::read && found->second->copy) {
      read_directly(*found->second, *bio);
    } else {
      enqueue(*found->second, bio);
    }
    return bio;
  }
  Outcome result(const BioPtr& bio) {
    const std::lock_guard lock(mutex_);
    return {bio->done, bio->error, bio->data};
  }

  // What an operator sees.
  bool exists(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return units_.count(name) > 0;
  }
  bool has_node(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = units_.find(name);
    return found != units_.end() && found->second->tastes_left == 0 && !found->second->destroying;
  }
  std::uint64_t size_of(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return units_.at(name)->volume.size_bytes;
  }
  bool reads_directly(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return units_.at(name)->copy.has_value();
  }
  std::size_t queued(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return units_.at(name)->in.size();
  }
  std::size_t taken(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return units_.at(name)->out.size();
  }
  /// The next fetches return these, one each, before they look for requests.
  void disturb(std::vector<int> errors) {
    const std::lock_guard lock(mutex_);
    disturbances_.insert(disturbances_.end(), errors.begin(), errors.end());
    changed_.notify_all();
  }
  /// Another device of this process is new, and looked at until that was answered: whoever changes
  /// disks returns only after it.
  void begin_tasting_elsewhere() {
    const std::lock_guard lock(mutex_);
    tasting_elsewhere_ = true;
  }
  void end_tasting_elsewhere() {
    const std::lock_guard lock(mutex_);
    tasting_elsewhere_ = false;
    changed_.notify_all();
  }
  /// The last writer of the device has closed it: the kernel reads from it again.
  BioPtr look_again(const std::string& name) {
    const BioPtr bio = read(name, 0, units_.at(name)->volume.sector_bytes);
    const std::lock_guard lock(mutex_);
    if (bio->done) return bio;
    bio->is_look = true;
    ++looks_;
    return bio;
  }
  /// ggatel destroy -f
  int destroy(const std::string& name) {
    std::unique_lock lock(mutex_);
    if (const int error = std::exchange(destroy_error, 0)) return error;
    const auto found = units_.find(name);
    if (found == units_.end() || found->second->destroying) return ENXIO;
    const UnitPtr unit = found->second;
    unit->destroying = true;
    for (auto* queue : {&unit->in, &unit->out}) {
      for (const BioPtr& bio : *queue) finish(*unit, *bio, ENXIO);
      queue->clear();
    }
    changed_.notify_all();
    // Whoever comes in meanwhile is sent away, and holds this up all the same.
    changed_.wait(lock, [&] { return unit->references == 0; });
    unit->gone = true;
    units_.erase(name);
    return 0;
  }

 private:
  friend class FakeGate;

  struct Unit {
    port::VolumeInfo volume;
    std::deque<BioPtr> in;
    std::deque<BioPtr> out;
    std::optional<port::LocalCopy> copy;  // reads come from there
    std::uint64_t next_sequence = 1;
    std::size_t tastes_left = 0;
    std::size_t references = 0;  // threads inside
    bool destroying = false;
    bool gone = false;
  };
  using UnitPtr = std::shared_ptr<Unit>;

  static constexpr std::chrono::seconds kPatience{5};
  /// EDEADLK instead of for ever: who should have answered waits here.
  int wait_for_tasting(std::unique_lock<std::mutex>& lock) {
    return changed_.wait_for(lock, kPatience, [this] { return !tasting_elsewhere_; }) ? 0 : EDEADLK;
  }

  void enqueue(Unit& unit, const BioPtr& bio) {
    bio->request.sequence = unit.next_sequence++;
    unit.in.push_back(bio);
    changed_.notify_one();
  }
  void read_directly(const Unit& unit, Bio& bio) const {
    const ConstByteSpan bytes =
        providers.at(unit.copy->path).subspan(unit.copy->offset_bytes + bio.request.offset_bytes);
    std::copy_n(bytes.begin(), bio.data.size(), bio.data.begin());
    bio.done = true;
  }
  void finish(Unit& unit, Bio& bio, int error) {
    bio.done = true;
    bio.error = error;
    if (bio.is_taste) --unit.tastes_left;
    if (bio.is_look) --looks_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, UnitPtr> units_;
  std::deque<int> disturbances_;
  bool tasting_elsewhere_ = false;
  std::size_t looks_ = 0;  // under way
};

class FakeGate final : public adapter::ggate::GateDevice {
 public:
  FakeGate(GateKernel& kernel, std::string name) : kernel_(kernel), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }

  int create(const port::VolumeInfo& volume) override {
    const std::lock_guard lock(kernel_.mutex_);
    if (const int error = std::exchange(kernel_.create_error, 0)) return error;
    if (volume.size_bytes == 0 || volume.size_bytes % volume.sector_bytes != 0) return EINVAL;
    if (kernel_.units_.count(name_) > 0) return EEXIST;
    unit_ = std::make_shared<GateKernel::Unit>();
    unit_->volume = volume;
    unit_->tastes_left = kernel_.tastes;
    kernel_.units_[name_] = unit_;
    for (std::size_t i = 0; i < kernel_.tastes; ++i) {
      auto taste = std::make_shared<GateKernel::Bio>();
      taste->request = {0, GateCommand::read, i * volume.sector_bytes, volume.sector_bytes};
      taste->data.resize(volume.sector_bytes);
      taste->is_taste = true;
      kernel_.enqueue(*unit_, taste);
    }
    return 0;
  }

  Result<port::VolumeInfo> existing() override {
    const std::lock_guard lock(kernel_.mutex_);
    const auto found = kernel_.units_.find(name_);
    if (found == kernel_.units_.end() || found->second->tastes_left > 0)
      return Error{Errc::io_failed, ENOENT, "/dev/" + name_};
    return found->second->volume;
  }

  int adopt() override {
    const std::lock_guard lock(kernel_.mutex_);
    if (killed_) return 0;
    if (const int error = std::exchange(kernel_.cancel_error, 0)) return error;
    const auto found = kernel_.units_.find(name_);
    if (found == kernel_.units_.end() || found->second->destroying) return ENXIO;
    unit_ = found->second;
    unit_->in.insert(unit_->in.begin(), unit_->out.begin(), unit_->out.end());
    unit_->out.clear();
    kernel_.changed_.notify_all();
    return 0;
  }

  int resize(std::uint64_t size_bytes) override {
    std::unique_lock lock(kernel_.mutex_);
    if (!unit_ || unit_->destroying) return ENXIO;
    if (size_bytes == 0 || size_bytes % unit_->volume.sector_bytes != 0) return EINVAL;
    unit_->volume.size_bytes = size_bytes;
    return kernel_.wait_for_tasting(lock);
  }

  int read_from(const port::LocalCopy& copy, const port::VolumeInfo& volume) override {
    const std::lock_guard lock(kernel_.mutex_);
    if (killed_) return 0;
    if (!unit_ || unit_->destroying) return ENXIO;
    const auto found = kernel_.providers.find(copy.path);
    if (found == kernel_.providers.end() ||
        found->second.size() < copy.offset_bytes + volume.size_bytes)
      return EINVAL;
    unit_->copy = copy;
    return 0;
  }
  int read_through() override {
    const std::lock_guard lock(kernel_.mutex_);
    if (killed_) return 0;
    if (!unit_ || unit_->destroying) return ENXIO;
    if (unit_->copy && kernel_.reads_for_ever) return EBUSY;
    unit_->copy.reset();
    return 0;
  }

  bool has_node() override { return kernel_.has_node(name_); }
  int remove_unseen() override {
    return kernel_.exists(name_) && !kernel_.has_node(name_) ? kernel_.destroy(name_) : 0;
  }

  void wait_for_looks() override {
    std::unique_lock lock(kernel_.mutex_);
    kernel_.changed_.wait_for(lock, GateKernel::kPatience, [this] { return kernel_.looks_ == 0; });
  }

  int destroy() override {
    {
      const std::lock_guard lock(kernel_.mutex_);
      if (killed_) return 0;
    }
    const int error = kernel_.destroy(name_);
    std::unique_lock lock(kernel_.mutex_);
    const int waited = kernel_.wait_for_tasting(lock);
    return error != 0 ? error : waited;
  }

  Fetched fetch(ByteSpan buffer) override {
    std::unique_lock lock(kernel_.mutex_);
    if (killed_ || !unit_ || unit_->gone) return {ENXIO};
    ++unit_->references;
    const Fetched fetched = take(lock, buffer);
    --unit_->references;
    kernel_.changed_.notify_all();
    return fetched;
  }

  int finish(std::uint64_t sequence, int error, ByteSpan data) override {
    const std::lock_guard lock(kernel_.mutex_);
    if (killed_) return 0;
    if (!unit_ || unit_->destroying) return ENOENT;
    const auto found = std::find_if(unit_->out.begin(), unit_->out.end(), [&](const auto& bio) {
      return bio->request.sequence == sequence;
    });
    if (found == unit_->out.end()) return 0;
    const GateKernel::BioPtr bio = *found;
    unit_->out.erase(found);
    if (error == EAGAIN) {
      unit_->in.push_front(bio);
      kernel_.changed_.notify_all();
      return 0;
    }
    if (error == 0 && bio->request.command == GateCommand::read) {
      if (data.size() < bio->data.size()) return EFAULT;
      std::copy_n(data.begin(), bio->data.size(), bio->data.begin());
    }
    kernel_.finish(*unit_, *bio, error);
    return 0;
  }

  /// As a signal does: a thread that is not asleep just now never learns of it.
  void interrupt(std::thread& thread) override {
    const std::lock_guard lock(kernel_.mutex_);
    if (asleep_.erase(thread.get_id()) > 0) kernel_.changed_.notify_all();
  }

  /// The process is gone: nothing it does has an effect any more.
  void kill() {
    const std::lock_guard lock(kernel_.mutex_);
    killed_ = true;
    kernel_.changed_.notify_all();
  }

 private:
  Fetched take(std::unique_lock<std::mutex>& lock, ByteSpan buffer) {
    for (;;) {
      if (killed_) return {ENXIO};
      if (!kernel_.disturbances_.empty()) {
        const int error = kernel_.disturbances_.front();
        kernel_.disturbances_.pop_front();
        return {error};
      }
      if (!unit_->in.empty()) break;
      if (unit_->destroying) return {ECANCELED};
      const std::thread::id self = std::this_thread::get_id();
      asleep_.insert(self);
      kernel_.changed_.wait(lock);
      if (asleep_.erase(self) == 0) return {ECANCELED};
    }
    const GateKernel::BioPtr bio = unit_->in.front();
    const bool is_write = bio->request.command == GateCommand::write;
    if (is_write && bio->request.length_bytes > buffer.size()) return {ENOMEM, bio->request};
    unit_->in.pop_front();
    unit_->out.push_back(bio);
    if (is_write) std::copy(bio->data.begin(), bio->data.end(), buffer.begin());
    return {0, bio->request};
  }

  GateKernel& kernel_;
  const std::string name_;
  GateKernel::UnitPtr unit_;
  std::set<std::thread::id> asleep_;
  bool killed_ = false;
};

}  // namespace hast::test
