#include "hastctl/options.hpp"

#include <getopt.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include "hast/base/units.hpp"
#include "hastctl/usage.hpp"

namespace hastctl {
namespace {

enum LongOption : int {
  kNode = 256,
  kLayout,
  kJson,
  kTimeout,
  kForce,
  kDiscard,
  kDryRun,
  kBackup,
  kNoBackup,
  kHelp
};

constexpr option kLongOptions[] = {{"node", required_argument, nullptr, kNode},
                                   {"layout", required_argument, nullptr, kLayout},
                                   {"json", no_argument, nullptr, kJson},
                                   {"timeout", required_argument, nullptr, kTimeout},
                                   {"force", no_argument, nullptr, kForce},
                                   {"discard", required_argument, nullptr, kDiscard},
                                   {"dry-run", no_argument, nullptr, kDryRun},
                                   {"backup", required_argument, nullptr, kBackup},
                                   {"no-backup", no_argument, nullptr, kNoBackup},
                                   {"help", no_argument, nullptr, kHelp},
                                   {nullptr, 0, nullptr, 0}};

std::optional<Command> parse_command(std::string_view word) {
  if (word == "create") return Command::create;
  if (word == "role") return Command::role;
  if (word == "list") return Command::list;
  if (word == "status") return Command::status;
  if (word == "dump") return Command::dump;
  if (word == "attach") return Command::attach;
  if (word == "resolve") return Command::resolve;
  return std::nullopt;
}

/// A command that the original does not have.
bool is_own(Command command) { return command == Command::attach || command == Command::resolve; }

int usage_of(Command command) { return is_own(command) ? own_usage() : usage(); }

int invalid(const char* what) {
  std::fprintf(stderr, "hastctl: Invalid %s\n", what);
  return kUsage;
}

/// An option that would have no effect is refused: the original took it and said nothing.
bool belongs_to(int option, Command command) {
  switch (option) {
    case 'e':
    case 'k':
    case 'm':
    case kLayout:
      return command == Command::create;
    case kJson:
      return command == Command::list || command == Command::status;
    case kForce:
      return command == Command::role;
    case kDiscard:
    case kDryRun:
    case kBackup:
    case kNoBackup:
      return command == Command::resolve;
    case kTimeout:
      return command != Command::create && command != Command::dump;
    default:
      return true;
  }
}

/// Nothing when the option is taken, else the exit status.
using Refusal = std::optional<int>;

Refusal take_size(const char* what, std::uint64_t& size) {
  const std::optional<std::uint64_t> parsed = hast::parse_size(optarg);
  if (!parsed) return invalid(what);
  size = *parsed;
  return std::nullopt;
}

Refusal take_layout(Options& options) {
  const std::string_view word = optarg;
  if (word != "original" && word != "extended") return invalid("layout");
  options.layout =
      word == "original" ? hast::ondisk::Format::original : hast::ondisk::Format::extended;
  return std::nullopt;
}

Refusal take_timeout(Options& options) {
  const std::string_view digits = optarg;
  std::uint32_t seconds = 0;
  const char* last = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), last, seconds);
  constexpr std::uint32_t kDay = 24 * 60 * 60;
  if (error != std::errc{} || end != last || seconds == 0 || seconds > kDay)
    return invalid("timeout");
  options.patience = std::chrono::seconds(seconds);
  return std::nullopt;
}

/// hastd works in another folder than the operator.
Refusal take_backup(Options& options) {
  std::error_code failed;
  options.backup = std::filesystem::absolute(optarg, failed).string();
  if (failed || *optarg == '\0') return invalid("backup file");
  return std::nullopt;
}

Refusal take_discard(Options& options) {
  if (std::string_view(optarg) != "local")
    return invalid("discard: only \"local\", the changes of this node, can be given up here");
  options.discard_local = true;
  return std::nullopt;
}

Refusal take(int option, Options& options) {
  if (!belongs_to(option, options.command)) return usage_of(options.command);
  switch (option) {
    case 'c':
      options.config_path = optarg;
      return std::nullopt;
    case 'd':
      ++options.debug_level;
      return std::nullopt;
    case 'e':
      return take_size("extentsize", options.extent_bytes);
    case 'k':
      return take_size("keepdirty", options.keepdirty);
    case 'm':
      return take_size("mediasize", options.media_bytes);
    case kNode:
      options.node = optarg;
      return std::nullopt;
    case kLayout:
      return take_layout(options);
    case kJson:
      options.output = Output::json;
      return std::nullopt;
    case kTimeout:
      return take_timeout(options);
    case kForce:
      options.force = true;
      return std::nullopt;
    case kDiscard:
      return take_discard(options);
    case kDryRun:
      options.dry_run = true;
      return std::nullopt;
    case kBackup:
      return take_backup(options);
    case kNoBackup:
      options.save = false;
      return std::nullopt;
    case kHelp:
      return help();
    default:
      return usage_of(options.command);
  }
}

bool enough_operands(const Options& options) {
  switch (options.command) {
    case Command::create:
      return !options.operands.empty();
    case Command::role:
      return options.operands.size() >= 2 && hast::parse_role(options.operands[0]) &&
             (!options.force || options.operands[0] == "primary");
    case Command::attach:
      return !options.operands.empty();
    case Command::resolve:
      return options.operands.size() == 1 && options.discard_local &&
             (options.save || options.backup.empty());
    default:
      return true;
  }
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  if (argc < 2) return usage();
  if (std::string_view(argv[1]) == "--help") return help();
  const std::optional<Command> command = parse_command(argv[1]);
  if (!command) return usage();

  Options options;
  options.command = *command;
  --argc;
  ++argv;
  int option = 0;
  // "+": operands end the options of the original's commands, also where getopt would reorder.
  const char* letters = is_own(options.command) ? "c:dh" : "+c:de:k:m:h";
  while ((option = ::getopt_long(argc, argv, letters, kLongOptions, nullptr)) != -1)
    if (const Refusal status = take(option, options)) return *status;
  options.operands.assign(argv + optind, argv + argc);
  if (!enough_operands(options)) return usage_of(options.command);
  return options;
}

}  // namespace hastctl
