#include "hast/config/parse.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "resolve.hpp"
#include "schema.hpp"
#include "yaml.hpp"

namespace hast::config {
namespace {

Result<Config> parse_unnamed(std::string_view text, const NodeIdentity& node) {
  Result<yaml::Node> root = yaml::parse(text);
  if (!root) return std::move(root).error();
  Result<Document> document = read_document(*root);
  if (!document) return std::move(document).error();
  return resolve(*document, node);
}

/// At most one byte more than allowed: enough for parse_config() to refuse it (INV-9).
Result<std::string> read_all(int descriptor, const std::string& path) {
  std::string text;
  char buffer[16384];
  while (text.size() <= kMaxConfigBytes) {
    const ssize_t got = ::read(descriptor, buffer, sizeof buffer);
    if (got == 0) break;
    if (got > 0)
      text.append(buffer, static_cast<std::size_t>(got));
    else if (errno != EINTR)
      return Error{Errc::config_unreadable, errno, path};
  }
  return text;
}

void anchor(std::string& path, const std::filesystem::path& folder) {
  if (!path.empty()) path = (folder / path).lexically_normal().string();
}

void anchor(Address& address, const std::filesystem::path& folder) {
  if (address.family == Address::Family::unix_socket) anchor(address.host, folder);
}

/// A relative path means the folder of the configuration file, for hastd and hastctl alike,
/// whatever folder they were started in or changed to.
void anchor(Config& config, const std::filesystem::path& folder) {
  anchor(config.control.address, folder);
  anchor(config.pidfile, folder);
  for (ConfiguredAddress& listen : config.listen) anchor(listen.address, folder);
  for (ResourceConfig& resource : config.resources) {
    anchor(resource.local, folder);
    anchor(resource.exec, folder);
    anchor(resource.fence, folder);
    if (resource.remote) anchor(resource.remote->address, folder);
    if (resource.source) anchor(resource.source->address, folder);
    if (resource.frontend.listen) anchor(resource.frontend.listen->address, folder);
  }
}

}  // namespace

Result<Config> parse_config(std::string_view text, std::string_view file_name,
                            const NodeIdentity& node) {
  Result<Config> config = parse_unnamed(text, node);
  if (config) return config;
  Error error = std::move(config).error();
  error.detail = std::string(file_name) + ':' + error.detail;
  return error;
}

Result<Config> load_config(const std::string& path, const NodeIdentity& node) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return Error{Errc::config_unreadable, errno, path};
  Result<std::string> text = read_all(descriptor, path);
  ::close(descriptor);
  if (!text) return std::move(text).error();
  Result<Config> config = parse_config(*text, path, node);
  std::error_code unknown;  // the present folder: then paths stay as they are
  if (config) anchor(*config, std::filesystem::absolute(path, unknown).parent_path());
  return config;
}

}  // namespace hast::config
