// The vocabulary every room shares: roles, modes, algorithms, and their words in configuration,
// logs and JSON. parse_X() is the inverse of to_string() and refuses everything else.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hast {

/// Values are those of the original's control protocol (config-and-cli §5).
enum class Role : std::uint8_t { init = 1, primary = 2, secondary = 3 };

/// When a write is acknowledged (docs/invariants.md, the table of modes).
enum class Replication : std::uint8_t { fullsync, memsync, async };

enum class Checksum : std::uint8_t { none, crc32, sha256 };
enum class Compression : std::uint8_t { none, hole, lzf, lz4 };

/// Whether a component's data take the system's page cache. Automatic: devices are direct, files
/// buffered. FreeBSD's providers have no cache to go through.
enum class IoMode : std::uint8_t { automatic, buffered, direct };

/// What a primary does when its component fails a write: give it up and serve everything from the
/// peer, or pass over it and serve only what was not written from there.
enum class OnLocalError : std::uint8_t { detach, pass };

/// What a primary does with requests that only it can serve when the peer is lost: answer them, or
/// keep them until somebody says that the peer is out of the way.
enum class OnPeerLoss : std::uint8_t { go_on, freeze };

/// Who copies to whom after a handshake. Values are those on the wire (wire-protocol §5.3).
enum class SyncSource : std::uint8_t { primary = 1, secondary = 2 };

/// What a client, or a peer on its behalf, wants done to the volume.
enum class IoKind : std::uint8_t { read, write, discard, write_zeroes, flush };

std::string_view to_string(Role role);
std::string_view to_string(Replication mode);
std::string_view to_string(Checksum checksum);
std::string_view to_string(Compression compression);
std::string_view to_string(IoMode mode);
std::string_view to_string(OnLocalError policy);
std::string_view to_string(OnPeerLoss policy);
std::string_view to_string(SyncSource source);
std::string_view to_string(IoKind kind);

std::optional<Role> parse_role(std::string_view word);
std::optional<Replication> parse_replication(std::string_view word);
std::optional<Checksum> parse_checksum(std::string_view word);
std::optional<Compression> parse_compression(std::string_view word);
std::optional<IoMode> parse_io_mode(std::string_view word);
std::optional<OnLocalError> parse_on_local_error(std::string_view word);
std::optional<OnPeerLoss> parse_on_peer_loss(std::string_view word);

}  // namespace hast
