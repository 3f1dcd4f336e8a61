// A split-brain is resolved: what only this node wrote is shown, saved and given up.
#include <fmt/core.h>

#include "hast/base/units.hpp"
#include "hastctl/client.hpp"
#include "hastctl/commands.hpp"

namespace hastctl {
namespace {

// Saving may mean a whole disk.
constexpr std::chrono::hours kPatience{24};

void print(const std::string& name, const hast::control::Resolution& resolution) {
  fmt::print("{}: only this node wrote at most {} extents, {}.\n", name, resolution.extents,
             hast::humanize_bytes(resolution.bytes));
  if (!resolution.discarded) {
    fmt::print("{}: nothing was changed; without --dry-run they are given up.\n", name);
    return;
  }
  if (!resolution.backup.empty())
    fmt::print("{}: they are saved in {}, each at its place in the volume.\n", name,
               resolution.backup);
  fmt::print(
      "{}: they are given up as soon as the primary connects, within about 15 seconds; then what "
      "either node wrote is copied from it. Follow with: hastctl status {}\n",
      name, name);
}

int report(const hast::control::ResolveEntry& entry) {
  if (!entry.resolved) return report_resource_error(entry.name, entry.resolved.error());
  print(entry.name, *entry.resolved);
  return 0;
}

}  // namespace

int resolve(const Options& options, const hast::config::Config& config) {
  const hast::control::ResolveRequest request{options.operands.front(), options.dry_run,
                                              options.save, options.backup};
  return ask_and_report(config, request, options.patience.value_or(kPatience),
                        hast::control::decode_resolve_reply, report);
}

}  // namespace hastctl
