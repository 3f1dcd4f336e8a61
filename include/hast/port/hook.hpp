// Hooks: the operator's programs. Most are told of events (semantics §10), fire and forget: run()
// returns at once; failures and overlong runs are logged by the one who runs them. Some are asked.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hast/port/clock.hpp"

namespace hast::port {

class HookRunner {
 public:
  virtual ~HookRunner() = default;
  /// argv[0] is the full path; the program gets none of the daemon's descriptors.
  virtual void run(std::vector<std::string> argv) = 0;

  enum class Verdict { yes, no };  // exit status 0, anything else or too late
  /// Does not wait for other hooks. `answer` is called once, from wherever.
  virtual void ask(std::vector<std::string> argv, Duration limit,
                   std::function<void(Verdict)> answer) = 0;
};

}  // namespace hast::port
