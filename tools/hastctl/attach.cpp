// A component that a primary gave up is taken back.
#include <fmt/core.h>

#include "hast/base/units.hpp"
#include "hastctl/client.hpp"
#include "hastctl/commands.hpp"

namespace hastctl {
namespace {

// hastd waits for requests that hang in the failed disk.
constexpr std::chrono::seconds kPatience{120};

int report(const hast::control::AttachEntry& entry) {
  if (!entry.attached) return report_resource_error(entry.name, entry.attached.error());
  if (!entry.attached->was_lost)
    fmt::print("{}: the local component was in use all along; nothing to do.\n", entry.name);
  else
    fmt::print("{}: the local component is in use again; {} are copied from the peer.\n",
               entry.name, hast::humanize_bytes(entry.attached->to_copy_bytes));
  return 0;
}

}  // namespace

int attach(const Options& options, const hast::config::Config& config) {
  const hast::control::AttachRequest request{selection_of(options.operands)};
  return ask_and_report(config, request, options.patience.value_or(kPatience),
                        hast::control::decode_attach_reply, report);
}

}  // namespace hastctl
