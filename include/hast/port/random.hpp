// Randomness: tokens, resource ids, jitter. Seeded in the simulator, the kernel's in production.
// Where the code may take one of two ways that are equally right, and nearly always takes the same,
// it asks rarely(): the simulator then sends it the other way, too.
#pragma once

#include <cstdint>

#include "hast/base/bytes.hpp"

namespace hast::port {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(ByteSpan bytes) = 0;

  virtual bool rarely() { return false; }

  std::uint64_t next_u64() {
    std::byte raw[8];
    fill(raw);
    return load_le<std::uint64_t>(raw);
  }
  /// Non-zero: 0 means "none" for resource ids and sequence numbers.
  std::uint64_t next_id() {
    std::uint64_t id = next_u64();
    while (id == 0) id = next_u64();
    return id;
  }
};

}  // namespace hast::port
