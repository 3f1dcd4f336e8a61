// A loop device over a file, for tests of block devices. Needs root and the loop driver: where they
// are missing, path() is empty and the test warns that it proved nothing.
#pragma once

#if defined(__linux__)
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

namespace hast::adapter::test {

class LoopDevice {
 public:
  LoopDevice(const std::string& file, std::uint32_t sector_bytes) {
    const int control = ::open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    const int backing = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    // Someone else may take the free number first.
    for (int attempt = 0; attempt < 20 && control >= 0 && backing >= 0 && device_ < 0; ++attempt)
      attach(::ioctl(control, LOOP_CTL_GET_FREE), backing, sector_bytes);
    if (backing >= 0) ::close(backing);
    if (control >= 0) ::close(control);
  }
  ~LoopDevice() {
    if (device_ < 0) return;
    ::ioctl(device_, LOOP_CLR_FD);
    ::close(device_);
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  const std::string& path() const { return path_; }

 private:
  void attach(int number, int backing, std::uint32_t sector_bytes) {
    if (number < 0) return;
    const std::string path = "/dev/loop" + std::to_string(number);
    const int device = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(backing);
    config.block_size = sector_bytes;
    if (device >= 0 && ::ioctl(device, LOOP_CONFIGURE, &config) == 0) {
      device_ = device;
      path_ = path;
    } else if (device >= 0) {
      ::close(device);
    }
  }

  int device_ = -1;
  std::string path_;
};

}  // namespace hast::adapter::test
#endif
