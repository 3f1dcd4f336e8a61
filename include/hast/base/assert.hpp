// HAST_ASSERT: programmer errors only, on in every build. Crash beats divergence; nothing that a
// peer, a client or a file can send may reach one (INV-9).
#pragma once

namespace hast {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);
}

#define HAST_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::hast::assertion_failed(#expression, __FILE__, __LINE__))
