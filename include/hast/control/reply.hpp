// What hastd answers, resource by resource, and its encoding: one JSON-RPC 2.0 object a line
// (docs/control-api.md). Used by the daemon (encode) and by hastctl (decode). An Error keeps its
// code, errno and detail across the socket, so both ends print the same sentence.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "hast/base/result.hpp"
#include "hast/control/request.hpp"
#include "hast/control/status.hpp"

namespace hast::control {

/// What a client accepts as one reply line (about a kilobyte a resource).
inline constexpr std::size_t kMaxReplyBytes = 16 * 1024 * 1024;

struct PingReply {};

struct VersionReply {
  std::string version;  // of hastd
  std::int64_t pid = 0;
  std::int64_t peer_protocol = 0;  // newest version spoken to peers

  bool operator==(const VersionReply&) const = default;
};

struct RoleChange {
  Role previous = Role::init;
  Role in_force = Role::init;

  bool operator==(const RoleChange&) const = default;
};

struct RoleEntry {
  std::string name;
  Result<RoleChange> change;  // or why the role did not come into force
};

struct RoleReply {
  std::vector<RoleEntry> resources;  // in the order asked, or file order for all
};

struct StatusEntry {
  std::string name;
  Result<ResourceStatus> status;
};

struct StatusReply {
  std::vector<StatusEntry> resources;
};

struct Attachment {
  bool was_lost = false;  // false: the component was in use all along
  std::uint64_t to_copy_bytes = 0;

  bool operator==(const Attachment&) const = default;
};

struct AttachEntry {
  std::string name;
  Result<Attachment> attached;
};

struct AttachReply {
  std::vector<AttachEntry> resources;
};

struct Resolution {
  std::uint64_t extents = 0;  // that only this node may have written
  std::uint64_t bytes = 0;
  std::string backup;      // where they are saved; empty: nowhere
  bool discarded = false;  // false: a dry run

  bool operator==(const Resolution&) const = default;
};

struct ResolveEntry {
  std::string name;
  Result<Resolution> resolved;
};

struct ResolveReply {
  std::vector<ResolveEntry> resources;  // one
};

/// The per-resource code in replies and of hastctl's exit status: 1 no such resource, 2 invalid, 4
/// unsupported as the original's, 5 anything else (the role is not in force, the status unknown).
int resource_code(Errc errc);

// One line each, newline included.
std::string encode_result(const RequestId& id, const PingReply& reply);
std::string encode_result(const RequestId& id, const VersionReply& reply);
std::string encode_result(const RequestId& id, const RoleReply& reply);
std::string encode_result(const RequestId& id, const StatusReply& reply);
std::string encode_result(const RequestId& id, const AttachReply& reply);
std::string encode_result(const RequestId& id, const ResolveReply& reply);
/// The whole request failed. The JSON-RPC code follows from error.code: malformed −32700, too_large
/// and wrong_type −32600, unsupported −32601, usage −32602, any other −32000.
std::string encode_error(const RequestId& id, const Error& error);

// The client's side. Errors: the one the daemon sent; malformed, missing_field, wrong_type or
// too_large when the line is no such reply to the request `id`.
Result<PingReply> decode_ping_reply(std::string_view line, const RequestId& id);
Result<VersionReply> decode_version_reply(std::string_view line, const RequestId& id);
Result<RoleReply> decode_role_reply(std::string_view line, const RequestId& id);
Result<StatusReply> decode_status_reply(std::string_view line, const RequestId& id);
Result<AttachReply> decode_attach_reply(std::string_view line, const RequestId& id);
Result<ResolveReply> decode_resolve_reply(std::string_view line, const RequestId& id);

/// The `result` object alone, on one line: what `hastctl status --json` prints.
std::string to_json(const StatusReply& reply);

}  // namespace hast::control
