// Addresses as HAST writes them: tcp://host:port, tcp4://, tcp6://, unix://PATH, uds://PATH, a bare
// path or host (docs/protocol.md, Addresses). Parsing only: names are resolved by port/net.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hast/base/result.hpp"

namespace hast {

inline constexpr std::uint16_t kDefaultPort = 8457;

struct Address {
  enum class Family : std::uint8_t { any, v4, v6, unix_socket };

  Family family = Family::any;
  std::string host;  // name or literal without brackets; the path for unix_socket
  std::uint16_t port = 0;

  bool operator==(const Address&) const = default;

  /// `default_port` fills in a missing port: kDefaultPort for listen and remote, 0 for source.
  /// Errors: address_invalid, with the reason in words.
  static Result<Address> parse(std::string_view text, std::uint16_t default_port);
};

/// "tcp://1.2.3.4:8457", "tcp://[::1]:8457", "uds:///run/x": the form the original logs.
std::string to_string(const Address& address);

}  // namespace hast
