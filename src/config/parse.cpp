#include "hast/config/parse.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

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
  return parse_config(*text, path, node);
}

}  // namespace hast::config
