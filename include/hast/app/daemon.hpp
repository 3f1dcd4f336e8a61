// hastd from its first line to its last: options, configuration, pidfile, daemonising, signals, and
// the threads that run everything. Exit codes are the original's (hastd.8).
#pragma once

#include <string>
#include <vector>

namespace hast::app {

/// The whole program; `arguments` without its name. Returns the exit status.
int run(const std::vector<std::string>& arguments);

}  // namespace hast::app
