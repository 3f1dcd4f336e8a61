// Hooks: the operator's program that is told of events (semantics §10). Fire and forget: run()
// returns at once; failures and overlong runs are logged by the one who runs them.
#pragma once

#include <string>
#include <vector>

namespace hast::port {

class HookRunner {
 public:
  virtual ~HookRunner() = default;
  /// argv[0] is the full path; the program gets none of the daemon's descriptors.
  virtual void run(std::vector<std::string> argv) = 0;
};

}  // namespace hast::port
