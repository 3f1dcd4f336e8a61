// Where a client's request is cut into pieces, each of which takes one slot of the sink. The only
// place that knows how much of what a sink takes at once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "hast/port/frontend.hpp"

namespace hast::adapter {

/// No piece of that kind crosses a multiple of this.
constexpr std::uint64_t piece_limit_bytes(IoKind kind) {
  return kind == IoKind::discard ? port::kMaxDiscardBytes : port::kBlockBytes;
}

/// Length of the piece that starts at `offset_bytes` when `rest_bytes` are left of the request.
constexpr std::uint64_t piece_bytes(IoKind kind, std::uint64_t offset_bytes,
                                    std::uint64_t rest_bytes) {
  const std::uint64_t limit = piece_limit_bytes(kind);
  return std::min(rest_bytes, limit - offset_bytes % limit);
}

}  // namespace hast::adapter
