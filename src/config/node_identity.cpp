#include "hast/config/node_identity.hpp"

#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>

#ifdef __FreeBSD__
#include <sys/sysctl.h>
#include <sys/types.h>
#endif

namespace hast::config {
namespace {

constexpr std::size_t kMaxIdentityBytes = 255;

std::string kernel_hostname() {
  std::array<char, kMaxIdentityBytes + 1> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

/// Case and dashes do not count: machine-id has no dashes, the firmware writes upper case.
std::string canonical_uuid(std::string_view uuid) {
  std::string canonical;
  for (const char c : uuid)
    if (c != '-') canonical += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return canonical;
}

#ifdef __FreeBSD__

std::vector<std::string> host_uuids() {
  std::array<char, kMaxIdentityBytes + 1> uuid{};
  std::size_t size = uuid.size() - 1;
  if (::sysctlbyname("kern.hostuuid", uuid.data(), &size, nullptr, 0) != 0) return {};
  return {uuid.data()};
}

std::optional<std::uint64_t> host_id() {
  unsigned long id = 0;
  std::size_t size = sizeof id;
  if (::sysctlbyname("kern.hostid", &id, &size, nullptr, 0) != 0) return std::nullopt;
  return id;
}

#else

std::vector<std::string> host_uuids() {
  std::vector<std::string> uuids;
  for (const char* path : {"/sys/class/dmi/id/product_uuid", "/etc/machine-id"}) {
    std::ifstream file(path);
    std::string word;
    if (file >> word && word.size() <= kMaxIdentityBytes) uuids.push_back(word);
  }
  return uuids;
}

/// The file alone: gethostid(3) asks the name server when there is none, and may wait for it.
std::optional<std::uint64_t> host_id() {
  std::ifstream file("/etc/hostid", std::ios::binary);
  std::array<char, sizeof(std::uint32_t)> bytes{};
  if (!file.read(bytes.data(), bytes.size())) return std::nullopt;
  std::uint32_t id = 0;
  std::memcpy(&id, bytes.data(), sizeof id);
  return id;
}

#endif

std::string hostid_name(std::uint64_t hostid) { return "hostid" + std::to_string(hostid); }

std::string short_name(const std::string& hostname) {
  return hostname.substr(0, hostname.find('.'));
}

}  // namespace

NodeIdentity NodeIdentity::of_this_host(std::optional<std::string> given) {
  return {std::move(given), kernel_hostname(), host_uuids(), host_id()};
}

bool NodeIdentity::matches(std::string_view name) const {
  if (given) return name == *given;
  if (name.empty()) return false;
  if (name == hostname || name == short_name(hostname)) return true;
  for (const std::string& uuid : uuids)
    if (canonical_uuid(name) == canonical_uuid(uuid)) return true;
  return hostid && name == hostid_name(*hostid);
}

std::vector<std::string> NodeIdentity::acceptable_names() const {
  if (given) return {*given};
  std::vector<std::string> names;
  if (!hostname.empty()) names.push_back(short_name(hostname));
  if (!hostname.empty() && hostname != names.back()) names.push_back(hostname);
  names.insert(names.end(), uuids.begin(), uuids.end());
  if (hostid) names.push_back(hostid_name(*hostid));
  return names;
}

}  // namespace hast::config
