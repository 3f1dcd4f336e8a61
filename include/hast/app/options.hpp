// The command line of hastd: `hastd [-dFh] [-c config] [-P pidfile] [--node NAME]` (hastd.8).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hast/base/result.hpp"
#include "hast/config/config.hpp"

namespace hast::app {

struct Options {
  std::string config{config::kDefaultPath};
  std::optional<std::string> pidfile;
  std::optional<std::string> node;
  bool foreground = false;
  int debug_level = 0;
  bool help = false;
  bool version = false;
};

/// `arguments` without the program's name. Errors: usage, with the reason.
Result<Options> parse_options(const std::vector<std::string>& arguments);
std::string_view usage_text();

}  // namespace hast::app
