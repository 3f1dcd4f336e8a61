// What a reload changes: a typed list, computed before anything is touched (semantics §9). The
// daemon prepares all that can fail, commits, and answers in the words of to_string(). An empty
// list means equal configurations.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hast/config/config.hpp"

namespace hast::config {

struct Change {
  enum class Kind : std::uint8_t {
    // The daemon.
    control,
    pidfile,
    listen_added,
    listen_removed,
    threads,
    busy_poll,
    // The set of resources.
    resource_removed,
    resource_added,
    resource_order,
    // One resource, old and new under the same name.
    provider_name,
    local,
    remote,
    source,
    replication,
    checksum,
    compression,
    timeout,
    heartbeat,
    metaflush,
    io,
    on_local_error,
    on_peer_loss,
    fence,
    fence_timeout,
    exec,
    frontend,
  };

  Kind kind{};
  std::string resource;  // empty for changes of the daemon
  std::string before;    // in the words of the configuration, empty: was not there
  std::string after;

  bool operator==(const Change&) const = default;
};

/// What carrying out a change takes.
enum class Effect : std::uint8_t {
  live,     // applied in place, no request notices
  restart,  // the resource goes to init and back to its role
  daemon,   // only a restart of hastd applies it (threads)
};

/// In the order of the enumeration: daemon, removed, added, then resource by resource in file
/// order.
std::vector<Change> diff(const Config& before, const Config& after);

/// The reload table: which effect a change has on a resource in that role.
Effect effect_of(Change::Kind kind, Role role);
/// The strongest effect among those of `changes` that concern `resource`.
Effect effect_on(std::string_view resource, Role role, const std::vector<Change>& changes);

std::string_view to_string(Change::Kind kind);  // the key: "replication", "listen"
std::string_view to_string(Effect effect);
/// "resource shared: replication changed from memsync to fullsync"
std::string to_string(const Change& change);

}  // namespace hast::config
