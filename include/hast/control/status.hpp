// The state of one resource as an operator sees it: everything the original's `hastctl list` prints
// (config-and-cli §4.4, §5) and what it did not tell: why degraded, how far the resync is, where
// the device is. A plain value, filled by the daemon, printed by hastctl, the same words in JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hast/base/types.hpp"

namespace hast::control {

/// absent prints as "-": role init, or a secondary without a connected primary.
enum class Status : std::uint8_t { absent, degraded, complete };
std::string_view to_string(Status status);
std::optional<Status> parse_status(std::string_view word);

/// Requests seen by the daemon since the role was taken.
struct Counters {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t deletes = 0;
  std::uint64_t flushes = 0;
  std::uint64_t activemap_updates = 0;
  std::uint64_t read_errors = 0;
  std::uint64_t write_errors = 0;  // map writes included
  std::uint64_t delete_errors = 0;
  std::uint64_t flush_errors = 0;    // map flushes included
  std::uint64_t reads_repaired = 0;  // failed reads rewritten with the peer's data

  bool operator==(const Counters&) const = default;
};

/// Requests by the stage they are in; idle is the number of free request slots.
struct Queues {
  std::uint64_t local = 0;
  std::uint64_t send = 0;
  std::uint64_t recv = 0;
  std::uint64_t done = 0;
  std::uint64_t idle = 0;

  bool operator==(const Queues&) const = default;
};

struct Resync {
  SyncSource source = SyncSource::primary;  // who copies to whom
  std::uint64_t done_bytes = 0;
  std::uint64_t left_bytes = 0;

  bool operator==(const Resync&) const = default;
};

struct ResourceStatus {
  std::string name;
  Role role = Role::init;
  std::string provname;
  std::string localpath;
  std::string remoteaddr;  // as configured, or "none"
  std::string sourceaddr;  // empty when not configured
  Replication replication = Replication::memsync;
  Checksum checksum = Checksum::none;
  Compression compression = Compression::hole;
  std::int64_t workerpid = 0;  // hastd's pid; 0 when status is absent

  Status status = Status::absent;
  std::string reason;         // one sentence: why degraded, empty when complete or absent
  bool split_brain = false;   // the last handshake found both nodes written independently
  bool detached = false;      // primary: it gave its component up, the peer serves everything
  bool inconsistent = false;  // the local data are a mixture until a resync completes (INV-5)
  bool outdated = false;      // secondary: the peer is known to hold newer data
  std::string frontend;       // where clients connect: "nbd+unix:///r0?socket=...", "/dev/hast/r0"

  std::uint64_t datasize_bytes = 0;
  std::uint64_t dirty_bytes = 0;
  std::uint32_t extentsize_bytes = 0;
  std::uint32_t keepdirty = 0;
  Counters counters;
  Queues queues;
  std::optional<Resync> resync;  // while one runs

  bool operator==(const ResourceStatus&) const = default;
};

}  // namespace hast::control
