#include "hast/app/node.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/strand.hpp>
#include <ctime>

#include "hast/adapter/ggate/frontend.hpp"
#include "hast/adapter/nbd/export.hpp"
#include "hast/adapter/nbd_device/frontend.hpp"
#include "hast/adapter/ublk/frontend.hpp"
#include "hast/app/status_text.hpp"
#include "hast/engine/run_on.hpp"

namespace hast::app {

namespace {

#ifdef __FreeBSD__
constexpr std::string_view kStateFolder = "/var/db/hast";
#else
constexpr std::string_view kStateFolder = "/var/lib/hast";
#endif

engine::ResourceSettings settings_of(const config::ResourceConfig& config) {
  engine::ResourceSettings settings;
  settings.name = config.name;
  settings.local = config.local;
  if (config.remote) settings.remote = config.remote->address;
  if (config.source) settings.source = config.source->address;
  settings.replication = config.replication;
  settings.checksum = config.checksum;
  settings.compression = config.compression;
  settings.timeout = std::chrono::seconds(config.timeout_s);
  settings.heartbeat = std::chrono::seconds(config.heartbeat_s);
  settings.metaflush = config.metaflush;
  settings.io = config.io;
  settings.on_local_error = config.on_local_error;
  settings.on_peer_loss = config.on_peer_loss;
  settings.fence = config.fence;
  settings.fence_timeout = std::chrono::seconds(config.fence_timeout_s);
  settings.exec = config.exec;
  return settings;
}

Error named(Error error, const config::ResourceConfig& config) {
  error.detail = "resource " + config.name + ": " + error.detail;
  return error;
}

Result<std::unique_ptr<port::Frontend>> make_nbd_device(const config::ResourceConfig& config,
                                                        engine::Executor executor,
                                                        const adapter::Departure& departure) {
  adapter::nbd_device::NbdDeviceOptions options;
  options.name = config.provider_name;
  options.index = config.frontend.device;
  options.connections = config.frontend.connections;
  options.dead_timeout_s = config.frontend.dead_timeout_s;
  options.departure = &departure;
  options.log = Log("[" + config.name + "] ");
  Result<std::unique_ptr<port::Frontend>> device =
      adapter::nbd_device::open_nbd_device(std::move(executor), std::move(options));
  if (!device) return named(std::move(device).error(), config);
  return device;
}

Result<std::unique_ptr<port::Frontend>> make_ublk(const config::ResourceConfig& config,
                                                  engine::Executor executor,
                                                  const adapter::Departure& departure) {
  adapter::ublk::UblkOptions options;
  options.name = config.provider_name;
  options.departure = &departure;
  options.log = Log("[" + config.name + "] ");
  Result<std::unique_ptr<port::Frontend>> device =
      adapter::ublk::open_ublk(std::move(executor), std::move(options));
  if (!device) return named(std::move(device).error(), config);
  return device;
}

Result<std::unique_ptr<port::Frontend>> make_gate(const config::ResourceConfig& config,
                                                  engine::Executor executor,
                                                  const adapter::Departure& departure) {
  Result<std::unique_ptr<adapter::ggate::GateDevice>> device =
      adapter::ggate::kernel_gate("hast/" + config.provider_name);
  if (!device) return named(std::move(device).error(), config);
  adapter::ggate::GgateOptions options;
  options.direct_reads = config.frontend.direct_reads;
  options.departure = &departure;
  options.log = Log("[" + config.name + "] ");
  return std::unique_ptr<port::Frontend>(std::make_unique<adapter::ggate::GgateFrontend>(
      std::move(executor), std::move(device).value(), std::move(options)));
}

/// Where what a node gives up is saved, unless the operator says where.
std::string backup_path(const std::string& resource) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("{}/{}-discarded-{:04}{:02}{:02}T{:02}{:02}{:02}Z.img", kStateFolder, resource,
                     utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                     utc.tm_sec);
}

bool same_frontend(const config::ResourceConfig& a, const config::ResourceConfig& b) {
  return a.frontend == b.frontend && a.provider_name == b.provider_name;
}

}  // namespace

Node::Node(boost::asio::io_context& context, engine::Executor executor, Outside outside)
    : context_(context),
      outside_(outside),
      executor_(std::move(executor)),
      acceptor_(executor_, outside.net, outside.clock, *this) {}

Node::~Node() = default;

/// With one thread everything shares the node's executor: no strand, no hop.
engine::Executor Node::make_executor() {
  if (config_.threads > 1) return boost::asio::make_strand(context_);
  return executor_;
}

engine::Ports Node::ports(Member& member) const {
  return {outside_.net,  outside_.clock, outside_.random,
          *member.disks, outside_.hooks, outside_.boot};
}

Result<std::unique_ptr<port::Frontend>> Node::make_frontend(const config::ResourceConfig& config,
                                                            engine::Executor executor) const {
  if (config.frontend.type == config::FrontendType::ggate)
    return make_gate(config, std::move(executor), departure_);
  if (config.frontend.type == config::FrontendType::nbd_device)
    return make_nbd_device(config, std::move(executor), departure_);
  if (config.frontend.type == config::FrontendType::ublk)
    return make_ublk(config, std::move(executor), departure_);
  adapter::nbd::NbdOptions options;
  options.listen = config.frontend.listen->address;
  options.export_name = config.provider_name;
  options.description = "hast resource " + config.name;
  options.log = Log("[" + config.name + "] ");
  return std::unique_ptr<port::Frontend>(
      std::make_unique<adapter::nbd::NbdExport>(std::move(executor), std::move(options)));
}

Result<Node::MemberPtr> Node::make_member(const config::ResourceConfig& config) {
  engine::Executor executor = make_executor();
  Result<std::unique_ptr<port::Frontend>> frontend = make_frontend(config, executor);
  if (!frontend) return std::move(frontend).error();
  auto member = std::make_shared<Member>();
  member->config = config;
  member->disks = std::make_unique<adapter::ComponentDiskOpener>(executor);
  member->disks->set_io(config.io);
  member->resource = std::make_unique<engine::Resource>(
      executor, settings_of(config), ports(*member), std::move(frontend).value());
  if (Result<void> started = member->resource->start(); !started)
    return named(std::move(started).error(), config);
  return member;
}

Result<void> Node::start(config::Config config) {
  config_ = std::move(config);
  for (const config::ResourceConfig& resource : config_.resources) {
    Result<MemberPtr> member = make_member(resource);
    if (!member) return std::move(member).error();
    members_.emplace(resource.name, std::move(member).value());
  }
  return listen();
}

Result<void> Node::listen() {
  bool any = false;
  Result<void> outcome;
  for (const config::ConfiguredAddress& address : config_.listen) {
    Result<void> listening = acceptor_.listen(address.address);
    any = any || listening.has_value();
    // Of the two defaults one is enough: a kernel without IPv6 must not keep the node from
    // starting.
    if (!listening && (!config_.listen_is_default || !any)) outcome = std::move(listening);
  }
  return any && config_.listen_is_default ? Result<void>{} : outcome;
}

engine::Awaitable<void> Node::stop() {
  co_await acceptor_.stop();
  engine::TaskGroup stopping(executor_);
  for (auto& [name, member] : members_)
    stopping.spawn(boost::asio::co_spawn(member->resource->executor(), member->resource->stop(),
                                         boost::asio::use_awaitable));
  co_await stopping.join();
  members_.clear();
}

Node::MemberPtr Node::find(std::string_view name) const {
  const auto found = members_.find(name);
  return found == members_.end() ? nullptr : found->second;
}

std::shared_ptr<engine::Resource> Node::find_resource(std::string_view name) {
  const MemberPtr member = find(name);
  if (!member) return nullptr;
  return {member, member->resource.get()};
}

std::vector<Address> Node::peer_addresses() {
  std::vector<Address> addresses;
  for (const config::ResourceConfig& resource : config_.resources) {
    if (resource.remote) addresses.push_back(resource.remote->address);
  }
  return addresses;
}

// What operators ask ------------------------------------------------------------------------------

std::vector<std::string> Node::names(const control::Selection& selection) const {
  if (!selection.all) return selection.names;
  std::vector<std::string> all;
  for (const config::ResourceConfig& resource : config_.resources) all.push_back(resource.name);
  return all;
}

engine::Awaitable<control::RoleEntry> Node::change_role(std::string name, Role role,
                                                        engine::Force force) {
  const MemberPtr member = find(name);  // shared: a reload may drop the resource meanwhile
  if (!member) {
    control::RoleEntry unknown{name, Errc::no_such_resource};
    co_return unknown;
  }
  Result<Role> previous = co_await engine::run_on(member->resource->executor(),
                                                  member->resource->set_role(role, force));
  if (!previous) {
    control::RoleEntry refused{name, std::move(previous).error()};
    co_return refused;
  }
  control::RoleEntry changed{name, control::RoleChange{*previous, role}};
  co_return changed;
}

engine::Awaitable<control::RoleReply> Node::set_role(control::RoleRequest request) {
  const std::vector<std::string> wanted = names(request.resources);
  std::vector<std::optional<control::RoleEntry>> entries(wanted.size());
  engine::TaskGroup changes(executor_);
  const engine::Force force = request.force ? engine::Force::yes : engine::Force::no;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    changes.spawn(engine::store_result(change_role(wanted[i], request.role, force), &entries[i]));
  co_await changes.join();
  control::RoleReply reply;
  for (std::optional<control::RoleEntry>& entry : entries)
    reply.resources.push_back(std::move(*entry));
  co_return reply;
}

namespace {

engine::Awaitable<engine::ResourceStatus> status_now(const engine::Resource* resource) {
  co_return resource->status();
}

}  // namespace

engine::Awaitable<control::StatusEntry> Node::status_of(std::string name) {
  const MemberPtr member = find(name);
  if (!member) {
    control::StatusEntry unknown{name, Errc::no_such_resource};
    co_return unknown;
  }
  const engine::ResourceStatus status =
      co_await engine::run_on(member->resource->executor(), status_now(member->resource.get()));
  control::StatusEntry entry{name, control_status(member->config, status, ::getpid())};
  co_return entry;
}

engine::Awaitable<control::StatusReply> Node::status(control::StatusRequest request) {
  control::StatusReply reply;
  for (std::string& name : names(request.resources)) {
    control::StatusEntry entry = co_await status_of(std::move(name));
    reply.resources.push_back(std::move(entry));
  }
  co_return reply;
}

// Components and split-brain ----------------------------------------------------------------------

engine::Awaitable<control::AttachEntry> Node::attach_one(std::string name) {
  const MemberPtr member = find(name);
  if (!member) {
    control::AttachEntry unknown{name, Errc::no_such_resource};
    co_return unknown;
  }
  Result<engine::Attached> attached =
      co_await engine::run_on(member->resource->executor(), member->resource->attach());
  if (!attached) {
    control::AttachEntry refused{name, std::move(attached).error()};
    co_return refused;
  }
  control::AttachEntry entry{name,
                             control::Attachment{attached->was_lost, attached->to_copy_bytes}};
  co_return entry;
}

engine::Awaitable<control::AttachReply> Node::attach(control::AttachRequest request) {
  control::AttachReply reply;
  for (std::string& name : names(request.resources)) {
    control::AttachEntry entry = co_await attach_one(std::move(name));
    reply.resources.push_back(std::move(entry));
  }
  co_return reply;
}

engine::Awaitable<control::ResolveReply> Node::resolve(control::ResolveRequest request) {
  control::ResolveReply reply;
  const MemberPtr member = find(request.resource);
  if (!member) {
    reply.resources.push_back({request.resource, Errc::no_such_resource});
    co_return reply;
  }
  engine::DiscardOrder order;
  if (!request.dry_run) order.doing = engine::DiscardOrder::Doing::discard;
  if (request.save && !request.dry_run)
    order.backup = request.backup.empty() ? backup_path(request.resource) : request.backup;
  Result<engine::Discarded> discarded = co_await engine::run_on(
      member->resource->executor(), member->resource->discard_own_changes(order));
  if (!discarded) {
    reply.resources.push_back({request.resource, std::move(discarded).error()});
    co_return reply;
  }
  reply.resources.push_back(
      {request.resource,
       control::Resolution{discarded->extents, discarded->bytes, order.backup, !request.dry_run}});
  co_return reply;
}

// Reload ------------------------------------------------------------------------------------------

void Node::adjust_listeners(const std::vector<config::Change>& changes,
                            const config::Config& wanted) {
  using Kind = config::Change::Kind;
  const bool any = std::any_of(changes.begin(), changes.end(), [](const config::Change& change) {
    return change.kind == Kind::listen_added || change.kind == Kind::listen_removed;
  });
  if (!any) return;
  const std::vector<Address> present = acceptor_.listening();
  auto is_wanted = [&wanted](const Address& address) {
    return std::any_of(wanted.listen.begin(), wanted.listen.end(),
                       [&address](const auto& listen) { return listen.address == address; });
  };
  std::size_t usable =
      static_cast<std::size_t>(std::count_if(present.begin(), present.end(), is_wanted));
  for (const config::ConfiguredAddress& listen : wanted.listen) {
    if (std::find(present.begin(), present.end(), listen.address) != present.end()) continue;
    if (Result<void> listening = acceptor_.listen(listen.address); listening) {
      ++usable;
    } else {
      log_.warning("Reload: {}", listening.error().message());
    }
  }
  if (usable == 0) {
    log_.error("Reload: none of the new listen addresses can be used; the old ones stay.");
    return;
  }
  for (const Address& address : present) {
    if (!is_wanted(address)) acceptor_.unlisten(address);
  }
}

engine::Awaitable<void> Node::adjust_resource(MemberPtr member, config::ResourceConfig wanted) {
  engine::Resource* resource = member->resource.get();
  const bool new_frontend = !same_frontend(member->config, wanted);
  member->config = wanted;
  member->disks->set_io(wanted.io);
  co_await boost::asio::co_spawn(resource->executor(), resource->reload(settings_of(wanted)),
                                 boost::asio::use_awaitable);
  if (!new_frontend) co_return;
  Result<std::unique_ptr<port::Frontend>> frontend = make_frontend(wanted, resource->executor());
  if (!frontend) {
    log_.error("Reload: {}", frontend.error().message());
    co_return;
  }
  co_await boost::asio::co_spawn(resource->executor(),
                                 resource->replace_frontend(std::move(frontend).value()),
                                 boost::asio::use_awaitable);
}

Usage Node::usage() const {
  Usage usage;
  for (const auto& [name, member] : members_) usage += member->resource->usage();
  return usage;
}

engine::Awaitable<void> Node::reload(config::Config config) {
  const std::vector<config::Change> changes = config::diff(config_, config);
  for (const config::Change& change : changes) log_.info("Reload: {}", config::to_string(change));
  if (changes.empty()) log_.info("Reload: nothing changed.");
  adjust_listeners(changes, config);
  const std::uint32_t threads = config_.threads;  // only a restart changes them
  for (const config::ResourceConfig& old : config_.resources) {
    if (config.find(old.name) != nullptr) continue;
    const MemberPtr gone = find(old.name);
    members_.erase(old.name);
    if (!gone) continue;
    co_await boost::asio::co_spawn(gone->resource->executor(), gone->resource->stop(),
                                   boost::asio::use_awaitable);
  }
  for (const config::ResourceConfig& resource : config.resources) {
    const MemberPtr member = find(resource.name);
    if (member) {
      if (!(member->config == resource)) co_await adjust_resource(member, resource);
      continue;
    }
    Result<MemberPtr> added = make_member(resource);
    if (added) {
      members_.emplace(resource.name, std::move(added).value());
    } else {
      log_.error("Reload: {}", added.error().message());
    }
  }
  config_ = std::move(config);
  config_.threads = threads;
}

}  // namespace hast::app
