#include "hast/base/assert.hpp"

#include <syslog.h>

#include <cstdio>
#include <cstdlib>

namespace hast {

// A daemon has no stderr and a foreground process no reader of syslog, so the last words go to
// both.
void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr,
               "Assertion failed: %s at %s:%d. This is a bug in hast: please report it with the "
               "lines of the log before it.\n",
               expression, file, line);
  syslog(LOG_DAEMON | LOG_CRIT, "Assertion failed: %s at %s:%d. This is a bug in hast.", expression,
         file, line);
  std::abort();
}

}  // namespace hast
