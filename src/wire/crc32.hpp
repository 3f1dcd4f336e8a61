// CRC-32 of IEEE 802.3 as zlib computes it, fast: with the carry-less multiplication of x86-64
// where the processor has it (found out once, at run time), zlib's otherwise. Private to the room.
#pragma once

#include <cstdint>

#include "hast/base/bytes.hpp"

namespace hast::wire {

std::uint32_t crc32_of(ConstByteSpan bytes);

}  // namespace hast::wire
