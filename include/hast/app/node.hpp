// A node: its resources, the doors peers knock at, and what operators ask of it. Knows no JSON and
// no signals; the control server and the daemon drive it. On the main executor; each resource lives
// on its own, and calls into one hop there and back.
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hast/adapter/component_disk.hpp"
#include "hast/adapter/departure.hpp"
#include "hast/config/config.hpp"
#include "hast/config/diff.hpp"
#include "hast/control/reply.hpp"
#include "hast/control/request.hpp"
#include "hast/engine/acceptor.hpp"
#include "hast/engine/resource.hpp"

namespace hast::app {

class Node final : private engine::ResourceDirectory {
 public:
  struct Outside {
    port::Net& net;
    port::Clock& clock;
    port::Random& random;
    port::HookRunner& hooks;
    std::uint64_t boot = 0;  // engine::Ports
  };

  /// The node itself lives on `executor`, one thread at a time; resources get their own.
  Node(boost::asio::io_context& context, engine::Executor executor, Outside outside);
  ~Node();

  /// Listens and opens every front-end; all resources start in role init. Errors: those of
  /// listening, config_invalid for what this platform cannot do.
  Result<void> start(config::Config config);
  /// Every resource goes to init; returns when nothing runs any more. Devices of the kernel go too,
  /// unless departure() was told that this hastd comes back.
  engine::Awaitable<void> stop();
  /// Applies what can be applied to running resources (semantics §9); what cannot is logged.
  engine::Awaitable<void> reload(config::Config config);

  engine::Awaitable<control::RoleReply> set_role(control::RoleRequest request);
  engine::Awaitable<control::StatusReply> status(control::StatusRequest request);
  engine::Awaitable<control::AttachReply> attach(control::AttachRequest request);
  engine::Awaitable<control::ResolveReply> resolve(control::ResolveRequest request);

  adapter::Departure& departure() { return departure_; }
  const config::Config& config() const { return config_; }
  /// Of requests, all resources together; not with several threads.
  Usage usage() const;

 private:
  struct Member {
    config::ResourceConfig config;
    std::unique_ptr<adapter::ComponentDiskOpener> disks;
    std::unique_ptr<engine::Resource> resource;
  };
  using MemberPtr = std::shared_ptr<Member>;

  std::shared_ptr<engine::Resource> find_resource(std::string_view name) override;
  std::vector<Address> peer_addresses() override;
  engine::Executor make_executor();
  engine::Ports ports(Member& member) const;
  Result<MemberPtr> make_member(const config::ResourceConfig& config);
  Result<std::unique_ptr<port::Frontend>> make_frontend(const config::ResourceConfig& config,
                                                        engine::Executor executor) const;
  Result<void> listen();
  void adjust_listeners(const std::vector<config::Change>& changes, const config::Config& wanted);
  engine::Awaitable<void> adjust_resource(MemberPtr member, config::ResourceConfig wanted);
  MemberPtr find(std::string_view name) const;
  std::vector<std::string> names(const control::Selection& selection) const;
  engine::Awaitable<control::RoleEntry> change_role(std::string name, Role role,
                                                    engine::Force force);
  engine::Awaitable<control::StatusEntry> status_of(std::string name);
  engine::Awaitable<control::AttachEntry> attach_one(std::string name);

  boost::asio::io_context& context_;
  Outside outside_;
  Log log_;
  config::Config config_;
  engine::Executor executor_;
  engine::Acceptor acceptor_;
  adapter::Departure departure_;  // the front-ends look at it
  std::map<std::string, MemberPtr, std::less<>> members_;
};

}  // namespace hast::app
