// The layout is the original's byte for byte (config-and-cli §4.3): scripts cut its columns.
#include <fmt/core.h>

#include <cstdio>

#include "hastctl/commands.hpp"
#include "hastctl/report.hpp"

namespace hastctl {
namespace {

using hast::control::ResourceStatus;
using hast::control::Status;

void print_row(const ResourceStatus& resource) {
  const std::string_view status =
      resource.status == Status::absent ? "-" : to_string(resource.status);
  fmt::print("{}\t{:<9}{:<15}{}\t{}\n", resource.name, status, to_string(resource.role),
             resource.localpath, resource.remoteaddr);
}

void print(const hast::control::StatusReply& reply) {
  if (!reply.resources.empty()) fmt::print("Name\tStatus\t Role\t\tComponents\n");
  for (const hast::control::StatusEntry& entry : reply.resources) {
    if (entry.status)
      print_row(*entry.status);
    else
      fmt::print("{}\tERR{}\n", entry.name,
                 hast::control::resource_code(entry.status.error().code));
  }
}

}  // namespace

int status(const Options& options, const hast::config::Config& config) {
  return report(options, config, print);
}

}  // namespace hastctl
