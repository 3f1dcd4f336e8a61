#include "resolve.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <map>

namespace hast::config {
namespace {

constexpr std::string_view kDefaultControl = "/var/run/hastctl";
constexpr std::string_view kDefaultPidfile = "/var/run/hastd.pid";

/// The innermost value given wins; `built_in` if there is none.
template <class T>
void inherit(T& into, std::initializer_list<const Given<T>*> inner_to_outer) {
  for (const Given<T>* given : inner_to_outer) {
    if (!*given) continue;
    into = (*given)->value;
    return;
  }
}

template <class T>
void override_with(Given<T>& into, const Given<T>& inner) {
  if (inner) into = inner;
}

/// All `nodes` entries that name this machine, merged in file order as the original applies them.
ResourceNode node_keys(const std::vector<Named<ResourceNode>>& nodes, const NodeIdentity& node) {
  ResourceNode keys;
  for (const Named<ResourceNode>& entry : nodes) {
    if (!node.matches(entry.name)) continue;
    override_with(keys.remote, entry.value.remote);
    override_with(keys.local, entry.value.local);
    override_with(keys.source, entry.value.source);
    override_with(keys.name, entry.value.name);
    override_with(keys.metaflush, entry.value.metaflush);
    override_with(keys.io, entry.value.io);
    override_with(keys.frontend.type, entry.value.frontend.type);
    override_with(keys.frontend.listen, entry.value.frontend.listen);
    override_with(keys.frontend.device, entry.value.frontend.device);
    override_with(keys.frontend.connections, entry.value.frontend.connections);
    override_with(keys.frontend.dead_timeout, entry.value.frontend.dead_timeout);
    override_with(keys.frontend.direct_reads, entry.value.frontend.direct_reads);
  }
  return keys;
}

bool names_node(const std::vector<Named<ResourceNode>>& nodes, const NodeIdentity& node) {
  for (const Named<ResourceNode>& entry : nodes)
    if (node.matches(entry.name)) return true;
  return false;
}

ConfiguredAddress fixed_address(std::string_view text, std::uint16_t default_port) {
  Result<Address> parsed = Address::parse(text, default_port);
  HAST_ASSERT(parsed.has_value());
  return {std::string(text), *std::move(parsed)};
}

/// What was meant for a device must not be ignored where nothing says that there is another type.
Result<void> check_device_keys(const FrontendKeys& keys, FrontendType type) {
  const auto refused = [](const auto& given, std::string_view name, std::string_view devices,
                          FrontendType its_type) {
    return yaml::error_at(given->mark, fmt::format("`{}` is for {}: remove this, or write type: {}",
                                                   name, devices, to_string(its_type)));
  };
  const auto of_nbd = [&](const auto& given, std::string_view name) {
    return refused(given, name, "NBD devices", FrontendType::nbd_device);
  };
  if (type != FrontendType::nbd_device) {
    if (keys.device) return of_nbd(keys.device, "device");
    if (keys.connections) return of_nbd(keys.connections, "connections");
    if (keys.dead_timeout) return of_nbd(keys.dead_timeout, "dead_timeout");
  }
  if (type != FrontendType::ggate && keys.direct_reads)
    return refused(keys.direct_reads, "direct_reads", "devices of GEOM gate", FrontendType::ggate);
  return {};
}

Result<FrontendConfig> frontend_of(const FrontendKeys& inner, const FrontendKeys& outer,
                                   std::string_view provider, yaml::Mark mark) {
  FrontendConfig frontend;
  Given<ConfiguredAddress> listen = outer.listen;
  override_with(listen, inner.listen);
  frontend.type = listen ? FrontendType::nbd : kDefaultFrontend;
  inherit(frontend.type, {&inner.type, &outer.type});
  if (Result<void> fits = check_device_keys(inner, frontend.type); !fits)
    return std::move(fits).error();
  if (!inner.type) {
    if (Result<void> fits = check_device_keys(outer, frontend.type); !fits)
      return std::move(fits).error();
  }
  if (frontend.type == FrontendType::nbd_device) {
    if (const auto& device = inner.device ? inner.device : outer.device)
      frontend.device = device->value;
    inherit(frontend.connections, {&inner.connections, &outer.connections});
    inherit(frontend.dead_timeout_s, {&inner.dead_timeout, &outer.dead_timeout});
  }
  if (frontend.type == FrontendType::ggate)
    inherit(frontend.direct_reads, {&inner.direct_reads, &outer.direct_reads});
  if (frontend.type != FrontendType::nbd) return frontend;
  if (listen) {
    frontend.listen = listen->value;
    return frontend;
  }
  const std::string path = fmt::format("/var/run/hast/{}.sock", provider);
  if (path.size() > kMaxUnixPathBytes)
    return yaml::error_at(mark,
                          fmt::format("the default socket {} has a path of more than {} bytes: set "
                                      "frontend.listen or a shorter name",
                                      path, kMaxUnixPathBytes));
  frontend.listen = ConfiguredAddress{"unix://" + path, {Address::Family::unix_socket, path, 0}};
  return frontend;
}

Error no_node(const Named<Resource>& resource, const NodeIdentity& node) {
  return {Errc::no_such_node, 0,
          fmt::format("{}:{}: No resource {} configuration for this node "
                      "(acceptable node names: {})",
                      resource.mark.line, resource.mark.column, resource.name,
                      fmt::join(node.acceptable_names(), ", "))};
}

Result<ResourceConfig> resolve_resource(const Named<Resource>& named, const Settings& defaults,
                                        const NodeIdentity& node) {
  const Resource& given = named.value;
  if (named.name == "all")
    return yaml::error_at(named.mark, "\"all\" means every resource: choose another name");
  if (!names_node(given.nodes, node)) return no_node(named, node);
  const ResourceNode keys = node_keys(given.nodes, node);
  if (!keys.remote)
    return yaml::error_at(
        named.mark, fmt::format("Remote address not configured for resource {}. Add `remote` to "
                                "this node's entry (`none` if there is no peer yet)",
                                named.name));

  ResourceConfig resource;
  resource.name = resource.provider_name = named.name;
  inherit(resource.provider_name, {&keys.name, &given.name});
  inherit(resource.local, {&keys.local, &given.local});
  if (resource.local.empty())
    return yaml::error_at(named.mark,
                          fmt::format("Path to local component not configured for resource {}. Add "
                                      "`local` to the resource or to this node's entry",
                                      named.name));
  resource.remote = keys.remote->value.peer;
  if (keys.source) resource.source = keys.source->value;
  inherit(resource.replication, {&given.replication, &defaults.replication});
  inherit(resource.checksum, {&given.checksum, &defaults.checksum});
  inherit(resource.compression, {&given.compression, &defaults.compression});
  inherit(resource.timeout_s, {&given.timeout, &defaults.timeout});
  inherit(resource.heartbeat_s, {&given.heartbeat, &defaults.heartbeat});
  inherit(resource.metaflush, {&keys.metaflush, &given.metaflush, &defaults.metaflush});
  inherit(resource.io, {&keys.io, &given.io, &defaults.io});
  inherit(resource.on_local_error, {&given.on_local_error, &defaults.on_local_error});
  inherit(resource.on_peer_loss, {&given.on_peer_loss, &defaults.on_peer_loss});
  inherit(resource.fence, {&given.fence, &defaults.fence});
  inherit(resource.fence_timeout_s, {&given.fence_timeout, &defaults.fence_timeout});
  inherit(resource.exec, {&given.exec, &defaults.exec});
  Result<FrontendConfig> frontend =
      frontend_of(keys.frontend, given.frontend, resource.provider_name, named.mark);
  if (!frontend) return std::move(frontend).error();
  resource.frontend = *std::move(frontend);
  return resource;
}

void resolve_daemon(const Document& document, const NodeIdentity& node, Config& config) {
  DaemonKeys keys = document;
  for (const Named<DaemonKeys>& entry : document.nodes) {
    if (!node.matches(entry.name)) continue;
    override_with(keys.control, entry.value.control);
    override_with(keys.pidfile, entry.value.pidfile);
    override_with(keys.listen, entry.value.listen);
  }
  config.control = fixed_address(kDefaultControl, 0);
  inherit(config.control, {&keys.control});
  config.pidfile = kDefaultPidfile;
  inherit(config.pidfile, {&keys.pidfile});
  config.listen_is_default = !keys.listen;
  config.listen = {fixed_address("tcp4://0.0.0.0:8457", kDefaultPort),
                   fixed_address("tcp6://[::]:8457", kDefaultPort)};
  inherit(config.listen, {&keys.listen});
  inherit(config.threads, {&document.threads});
  inherit(config.busy_poll_us, {&document.busy_poll});
}

/// What only one resource of a node may have: two of them would write the same disk, or fight for
/// the same name or socket.
class Uniqueness {
 public:
  explicit Uniqueness(const Config& config) {
    sockets_[to_string(config.control.address)] = "`control`";
    for (const ConfiguredAddress& listen : config.listen)
      sockets_[to_string(listen.address)] = "`listen`";
  }

  Result<void> claim(const ResourceConfig& resource, yaml::Mark mark) {
    const std::string owner = fmt::format("resource {}", resource.name);
    const std::string local = std::filesystem::path(resource.local).lexically_normal().string();
    if (Result<void> ok = claim_in(locals_, local, "local component", owner, mark); !ok) return ok;
    if (Result<void> ok = claim_in(names_, resource.provider_name, "name", owner, mark); !ok)
      return ok;
    if (resource.frontend.device) {
      const std::string device = fmt::format("/dev/nbd{}", *resource.frontend.device);
      return claim_in(devices_, device, "device", owner, mark);
    }
    if (!resource.frontend.listen) return {};
    return claim_in(sockets_, to_string(resource.frontend.listen->address), "address", owner, mark);
  }

 private:
  using Owners = std::map<std::string, std::string>;

  static Result<void> claim_in(Owners& owners, const std::string& what, std::string_view kind,
                               const std::string& owner, yaml::Mark mark) {
    const auto [earlier, added] = owners.emplace(what, owner);
    if (added) return {};
    return yaml::error_at(
        mark, fmt::format("{} has the same {} as {}: {}", owner, kind, earlier->second, what));
  }

  Owners locals_, names_, sockets_, devices_;
};

}  // namespace

Result<Config> resolve(const Document& document, const NodeIdentity& node) {
  Config config;
  resolve_daemon(document, node, config);
  Uniqueness unique(config);
  for (const Named<Resource>& named : document.resources) {
    Result<ResourceConfig> resource = resolve_resource(named, document.defaults, node);
    if (!resource) return std::move(resource).error();
    if (resource->frontend.type == FrontendType::ublk && config.threads > 1)
      return yaml::error_at(named.mark,
                            fmt::format("resource {} has a front-end of type ublk, whose requests "
                                        "all have to come to one thread: write threads: 1, or "
                                        "type: nbd-device",
                                        resource->name));
    if (Result<void> ok = unique.claim(*resource, named.mark); !ok) return std::move(ok).error();
    config.resources.push_back(*std::move(resource));
  }
  return config;
}

}  // namespace hast::config
