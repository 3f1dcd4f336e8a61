#include "hast/base/log.hpp"
#include "hastctl/client.hpp"
#include "hastctl/commands.hpp"

namespace hastctl {
namespace {

// Leaving a role waits for requests in flight, and those for the peer's timeout.
constexpr std::chrono::seconds kPatience{120};

int report(const hast::control::RoleEntry& entry) {
  if (!entry.change) return report_resource_error(entry.name, entry.change.error());
  const hast::Log log("[" + entry.name + "] ");
  if (entry.change->previous == entry.change->in_force)
    log.trace("Role unchanged ({}).", to_string(entry.change->in_force));
  else
    log.debug("Role changed from {} to {}.", to_string(entry.change->previous),
              to_string(entry.change->in_force));
  return 0;
}

}  // namespace

int role(const Options& options, const hast::config::Config& config) {
  const std::vector<std::string>& operands = options.operands;
  const hast::Role wanted = *hast::parse_role(operands[0]);
  const hast::control::RoleRequest request{
      wanted, selection_of({operands.begin() + 1, operands.end()}), options.force};
  return ask_and_report(config, request, options.patience.value_or(kPatience),
                        hast::control::decode_role_reply, report);
}

}  // namespace hastctl
