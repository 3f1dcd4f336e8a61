// The command line as plain values. The sub-command comes first, then options, then operands, as
// the original wants it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hast/config/parse.hpp"
#include "hast/ondisk/metadata.hpp"

namespace hastctl {

enum class Command : std::uint8_t { create, role, list, status, dump, attach, resolve };

enum class Output : std::uint8_t { text, json };

struct Options {
  Command command = Command::status;
  int debug_level = 0;
  std::string config_path{hast::config::kDefaultPath};
  std::optional<std::string> node;
  std::uint64_t extent_bytes = 0;  // 0: the default, for all three
  std::uint64_t keepdirty = 0;
  std::uint64_t media_bytes = 0;
  hast::ondisk::Format layout = hast::ondisk::Format::extended;
  Output output = Output::text;
  std::optional<std::chrono::seconds> patience;  // how long to wait for hastd
  bool force = false;                            // role primary
  bool discard_local = false;                    // resolve
  bool dry_run = false;
  bool save = true;
  std::string backup;  // an absolute path; empty: hastd chooses
  std::vector<std::string> operands;
};

/// The options, or the exit status when there is nothing left to do: what was wrong (or --help) has
/// been printed.
std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace hastctl
