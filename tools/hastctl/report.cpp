#include "hastctl/report.hpp"

#include <cstdio>

#include "hastctl/client.hpp"
#include "hastctl/commands.hpp"

namespace hastctl {
namespace {

constexpr std::chrono::seconds kPatience{30};

/// The code alone is printed where the original prints it; only an unknown name explains itself.
int code_of(const hast::control::StatusEntry& entry) {
  if (entry.status) return 0;
  const hast::Error& error = entry.status.error();
  if (error.code == hast::Errc::no_such_resource) return hast::control::resource_code(error.code);
  return report_resource_error(entry.name, error);
}

}  // namespace

int report(const Options& options, const hast::config::Config& config,
           void (*print)(const hast::control::StatusReply& reply)) {
  const hast::control::StatusRequest request{selection_of(options.operands)};
  const auto answer = ask_daemon(config, request, options.patience.value_or(kPatience));
  if (const int* failed = std::get_if<int>(&answer)) return *failed;
  const auto reply = hast::control::decode_status_reply(std::get<std::string>(answer), kRequestId);
  if (!reply) return report_reply_error(reply.error());

  if (options.output == Output::json)
    std::printf("%s\n", to_json(*reply).c_str());
  else
    print(*reply);
  int status = 0;
  for (const hast::control::StatusEntry& entry : reply->resources)
    keep_first(status, code_of(entry));
  return status;
}

}  // namespace hastctl
