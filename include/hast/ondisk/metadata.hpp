// The metadata block: 4096 bytes at the front of a component, the original's nine fields first
// (on-disk §2), ours after them. Ours: a sequence number and a checksum that make two copies
// possible (INV-10), and the inconsistent mark (INV-5). Originals ignore and drop our fields, so
// their absence is normal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "hast/base/bytes.hpp"
#include "hast/base/result.hpp"
#include "hast/base/types.hpp"

namespace hast::ondisk {

inline constexpr std::uint32_t kMetadataBytes = 4096;

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

  bool operator==(const Metadata&) const = default;
};

enum class Format { original, extended };  // extended: with our fields and the checksum

/// Fills the whole block. Errors: too_large (a name that does not fit).
Result<void> encode(const Metadata& metadata, Format format, ByteSpan block);
/// Errors: component_unformatted (all zero, or no nv list at all), metadata_damaged (fields missing,
/// values that break a rule of on-disk §3, checksum). A block with our fields must have a right checksum.
Result<Metadata> decode(ConstByteSpan block);

/// The newer of two copies; a first copy without our fields was written by an original and wins.
/// Errors: those of `first` when neither is readable.
Result<Metadata> choose(const Result<Metadata>& first, const Result<Metadata>& second);

}  // namespace hast::ondisk
