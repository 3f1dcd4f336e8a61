// Checksums of a payload as transmitted (docs/protocol.md, Payload): crc32 by zlib, sha256 by
// OpenSSL. They guard against damage, not against a forger: nothing here is keyed.
#pragma once

#include <array>

#include "hast/base/bytes.hpp"
#include "hast/base/types.hpp"

namespace hast::wire {

inline constexpr std::size_t kMaxHashBytes = 32;
using Hash = std::array<std::byte, kMaxHashBytes>;

/// Bytes of a hash that travel: 0, 4 or 32.
std::size_t hash_bytes(Checksum checksum);

/// The hash in its first hash_bytes(checksum) bytes, the rest zero. A crc32 is little-endian: the
/// original sends its host's order, which on all its current platforms is this. No allocation of
/// ours, but OpenSSL 3.0 takes a fresh digest state (112 bytes) for each sha256.
Hash hash_of(Checksum checksum, ConstByteSpan bytes);

}  // namespace hast::wire
