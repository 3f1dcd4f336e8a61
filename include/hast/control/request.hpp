// What hastctl asks of hastd: one JSON-RPC 2.0 object a line (docs/control-api.md). Plain values
// and total codecs; JSON itself stays behind the .cpp. Used by the daemon (decode) and by hastctl
// (encode).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hast/base/result.hpp"
#include "hast/base/types.hpp"

namespace hast::control {

/// A request line, newline excluded, is at most this long; a server closes on more (INV-9).
inline constexpr std::size_t kMaxRequestBytes = 64 * 1024;

/// The `id` a client chose, given back with the reply; monostate is JSON's null.
using RequestId = std::variant<std::monostate, std::int64_t, std::string>;

/// `"resources": "all"`, or names in the order asked. `status` without `resources` means all.
struct Selection {
  bool all = false;
  std::vector<std::string> names;  // empty when all

  bool operator==(const Selection&) const = default;
};

struct PingRequest {
  bool operator==(const PingRequest&) const = default;
};
struct VersionRequest {
  bool operator==(const VersionRequest&) const = default;
};
struct RoleRequest {
  Role role = Role::init;
  Selection resources;
  bool force = false;  // primary: also of a component that is inconsistent or outdated
  bool operator==(const RoleRequest&) const = default;
};
struct StatusRequest {
  Selection resources;
  bool operator==(const StatusRequest&) const = default;
};

/// The local component that a primary gave up is back, or another is in its place.
struct AttachRequest {
  Selection resources;
  bool operator==(const AttachRequest&) const = default;
};
/// A split-brain: what only this node wrote is given up.
struct ResolveRequest {
  std::string resource;
  bool dry_run = false;  // only say what would be given up
  bool save = true;      // first save it to a file
  std::string backup;    // that file; empty: hastd chooses a name
  bool operator==(const ResolveRequest&) const = default;
};

using Command = std::variant<PingRequest, VersionRequest, RoleRequest, StatusRequest, AttachRequest,
                             ResolveRequest>;

struct Request {
  RequestId id;             // null when the line was too broken to tell
  Result<Command> command;  // or why not: hand the error to encode_error()
};

/// Errors of `command`: malformed (not JSON, −32700), too_large and wrong_type (not a request,
/// −32600), unsupported (unknown method, −32601), usage (params, −32602).
Request decode_request(std::string_view line);

/// One line, newline included.
std::string encode_request(const RequestId& id, const Command& command);

}  // namespace hast::control
