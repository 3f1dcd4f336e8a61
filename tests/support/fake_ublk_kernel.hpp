// The kernel's ublk devices as a kernel was seen to have them: a new disk is read from before it is
// there, a device outlives its server and gives the next one all that was not answered, and a
// device that is stopped waits for what its server has taken. The test plays the part of the block
// layer: it submits requests and looks at their results. One io_context, no threads, no clock.
#pragma once

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hast/adapter/ublk/kernel.hpp"

namespace hast::test {

/// The kernel itself: shared by the hastds that come and go.
struct UblkDevices {
  struct Bio {
    adapter::ublk::Request request;
    std::vector<std::byte> data;
    std::optional<int> result;  // errno, once it is done
  };
  using BioPtr = std::shared_ptr<Bio>;
  struct Device {
    std::uint64_t identity = 0;
    port::VolumeInfo volume;
    bool has_disk = false;
    bool stopping = false;
    BioPtr scan{};  // what reads a new disk
    std::deque<BioPtr> queued{};
    std::map<std::uint16_t, BioPtr> taken{};
    class FakeUblkKernel* server = nullptr;

    static void fail(const BioPtr& bio) { bio->result = EIO; }
    void fail_queued() {
      for (const BioPtr& bio : std::exchange(queued, {})) fail(bio);
    }
  };

  std::map<std::uint32_t, Device> devices;
  std::map<std::string, std::uint32_t> links;
  int former_server_exits = 0;  // how often it is busy with that
  int add_error = 0, start_error = 0, load_error = 0, link_error = 0;

  Device& only() { return devices.begin()->second; }

  BioPtr submit(std::optional<IoKind> kind, std::uint64_t offset, std::uint64_t length,
                std::vector<std::byte> data = {}, bool fua = false);
  BioPtr write(std::uint64_t offset, std::vector<std::byte> data, bool fua = false) {
    const std::uint64_t length = data.size();
    return submit(IoKind::write, offset, length, std::move(data), fua);
  }
  BioPtr read(std::uint64_t offset, std::uint64_t length) {
    return submit(IoKind::read, offset, length, std::vector<std::byte>(length));
  }
};

class FakeUblkKernel final : public adapter::ublk::UblkKernel {
 public:
  using Request = adapter::ublk::Request;

  FakeUblkKernel(UblkDevices& all, boost::asio::io_context& context)
      : all_(all), context_(context) {}
  ~FakeUblkKernel() override { detach(); }

  std::vector<adapter::ublk::Device> find(std::uint64_t identity) override {
    std::vector<adapter::ublk::Device> found;
    for (const auto& [index, device] : all_.devices) {
      if (!killed_ && device.identity == identity)
        found.push_back({index, device.volume, device.has_disk});
    }
    return found;
  }

  Result<std::uint32_t> add(std::uint64_t identity, const port::VolumeInfo& volume) override {
    if (all_.add_error != 0) return failure(all_.add_error);
    std::uint32_t index = 0;
    while (all_.devices.count(index) > 0) ++index;
    all_.devices[index] = {.identity = identity, .volume = volume};
    return index;
  }

  Result<void> serve(std::uint32_t index, bool again, Owner& owner) override {
    UblkDevices::Device& device = all_.devices.at(index);
    HAST_ASSERT(device.has_disk == again && !device_);
    if (again && all_.former_server_exits > 0) {
      --all_.former_server_exits;
      return failure(EBUSY);
    }
    HAST_ASSERT(device.server == nullptr);
    device.server = this;
    device_ = &device;
    owner_ = &owner;
    life_ = std::make_shared<bool>(true);
    for (auto taken = device.taken.rbegin(); taken != device.taken.rend(); ++taken)
      device.queued.push_front(taken->second);
    device.taken.clear();
    if (again || all_.start_error != 0) {
      tell([this] { owner_->started(all_.start_error); });
    } else {
      device.has_disk = true;
      device.scan = std::make_shared<UblkDevices::Bio>();
      device.scan->request.kind = IoKind::read;
      device.scan->request.length_bytes = 4096;
      device.scan->data.resize(4096);
      device.queued.push_back(device.scan);
    }
    deliver();
    return {};
  }

  int load(const Request& request, ByteSpan into) override {
    if (all_.load_error != 0) return all_.load_error;
    const UblkDevices::BioPtr bio = device_->taken.at(request.tag);
    HAST_ASSERT(into.size() == bio->data.size());
    std::memcpy(into.data(), bio->data.data(), into.size());
    return 0;
  }
  int store(const Request& request, ConstByteSpan from) override {
    if (device_ == nullptr) return 0;
    const UblkDevices::BioPtr bio = device_->taken.at(request.tag);
    HAST_ASSERT(from.size() == bio->data.size());
    std::memcpy(bio->data.data(), from.data(), from.size());
    return 0;
  }
  void finish(const Request& request, int error) override {
    if (device_ == nullptr) return;
    const auto taken = device_->taken.find(request.tag);
    HAST_ASSERT(taken != device_->taken.end());  // once, and only what was taken
    taken->second->result = error;
    if (taken->second == device_->scan) {
      device_->scan.reset();
      tell([this] { owner_->started(0); });
    }
    device_->taken.erase(taken);
    end_stop();
    deliver();
  }
  void stop() override {
    if (killed_) return tell([this] { owner_->stopped(0); });
    device_->stopping = true;
    device_->fail_queued();
    end_stop();
  }
  void detach() override {
    if (device_ == nullptr) return;
    device_->server = nullptr;
    device_ = nullptr;
    life_.reset();
  }
  Result<void> remove(std::uint32_t index) override {
    const auto found = all_.devices.find(index);
    if (found == all_.devices.end()) return failure(ENODEV);
    HAST_ASSERT(found->second.server == nullptr);
    found->second.fail_queued();
    for (const auto& [tag, bio] : found->second.taken) UblkDevices::Device::fail(bio);
    all_.devices.erase(found);
    return {};
  }

  Result<void> link(std::string_view name, std::uint32_t index) override {
    if (all_.link_error != 0) return failure(all_.link_error);
    all_.links[std::string(name)] = index;
    return {};
  }
  void unlink(std::string_view name, std::uint32_t index) override {
    const auto found = all_.links.find(std::string(name));
    if (killed_) return;
    if (found != all_.links.end() && found->second == index) all_.links.erase(found);
  }

  /// SIGKILL: nothing it does from now on is noticed.
  void kill() {
    device_->server = nullptr;
    device_ = nullptr;
    killed_ = true;
  }
  /// Somebody else stops the device.
  void lose() {
    device_->fail_queued();
    for (const auto& [tag, bio] : device_->taken) UblkDevices::Device::fail(bio);
    device_->taken.clear();
    device_->has_disk = false;
    tell([this] { owner_->lost(); });
  }
  /// Hands over what is queued, in a later turn.
  void deliver() {
    tell([this] {
      while (device_ != nullptr && !device_->queued.empty() &&
             device_->taken.size() < adapter::ublk::kDepth) {
        const UblkDevices::BioPtr bio = device_->queued.front();
        device_->queued.pop_front();
        while (device_->taken.count(next_tag_) > 0)
          next_tag_ = (next_tag_ + 1) % adapter::ublk::kDepth;
        bio->request.tag = next_tag_;
        device_->taken[next_tag_] = bio;
        owner_->arrived(bio->request);
      }
    });
  }

 private:
  static Error failure(int error) { return {Errc::io_failed, error, "ublk"}; }

  template <class Action>
  void tell(Action action) {
    boost::asio::post(context_, [life = std::weak_ptr(life_), action = std::move(action)] {
      if (!life.expired()) action();
    });
  }
  void end_stop() {
    if (device_ == nullptr || !device_->stopping || !device_->taken.empty()) return;
    device_->stopping = false;
    device_->has_disk = false;
    tell([this] { owner_->stopped(0); });
  }

  UblkDevices& all_;
  boost::asio::io_context& context_;
  UblkDevices::Device* device_ = nullptr;
  Owner* owner_ = nullptr;
  std::shared_ptr<bool> life_;
  std::uint16_t next_tag_ = 0;
  bool killed_ = false;
};

inline UblkDevices::BioPtr UblkDevices::submit(std::optional<IoKind> kind, std::uint64_t offset,
                                               std::uint64_t length, std::vector<std::byte> data,
                                               bool fua) {
  const auto bio = std::make_shared<Bio>();
  bio->request = {0, kind, fua, offset, length};
  bio->data = std::move(data);
  Device& device = only();
  if (!device.has_disk || device.stopping) {
    Device::fail(bio);
    return bio;
  }
  device.queued.push_back(bio);
  if (device.server != nullptr) device.server->deliver();
  return bio;
}

}  // namespace hast::test
