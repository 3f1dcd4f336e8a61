#include "device_link_linux.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace hast::adapter {

namespace {

namespace fs = std::filesystem;

constexpr const char* kLinks = "/dev/hast";

fs::path target_of(std::string_view device) { return fs::path("..") / device; }

bool stands_for(const fs::path& link, std::string_view device) {
  std::error_code error;
  return fs::read_symlink(link, error) == target_of(device);
}

Error link_failure(int error, const fs::path& link) {
  return {Errc::io_failed, error, link.string() + " cannot be made"};
}

}  // namespace

Result<void> link_device(std::string_view name, std::string_view device) {
  const fs::path link = fs::path(kLinks) / name;
  if (stands_for(link, device)) return {};
  if (::mkdir(kLinks, 0755) == 0) {
    (void)::chmod(kLinks, 0755);  // whatever the umask is: only names are in there
  } else if (errno != EEXIST) {
    return link_failure(errno, kLinks);
  }
  (void)::unlink(link.c_str());
  if (::symlink(target_of(device).c_str(), link.c_str()) != 0) return link_failure(errno, link);
  return {};
}

void unlink_device(std::string_view name, std::string_view device) {
  const fs::path link = fs::path(kLinks) / name;
  if (stands_for(link, device)) (void)::unlink(link.c_str());
}

}  // namespace hast::adapter
