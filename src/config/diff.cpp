#include "hast/config/diff.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace hast::config {
namespace {

using Kind = Change::Kind;

std::string text_of_optional(const std::optional<ConfiguredAddress>& address) {
  return address ? address->text : "none";
}

std::string text_of(const FrontendConfig& frontend) {
  std::string text(to_string(frontend.type));
  if (frontend.listen) text += " on " + frontend.listen->text;
  if (frontend.type == FrontendType::nbd_device) {
    if (frontend.device) text += fmt::format(" /dev/nbd{}", *frontend.device);
    text += fmt::format(" (connections {}, dead_timeout {})", frontend.connections,
                        frontend.dead_timeout_s);
  }
  if (frontend.type == FrontendType::ggate && frontend.direct_reads) text += " (direct_reads)";
  return text;
}

std::string text_of(bool flag) { return flag ? "true" : "false"; }
std::string text_of_hook(const std::string& path) { return path.empty() ? "none" : path; }

/// Collects the changes of one resource, or of the daemon under the empty name.
class Comparison {
 public:
  Comparison(std::string resource, std::vector<Change>& to)
      : resource_(std::move(resource)), to_(to) {}

  template <class Text>
  void text(Kind kind, const Text& before, const Text& after) {
    if (before != after) to_.push_back({kind, resource_, std::string(before), std::string(after)});
  }
  template <class Word>
  void word(Kind kind, Word before, Word after) {
    text(kind, to_string(before), to_string(after));
  }

 private:
  std::string resource_;
  std::vector<Change>& to_;
};

void compare(const ResourceConfig& a, const ResourceConfig& b, std::vector<Change>& to) {
  Comparison change(a.name, to);
  change.text(Kind::provider_name, a.provider_name, b.provider_name);
  change.text(Kind::local, a.local, b.local);
  change.text(Kind::remote, text_of_optional(a.remote), text_of_optional(b.remote));
  change.text(Kind::source, text_of_optional(a.source), text_of_optional(b.source));
  change.word(Kind::replication, a.replication, b.replication);
  change.word(Kind::checksum, a.checksum, b.checksum);
  change.word(Kind::compression, a.compression, b.compression);
  change.text(Kind::timeout, std::to_string(a.timeout_s), std::to_string(b.timeout_s));
  change.text(Kind::heartbeat, std::to_string(a.heartbeat_s), std::to_string(b.heartbeat_s));
  change.text(Kind::metaflush, text_of(a.metaflush), text_of(b.metaflush));
  change.word(Kind::io, a.io, b.io);
  change.word(Kind::on_local_error, a.on_local_error, b.on_local_error);
  change.word(Kind::on_peer_loss, a.on_peer_loss, b.on_peer_loss);
  change.text(Kind::fence, text_of_hook(a.fence), text_of_hook(b.fence));
  change.text(Kind::fence_timeout, std::to_string(a.fence_timeout_s),
              std::to_string(b.fence_timeout_s));
  change.text(Kind::exec, text_of_hook(a.exec), text_of_hook(b.exec));
  change.text(Kind::frontend, text_of(a.frontend), text_of(b.frontend));
}

bool listens_on(const Config& config, const ConfiguredAddress& address) {
  return std::find(config.listen.begin(), config.listen.end(), address) != config.listen.end();
}

void compare_daemon(const Config& before, const Config& after, std::vector<Change>& to) {
  Comparison change({}, to);
  change.text(Kind::control, before.control.text, after.control.text);
  change.text(Kind::pidfile, before.pidfile, after.pidfile);
  for (const ConfiguredAddress& address : after.listen)
    if (!listens_on(before, address)) to.push_back({Kind::listen_added, {}, {}, address.text});
  for (const ConfiguredAddress& address : before.listen)
    if (!listens_on(after, address)) to.push_back({Kind::listen_removed, {}, address.text, {}});
  change.text(Kind::threads, std::to_string(before.threads), std::to_string(after.threads));
  change.text(Kind::busy_poll, std::to_string(before.busy_poll_us),
              std::to_string(after.busy_poll_us));
}

std::vector<std::string_view> names_in_both(const Config& of, const Config& other) {
  std::vector<std::string_view> names;
  for (const ResourceConfig& resource : of.resources)
    if (other.find(resource.name)) names.push_back(resource.name);
  return names;
}

void compare_sets(const Config& before, const Config& after, std::vector<Change>& to) {
  for (const ResourceConfig& resource : before.resources)
    if (!after.find(resource.name))
      to.push_back({Kind::resource_removed, resource.name, resource.local, {}});
  for (const ResourceConfig& resource : after.resources)
    if (!before.find(resource.name))
      to.push_back({Kind::resource_added, resource.name, {}, resource.local});
  const auto was = names_in_both(before, after);
  const auto is = names_in_both(after, before);
  if (was != is)
    to.push_back({Kind::resource_order,
                  {},
                  fmt::format("{}", fmt::join(was, ", ")),
                  fmt::format("{}", fmt::join(is, ", "))});
}

}  // namespace

std::vector<Change> diff(const Config& before, const Config& after) {
  std::vector<Change> changes;
  compare_daemon(before, after, changes);
  compare_sets(before, after, changes);
  for (const ResourceConfig& resource : after.resources)
    if (const ResourceConfig* old = before.find(resource.name)) compare(*old, resource, changes);
  return changes;
}

Effect effect_of(Kind kind, Role role) {
  switch (kind) {
    case Kind::control:
    case Kind::pidfile:
    case Kind::listen_added:
    case Kind::listen_removed:
    case Kind::busy_poll:
    case Kind::resource_removed:
    case Kind::resource_added:
    case Kind::resource_order:
      return Effect::live;
    case Kind::threads:
      return Effect::daemon;
    case Kind::provider_name:
    case Kind::local:
    case Kind::io:
    case Kind::frontend:
      return Effect::restart;
    case Kind::remote:
    case Kind::source:
    case Kind::replication:
    case Kind::checksum:
    case Kind::compression:
    case Kind::timeout:
    case Kind::heartbeat:
    case Kind::metaflush:
    case Kind::on_local_error:
    case Kind::on_peer_loss:
    case Kind::fence:
    case Kind::fence_timeout:
    case Kind::exec:
      break;
  }
  return role == Role::primary ? Effect::live : Effect::restart;
}

Effect effect_on(std::string_view resource, Role role, const std::vector<Change>& changes) {
  Effect strongest = Effect::live;
  for (const Change& change : changes)
    if (change.resource == resource) strongest = std::max(strongest, effect_of(change.kind, role));
  return strongest;
}

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::control:
      return "control";
    case Kind::pidfile:
      return "pidfile";
    case Kind::listen_added:
    case Kind::listen_removed:
      return "listen";
    case Kind::threads:
      return "threads";
    case Kind::busy_poll:
      return "busy_poll";
    case Kind::resource_removed:
    case Kind::resource_added:
    case Kind::resource_order:
      return "resources";
    case Kind::provider_name:
      return "name";
    case Kind::local:
      return "local";
    case Kind::remote:
      return "remote";
    case Kind::source:
      return "source";
    case Kind::replication:
      return "replication";
    case Kind::checksum:
      return "checksum";
    case Kind::compression:
      return "compression";
    case Kind::timeout:
      return "timeout";
    case Kind::heartbeat:
      return "heartbeat";
    case Kind::metaflush:
      return "metaflush";
    case Kind::io:
      return "io";
    case Kind::on_local_error:
      return "on_local_error";
    case Kind::on_peer_loss:
      return "on_peer_loss";
    case Kind::fence:
      return "fence";
    case Kind::fence_timeout:
      return "fence_timeout";
    case Kind::exec:
      return "exec";
    case Kind::frontend:
      return "frontend";
  }
  return "";
}

std::string_view to_string(Effect effect) {
  switch (effect) {
    case Effect::live:
      return "live";
    case Effect::restart:
      return "restart of the resource";
    case Effect::daemon:
      return "restart of hastd";
  }
  return "";
}

std::string to_string(const Change& change) {
  switch (change.kind) {
    case Kind::listen_added:
      return fmt::format("listen: {} added", change.after);
    case Kind::listen_removed:
      return fmt::format("listen: {} removed", change.before);
    case Kind::resource_added:
      return fmt::format("resource {} added", change.resource);
    case Kind::resource_removed:
      return fmt::format("resource {} removed", change.resource);
    default:
      return fmt::format(
          "{}{}{} changed from {} to {}", change.resource.empty() ? "" : "resource ",
          change.resource,
          (change.resource.empty() ? "" : ": ") + std::string(to_string(change.kind)),
          change.before, change.after);
  }
}

}  // namespace hast::config
