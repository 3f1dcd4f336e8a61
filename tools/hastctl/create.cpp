#include "hast/base/log.hpp"
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

int cannot_open(const Log& log, const ResourceConfig& resource, const Error& error) {
  if (error.code == Errc::component_busy)
    // The original did not look, and wrote under a running hastd's feet.
    log.error(
        "{} is in use by another process, most likely a running hastd; nothing was changed. Run "
        "`hastctl role init {}` first, or stop what holds it.",
        resource.local, resource.name);
  else if (error.os_error != 0)
    log.error("Unable to open {}: {}. {}", resource.local, hast::errno_text(error.os_error),
              text_of(error.code).action);
  else
    log.error("Unable to open {}: {}", resource.local, sentence(error));
  return kNoInput;
}

/// The words alone where the original has words for it.
int bad_sizes(const Log& log, const Error& error) {
  if (error.code == Errc::usage)
    log.error("{}", error.detail);
  else
    log.error("{}", sentence(error));
  return kDataError;
}

int create_one(const ResourceConfig& resource, const Options& options) {
  const Log log("[" + resource.name + "] ");
  Result<std::unique_ptr<Component>> component = Component::open(resource.local);
  if (!component) return cannot_open(log, resource, component.error());
  const hast::port::DiskGeometry& geometry = (*component)->geometry();
  if (options.media_bytes > geometry.size_bytes) {
    log.error("Provided mediasize is larger than provider {} size.", resource.local);
    return kDataError;
  }
  const hast::ondisk::CreateRequest request{
      .resource = resource.name,
      .component_bytes = geometry.size_bytes,
      .sector_bytes = geometry.sector_bytes,
      .media_bytes = options.media_bytes,
      .extent_bytes = options.extent_bytes,
      .keepdirty = options.keepdirty,
      .format = options.layout,
  };
  const Result<Metadata> metadata = hast::ondisk::plan_create(request);
  if (!metadata) return bad_sizes(log, metadata.error());
  if (Result<void> written = write_new_metadata(**component, *metadata, options.layout); !written) {
    log.error("Unable to write metadata: {}", sentence(written.error()));
    return kIoError;
  }
  return kOk;
}

}  // namespace

int create(const Options& options, const hast::config::Config& config) {
  int status = kOk;
  for (const std::string& name : options.operands) {
    if (const ResourceConfig* resource = config.find(name)) {
      keep_first(status, create_one(*resource, options));
    } else {
      Log().error("Unknown resource {}.", name);
      keep_first(status, kDataError);
    }
  }
  return status;
}

}  // namespace hastctl
