// What one node tells the other besides I/O, from protocol version 3 on (docs/protocol.md, Orders).
// Each is answered when the secondary has it on stable storage.
#pragma once

#include <cstdint>

#include "hast/base/generations.hpp"

namespace hast::core {

struct PeerOrder {
  enum class Kind : std::uint8_t {
    none,
    sync_begin,  // blocks follow that make a mixture of what you have (INV-5)
    sync_end,    // the nodes are equal; `generations` are those of both
    alone,    // you alone hold everything; `generations` are yours, the newest of them new (INV-12)
    goodbye,  // the primary leaves in an orderly way
  };
  Kind kind = Kind::none;
  bool current = false;  // goodbye: the secondary has everything
  Generations generations;
};

}  // namespace hast::core
