#include "hast/base/address.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

#include "hast/base/error.hpp"

namespace hast {
namespace {

constexpr std::size_t kMaxText = 1023;  // the original's bound on an address in its configuration
constexpr std::size_t kMaxHost = 255;
constexpr std::size_t kMaxPath = 103;  // the smallest sun_path of the platforms, less its NUL

Error invalid(std::string_view text, const char* why) {
  std::string detail = "'";
  detail.append(text.substr(0, kMaxText)).append("': ").append(why);
  return Error{.code = Errc::address_invalid, .detail = std::move(detail)};
}

/// The rest of `text` after the lower-case `prefix`, if it starts with it in whatever case.
std::optional<std::string_view> after_prefix(std::string_view text, std::string_view prefix) {
  if (text.size() < prefix.size()) return std::nullopt;
  for (std::size_t i = 0; i < prefix.size(); ++i)
    if (std::tolower(static_cast<unsigned char>(text[i])) != prefix[i]) return std::nullopt;
  return text.substr(prefix.size());
}

/// Digits only, 1..65535.
std::optional<std::uint16_t> parse_port(std::string_view digits) {
  std::uint32_t port = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    port = port * 10 + static_cast<std::uint32_t>(c - '0');
    if (port > 65535) return std::nullopt;
  }
  if (port == 0) return std::nullopt;
  return static_cast<std::uint16_t>(port);
}

struct HostPort {
  std::string_view host;
  std::optional<std::string_view> port;
};

/// "[v6]" or "[v6]:port". The original cannot read the first form; people write it all the same.
std::optional<HostPort> split_bracketed(std::string_view text) {
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos) return std::nullopt;
  const std::string_view rest = text.substr(close + 1);
  if (!rest.empty() && rest.front() != ':') return std::nullopt;
  HostPort split{text.substr(1, close - 1), std::nullopt};
  if (!rest.empty()) split.port = rest.substr(1);
  if (split.host.find(':') == std::string_view::npos) return std::nullopt;
  return split;
}

/// Two colons or more without brackets are an IPv6 literal, which leaves no room for a port.
HostPort split_plain(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos)
    return {text, std::nullopt};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool is_host_character(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > ' ' && byte != 0x7f && c != '[' && c != ']';
}

Result<Address> parse_tcp(std::string_view text, std::string_view target, Address::Family family,
                          std::uint16_t default_port) {
  if (target.find("://") != std::string_view::npos)
    return invalid(text, "the schemes are tcp, tcp4, tcp6, unix and uds");
  const bool bracketed = target.starts_with('[');
  const std::optional<HostPort> split =
      bracketed ? split_bracketed(target) : std::optional(split_plain(target));
  if (!split) return invalid(text, "brackets must hold an IPv6 address, as in [::1]:8457");
  if (split->host.empty()) return invalid(text, "no host; every address is 0.0.0.0 or [::]");
  if (split->host.size() > kMaxHost) return invalid(text, "the host is longer than 255 characters");
  if (split->host.find('/') != std::string_view::npos)
    return invalid(text, "a host cannot contain '/' (nor an address a prefix length)");
  if (!std::all_of(split->host.begin(), split->host.end(), is_host_character))
    return invalid(text, "the host has a character that no host has");
  std::optional<std::uint16_t> port = default_port;
  if (split->port) port = parse_port(*split->port);
  if (!port) return invalid(text, "a port is a number from 1 to 65535");
  return Address{family, std::string(split->host), *port};
}

Result<Address> parse_unix(std::string_view text, std::string_view path) {
  if (path.empty()) return invalid(text, "no path");
  if (path.size() > kMaxPath) return invalid(text, "the path is longer than 103 characters");
  if (path.find('\0') != std::string_view::npos) return invalid(text, "the path has a NUL in it");
  return Address{Address::Family::unix_socket, std::string(path), 0};
}

}  // namespace

Result<Address> Address::parse(std::string_view text, std::uint16_t default_port) {
  if (text.empty()) return invalid(text, "empty");
  if (text.size() > kMaxText) return invalid(text, "longer than 1023 characters");
  for (const std::string_view scheme : {"uds://", "unix://"})
    if (const auto path = after_prefix(text, scheme)) return parse_unix(text, *path);
  if (text.front() == '/' && text.find("://") == std::string_view::npos)
    return parse_unix(text, text);
  if (const auto target = after_prefix(text, "tcp4://"))
    return parse_tcp(text, *target, Family::v4, default_port);
  if (const auto target = after_prefix(text, "tcp6://"))
    return parse_tcp(text, *target, Family::v6, default_port);
  return parse_tcp(text, after_prefix(text, "tcp://").value_or(text), Family::any, default_port);
}

std::string to_string(const Address& address) {
  if (address.family == Address::Family::unix_socket) return "uds://" + address.host;
  const bool literal_v6 = address.host.find(':') != std::string::npos;
  std::string text = literal_v6 ? "tcp://[" + address.host + "]" : "tcp://" + address.host;
  if (address.port != 0) text.append(":").append(std::to_string(address.port));
  return text;
}

}  // namespace hast
