// The errors of hast, as values. `Errc` says what went wrong in one word that logs, JSON and
// docs/errors.md share; `Error` adds the errno behind it and the words only this occurrence knows.
// Data-path operations do not use `Error`: they carry a plain errno (see port/disk.hpp).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hast {

enum class Errc : std::uint16_t {
  // Bytes that cannot be read.
  truncated = 1,      // the input ends before the value does
  malformed,          // the input breaks its format
  too_large,          // a length exceeds its bound
  missing_field,      // a required field is absent
  wrong_type,         // a field exists with another type
  unknown_algorithm,  // a checksum or compression hast does not know
  checksum_mismatch,  // the bytes are not those that were summed

  // The local component.
  component_not_found,     // the path does not exist
  component_unsupported,   // neither a block device nor a regular file
  component_busy,          // another process holds it
  component_too_small,     // no room for metadata, map and one sector of data
  component_foreign,       // it carries another resource's metadata
  component_unformatted,   // no HAST metadata: `hastctl create` was never run
  metadata_damaged,        // no copy of the metadata is readable
  component_inconsistent,  // its data are a mixture of old and new
  component_outdated,      // the peer is known to hold newer data
  io_failed,               // the kernel refused a read, write or flush

  // The peer and the network.
  address_invalid,    // an address that cannot be parsed or resolved
  address_in_use,     // another process listens there
  unreachable,        // the peer does not answer
  timed_out,          // a deadline passed
  connection_closed,  // the other side closed
  version_mismatch,   // the peer speaks a protocol hast does not
  peer_refused,       // the peer answered with an error text
  peer_waits,         // the peer is primary itself and asks to be tried again
  size_mismatch,      // the two nodes disagree about datasize or extentsize
  resuid_mismatch,    // the two components never belonged together
  not_fenced,         // the fence hook did not say that the peer serves nobody
  split_brain,        // both nodes were written independently
  no_split_brain,     // nothing to resolve: the peer was not found to have diverged
  both_inconsistent,  // neither node holds the whole data
  token_mismatch,     // the second connection does not belong to the first
  access_denied,      // the address is not that of a configured peer

  // Requests of operators and clients.
  usage,               // a command line or a request that means nothing
  config_invalid,      // the configuration file breaks a rule
  config_unreadable,   // the configuration file cannot be opened
  no_such_resource,    // the name is not configured
  no_such_node,        // no `nodes` entry matches this machine
  wrong_role,          // the operation needs another role
  already_running,     // another hastd holds the pidfile
  daemon_unreachable,  // hastctl cannot talk to hastd
  limit_reached,       // a bound on clients, sessions or requests
  cancelled,           // the operation was stopped by its owner
  unsupported,         // the platform or the kernel cannot do it
  internal,            // a bug in hast
};

/// A row of the error table: the stable name, what it means and what to do next.
struct ErrcText {
  Errc code;
  std::string_view name;    // "component_busy": the word in JSON and in docs/errors.md
  std::string_view what;    // a clause: "the local component is in use by another process"
  std::string_view action;  // a sentence for the operator
};

/// Every error there is, in the order of the enumeration; docs/errors.md has one row for each.
std::span<const ErrcText> all_errors();
const ErrcText& text_of(Errc code);
inline std::string_view to_string(Errc code) { return text_of(code).name; }

struct [[nodiscard]] Error {
  Errc code = Errc::internal;
  int os_error = 0;      // errno of this host, 0 when the kernel was not involved
  std::string detail{};  // what only this occurrence knows: a path, an offset, a field

  /// One line for a person: what happened, why, what next.
  std::string message() const;
};

/// A clause as a sentence: with a full stop, unless it ends like one.
std::string with_full_stop(std::string text);

/// The kernel's words for `os_error`, thread-safe.
std::string errno_text(int os_error);

}  // namespace hast
