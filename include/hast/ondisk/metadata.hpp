// The metadata block: 4096 bytes at the front of a component, the original's nine fields first,
// ours after them (docs/on-disk.md). Ours: a sequence number and a checksum that make two copies
// possible (INV-10), the marks inconsistent and outdated (INV-5) and the generations (INV-7).
// Originals ignore and drop our fields, so their absence is normal. Pure codec: what it is given
// may be any bytes (INV-9).
#pragma once

#include <cstdint>
#include <string>

#include "hast/base/bytes.hpp"
#include "hast/base/generations.hpp"
#include "hast/base/result.hpp"
#include "hast/base/types.hpp"

namespace hast::ondisk {

inline constexpr std::uint32_t kMetadataBytes = 4096;

/// Sector sizes a component may have are powers of two between these: the block is written whole.
inline constexpr std::uint32_t kMinSectorBytes = 512;
inline constexpr std::uint32_t kMaxSectorBytes = kMetadataBytes;

/// Longest resource name: what the original's 255 bytes hold (config-and-cli §2).
inline constexpr std::size_t kMaxResourceName = 254;

struct Metadata {
  std::string resource;
  std::uint64_t datasize = 0;
  std::uint32_t extentsize = 0;
  std::uint32_t keepdirty = 0;
  std::uint64_t offset = 0;
  std::uint64_t resuid = 0;  // 0: never met a peer
  std::uint64_t localcnt = 0;
  std::uint64_t remotecnt = 0;
  Role prevrole = Role::init;

  std::uint64_t sequence = 0;  // one more with each write; 0: last written by an original
  bool inconsistent = false;   // the data are a mixture of old and new until a resync completes
  bool outdated = false;       // whole, but the peer is known to hold newer acknowledged data
  /// Of the node that an interrupted resync copied from: its map still knows what is missing here.
  /// 0: none was begun.
  std::uint64_t sync_from = 0;
  Generations generations;

  bool operator==(const Metadata&) const = default;
};

enum class Format { original, extended };  // extended: with our fields and the checksum

/// Fills the whole block, which must have kMetadataBytes. The caller raises `sequence` before each
/// extended write. Errors: too_large (a name that does not fit).
Result<void> encode(const Metadata& metadata, Format format, ByteSpan block);

/// Errors: component_unformatted (not the beginning of a HAST component), metadata_damaged (fields
/// missing, values that no HAST writes, a wrong checksum). What decodes also encodes. A block with
/// any of our fields must have a right checksum. Ranges are checked by layout_of().
Result<Metadata> decode(ConstByteSpan block);

/// The one to believe of two copies: the newer. A first copy without our fields was written by an
/// original, which knows of no second one, and wins; so does a first copy whose layout or name the
/// second does not share (a leftover). The result carries the higher sequence number of the two, so
/// that the next write is newer than both. Errors: those of `first` when neither is readable.
Result<Metadata> choose(const Result<Metadata>& first, const Result<Metadata>& second);

}  // namespace hast::ondisk
