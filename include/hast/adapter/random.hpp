// port::Random from the kernel.
#pragma once

#include "hast/port/random.hpp"

namespace hast::adapter {

class SystemRandom final : public port::Random {
 public:
  void fill(ByteSpan bytes) override;
};

}  // namespace hast::adapter
