// hastctl: steers hastd and prepares components. hastctl(8).
#include <cstdio>
#include <exception>

#include "hast/base/log.hpp"
#include "hast/config/parse.hpp"
#include "hastctl/commands.hpp"
#include "hastctl/usage.hpp"

namespace hastctl {
namespace {

int report_config_error(const Options& options, const hast::Error& error) {
  const std::string_view action = text_of(error.code).action;
  if (error.code == hast::Errc::config_unreadable) {
    hast::Log().error("Unable to open configuration file {}: {}. {}", options.config_path,
                      hast::errno_text(error.os_error), action);
    return kOsFile;
  }
  hast::Log().error("{} {}", hast::with_full_stop(error.detail), action);
  return kConfig;
}

int run(const Options& options) {
  hast::open_log({hast::LogOptions::Target::terminal, options.debug_level});
  const auto node = hast::config::NodeIdentity::of_this_host(options.node);
  const auto config = hast::config::load_config(options.config_path, node);
  if (!config) return report_config_error(options, config.error());
  switch (options.command) {
    case Command::create:
      return create(options, *config);
    case Command::role:
      return role(options, *config);
    case Command::list:
      return list(options, *config);
    case Command::status:
      return status(options, *config);
    case Command::dump:
      return dump(options, *config);
    case Command::attach:
      return attach(options, *config);
    case Command::resolve:
      return resolve(options, *config);
  }
  return kUsage;
}

int main_with(int argc, char** argv) {
  const auto options = parse_options(argc, argv);
  if (const int* status = std::get_if<int>(&options)) return *status;
  int status = run(std::get<Options>(options));
  // Half a report must not look like a whole one.
  if (std::fflush(stdout) != 0) {
    hast::Log().error("Unable to write the output. Check the disk or the program it goes to.");
    keep_first(status, kIoError);
  }
  return status;
}

}  // namespace
}  // namespace hastctl

int main(int argc, char** argv) {
  try {
    return hastctl::main_with(argc, argv);
  } catch (const std::exception& thrown) {  // only from libraries; most likely out of memory
    std::fprintf(stderr, "hastctl: %s\n", thrown.what());
    return hastctl::kTemporaryFailure;
  }
}
