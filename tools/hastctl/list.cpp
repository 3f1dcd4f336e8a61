// The layout is the original's byte for byte (config-and-cli §4.4).
#include <fmt/core.h>

#include <cstdio>

#include "hast/base/units.hpp"
#include "hastctl/commands.hpp"
#include "hastctl/report.hpp"

namespace hastctl {
namespace {

using hast::control::Counters;
using hast::control::Queues;
using hast::control::ResourceStatus;
using hast::control::Status;

void print_bytes(const char* name, std::uint64_t bytes) {
  fmt::print("  {}: {} ({})\n", name, bytes, hast::humanize_bytes(bytes));
}

void print_statistics(const Counters& counters, const Queues& queues) {
  fmt::print("  statistics:\n");
  fmt::print("    reads: {}\n", counters.reads);
  fmt::print("    writes: {}\n", counters.writes);
  fmt::print("    deletes: {}\n", counters.deletes);
  fmt::print("    flushes: {}\n", counters.flushes);
  fmt::print("    activemap updates: {}\n", counters.activemap_updates);
  fmt::print("    local errors: read: {}, write: {}, delete: {}, flush: {}\n", counters.read_errors,
             counters.write_errors, counters.delete_errors, counters.flush_errors);
  fmt::print("    queues: local: {}, send: {}, recv: {}, done: {}, idle: {}\n", queues.local,
             queues.send, queues.recv, queues.done, queues.idle);
}

void print_resource(const ResourceStatus& resource) {
  fmt::print("  role: {}\n", to_string(resource.role));
  fmt::print("  provname: {}\n", resource.provname);
  fmt::print("  localpath: {}\n", resource.localpath);
  print_bytes("extentsize", resource.extentsize_bytes);
  fmt::print("  keepdirty: {}\n", resource.keepdirty);
  fmt::print("  remoteaddr: {}\n", resource.remoteaddr);
  if (!resource.sourceaddr.empty()) fmt::print("  sourceaddr: {}\n", resource.sourceaddr);
  fmt::print("  replication: {}\n", to_string(resource.replication));
  if (resource.status != Status::absent) fmt::print("  status: {}\n", to_string(resource.status));
  if (resource.workerpid != 0) fmt::print("  workerpid: {}\n", resource.workerpid);
  print_bytes("dirty", resource.dirty_bytes);
  print_statistics(resource.counters, resource.queues);
}

void print(const hast::control::StatusReply& reply) {
  for (const hast::control::StatusEntry& entry : reply.resources) {
    fmt::print("{}:\n", entry.name);
    if (entry.status)
      print_resource(*entry.status);
    else
      fmt::print("  error: {}\n", hast::control::resource_code(entry.status.error().code));
  }
}

}  // namespace

int list(const Options& options, const hast::config::Config& config) {
  return report(options, config, print);
}

}  // namespace hastctl
