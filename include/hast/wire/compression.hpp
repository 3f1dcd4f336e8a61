// The ways a block shrinks on the wire (docs/protocol.md, Payload): a hole says "all zeros" in four
// bytes, lzf and lz4 are their libraries' streams behind the original length. Pure functions over
// caller's buffers; decoders trust no length (INV-9).
#pragma once

#include <cstdint>

#include "hast/base/bytes.hpp"
#include "hast/base/result.hpp"

namespace hast::wire {

inline constexpr std::size_t kHoleBytes = 4;
/// lzf and lz4 are tried on blocks larger than this and used only if they save this much.
inline constexpr std::size_t kCompressionThresholdBytes = 1024;

bool is_all_zero(ConstByteSpan data);

/// Each returns the bytes for the stream, a part of `scratch`.
ConstByteSpan encode_hole(std::uint32_t length, ByteSpan scratch);
/// Empty if it does not pay. `scratch` must hold data.size() bytes.
ConstByteSpan encode_lzf(ConstByteSpan data, ByteSpan scratch);
ConstByteSpan encode_lz4(ConstByteSpan data, ByteSpan scratch);

/// The expanded length must be exactly into.size(). Error: malformed.
Result<void> decode_hole(ConstByteSpan payload, ByteSpan into);
Result<void> decode_lzf(ConstByteSpan payload, ByteSpan into);
Result<void> decode_lz4(ConstByteSpan payload, ByteSpan into);

}  // namespace hast::wire
