// One hastd of a simulated machine: production resources and acceptor over simulated ports.
//
// Death. A process that dies must stop having effects at that instant, but its coroutines and the
// core's intrusive lists cannot simply be dropped. So kill() first severs it from the world: its
// disk operations leave their traces and nothing of it becomes durable any more, its connections
// end or vanish, its clients learn that no answer will come, its hooks are not run, its timers end
// at once. Then what is left of it is drained: the ordinary stop runs, every operation it waits for
// fails immediately, and no virtual time passes. The next process of the machine may already live.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clock.hpp"
#include "disk.hpp"
#include "frontend.hpp"
#include "hast/engine/acceptor.hpp"
#include "hast/engine/resource.hpp"
#include "hooks.hpp"
#include "stream.hpp"

namespace hast::sim {

/// A change of role on its way: `outcome` is there when it has ended.
struct RoleChange {
  std::optional<Result<Role>> outcome;
};

struct ProcessParts {
  boost::asio::io_context& context;
  VirtualClock& clock;
  Trace& trace;
  Network& network;
  SeededRandom random;
  std::string host;
  bool strands = false;  // resources on executors of their own, as with several threads
  HookLines& hooks;
  Intake intake = Intake::single;
  bool direct_reads = false;  // clients read from the component where they may
  std::uint64_t boot = 0;     // engine::Ports
};

class Process final : private engine::ResourceDirectory {
 public:
  explicit Process(const ProcessParts& parts);
  ~Process();

  /// `path` is where the machine has the drive; the settings may well name another.
  void add(engine::ResourceSettings settings, std::string path, Drive& drive);
  Result<void> start(const std::vector<Address>& listen);

  std::shared_ptr<RoleChange> set_role(const std::string& name, Role role,
                                       engine::Force force = engine::Force::no);
  /// `hastctl attach`; the outcome is empty until it has ended.
  std::shared_ptr<std::optional<Result<engine::Attached>>> attach(const std::string& name);
  /// `hastctl resolve --discard local --no-backup`.
  std::shared_ptr<std::optional<Result<engine::Discarded>>> discard_own_changes(
      const std::string& name);
  std::shared_ptr<bool> reload(engine::ResourceSettings settings);
  std::shared_ptr<bool> replace_frontend(const std::string& name);

  /// An orderly end: as SIGTERM.
  void stop();
  /// The sudden end. Connections close as a kernel closes them; after Network::power_off() they
  /// have vanished before.
  void kill();
  /// Nothing of it runs any more.
  bool ended() const { return stopping_ && tasks_.size() == 0; }
  bool alive() const { return !stopping_; }

  engine::Resource& resource(const std::string& name);
  /// nullptr once stopped.
  SimFrontend* frontend(const std::string& name);
  SimDiskOpener& disks() { return disks_; }
  ProcessNet& net() { return net_; }
  engine::Acceptor& acceptor() { return acceptor_; }

 private:
  struct Unit {
    std::string name;
    engine::Executor executor;
    Drive* drive = nullptr;
    SimFrontend* frontend = nullptr;
    std::shared_ptr<engine::Resource> resource;
  };

  Unit& unit(const std::string& name);
  std::unique_ptr<SimFrontend> make_frontend(Unit& unit);
  std::shared_ptr<engine::Resource> find_resource(std::string_view name) override;
  std::vector<Address> peer_addresses() override;
  engine::Awaitable<void> change_role(Unit* unit, Role role, engine::Force force,
                                      std::shared_ptr<RoleChange> change);
  engine::Awaitable<void> change_settings(Unit* unit, engine::ResourceSettings settings,
                                          std::shared_ptr<bool> done);
  engine::Awaitable<void> change_frontend(Unit* unit, std::shared_ptr<bool> done);
  engine::Awaitable<void> stop_all();

  boost::asio::io_context& context_;
  Trace& trace_;
  std::string host_;
  bool strands_;
  Intake intake_;
  bool direct_reads_;
  std::uint64_t boot_;
  SeededRandom random_;
  ProcessClock clock_;
  ProcessNet net_;
  SimDiskOpener disks_;
  HookRecorder hooks_;
  engine::TaskGroup tasks_;
  std::vector<std::unique_ptr<Unit>> units_;
  engine::Acceptor acceptor_;
  bool stopping_ = false;
  bool dead_ = false;
};

}  // namespace hast::sim
