#include "hast/adapter/random.hpp"

#include <sys/random.h>

#include <cerrno>

#include "hast/base/assert.hpp"

namespace hast::adapter {

void SystemRandom::fill(ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    HAST_ASSERT(got > 0);  // a kernel without randomness cannot make tokens: nothing can go on
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace hast::adapter
