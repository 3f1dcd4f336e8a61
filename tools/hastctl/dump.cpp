// The layout is the original's byte for byte (config-and-cli §4.5). One line more says that a
// component is inconsistent, which the original did not know.
#include <fmt/core.h>

#include <cstdio>

#include "hast/base/log.hpp"
#include "hast/base/units.hpp"
#include "hastctl/commands.hpp"
#include "hastctl/metadata_file.hpp"
#include "hastctl/usage.hpp"
#include "hastctl/words.hpp"

namespace hastctl {
namespace {

using hast::Errc;
using hast::Error;
using hast::Log;
using hast::Result;
using hast::adapter::Component;
using hast::config::ResourceConfig;
using hast::ondisk::Metadata;

void print_bytes(const char* name, std::uint64_t bytes) {
  fmt::print("    {}: {} ({})\n", name, bytes, hast::humanize_bytes(bytes));
}

void print(const Metadata& metadata) {
  fmt::print("resource: {}\n", metadata.resource);
  print_bytes("datasize", metadata.datasize);
  print_bytes("extentsize", metadata.extentsize);
  fmt::print("    keepdirty: {}\n", metadata.keepdirty);
  fmt::print("    localoff: {}\n", metadata.offset);
  fmt::print("    resuid: {}\n", metadata.resuid);
  fmt::print("    localcnt: {}\n", metadata.localcnt);
  fmt::print("    remotecnt: {}\n", metadata.remotecnt);
  fmt::print("    prevrole: {}\n", to_string(metadata.prevrole));
  if (metadata.inconsistent) fmt::print("    inconsistent: yes\n");
}

int cannot_open(const ResourceConfig& resource, const Error& error) {
  if (error.os_error != 0)
    Log().error("Unable to open {}: {}. {}", resource.local, hast::errno_text(error.os_error),
                text_of(error.code).action);
  else
    Log().error("Unable to open {}: {}", resource.local, sentence(error));
  return kDumpFailed;
}

int cannot_read(const ResourceConfig& resource, const Error& error) {
  if (error.code == Errc::metadata_damaged)
    Log().error("Metadata read from {} is invalid: {}", resource.local, sentence(error));
  else
    Log().error("Unable to read metadata from {}: {}", resource.local, sentence(error));
  return kDumpFailed;
}

int dump_one(const ResourceConfig& resource) {
  // Beside a running hastd: reading is harmless, and operators look when something is wrong.
  Result<std::unique_ptr<Component>> component =
      Component::open(resource.local, {.access = hast::adapter::Access::read_only});
  if (!component) return cannot_open(resource, component.error());
  Log().debug("Obtained info about {}.", resource.local);
  const Result<Metadata> metadata = read_metadata(**component);
  if (!metadata) return cannot_read(resource, metadata.error());
  if (metadata->resource != resource.name) {
    Log().error("Provider {} is not part of resource {}. It belongs to resource {}.",
                resource.local, resource.name, metadata->resource);
    return kDumpFailed;
  }
  print(*metadata);
  return kOk;
}

}  // namespace

int dump(const Options& options, const hast::config::Config& config) {
  int status = kOk;
  const std::vector<std::string>& names = options.operands;
  if (names.empty() || (names.size() == 1 && names[0] == "all")) {
    for (const ResourceConfig& resource : config.resources) keep_first(status, dump_one(resource));
    return status;
  }
  for (const std::string& name : names) {
    if (const ResourceConfig* resource = config.find(name)) {
      keep_first(status, dump_one(*resource));
    } else {
      Log().error("Unknown resource {}.", name);
      keep_first(status, kDataError);
    }
  }
  return status;
}

}  // namespace hastctl
