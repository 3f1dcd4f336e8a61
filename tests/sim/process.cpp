#include "process.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>

#include "hast/engine/run_on.hpp"

namespace hast::sim {

Process::Process(const ProcessParts& parts)
    : context_(parts.context),
      trace_(parts.trace),
      host_(parts.host),
      strands_(parts.strands),
      intake_(parts.intake),
      direct_reads_(parts.direct_reads),
      boot_(parts.boot),
      random_(parts.random),
      clock_(parts.clock),
      net_(parts.network, parts.host),
      disks_({parts.clock, parts.trace, parts.context.get_executor()}, random_.fork(), parts.host),
      hooks_(parts.hooks, parts.trace, parts.host),
      tasks_(parts.context.get_executor()),
      acceptor_(parts.context.get_executor(), net_, clock_, *this) {}

Process::~Process() { HAST_ASSERT(ended()); }

std::unique_ptr<SimFrontend> Process::make_frontend(Unit& unit) {
  auto frontend = std::make_unique<SimFrontend>(unit.executor, trace_, host_, intake_,
                                                direct_reads_ ? unit.drive : nullptr);
  unit.frontend = frontend.get();
  if (dead_) frontend->kill();
  return frontend;
}

void Process::add(engine::ResourceSettings settings, std::string path, Drive& drive) {
  auto unit = std::make_unique<Unit>();
  unit->name = settings.name;
  unit->drive = &drive;
  unit->executor = context_.get_executor();
  if (strands_) unit->executor = boost::asio::make_strand(context_);
  disks_.add(std::move(path), drive);
  const engine::Ports ports{net_, clock_, random_, disks_, hooks_, boot_};
  std::unique_ptr<port::Frontend> frontend = make_frontend(*unit);
  unit->resource = std::make_unique<engine::Resource>(unit->executor, std::move(settings), ports,
                                                      std::move(frontend));
  units_.push_back(std::move(unit));
}

Result<void> Process::start(const std::vector<Address>& listen) {
  for (const std::unique_ptr<Unit>& unit : units_) {
    if (Result<void> started = unit->resource->start(); !started) return started;
  }
  for (const Address& address : listen) {
    if (Result<void> listening = acceptor_.listen(address); !listening) return listening;
  }
  return {};
}

Process::Unit& Process::unit(const std::string& name) {
  for (const std::unique_ptr<Unit>& unit : units_) {
    if (unit->name == name) return *unit;
  }
  HAST_ASSERT(false);
  return *units_.front();
}

engine::Resource& Process::resource(const std::string& name) { return *unit(name).resource; }
SimFrontend* Process::frontend(const std::string& name) { return unit(name).frontend; }

std::shared_ptr<engine::Resource> Process::find_resource(std::string_view name) {
  for (const std::unique_ptr<Unit>& unit : units_) {
    if (unit->name == name) return unit->resource;
  }
  return nullptr;
}

std::vector<Address> Process::peer_addresses() {
  std::vector<Address> addresses;
  for (const std::unique_ptr<Unit>& unit : units_) {
    const std::optional<Address>& remote = unit->resource->settings().remote;
    if (remote) addresses.push_back(*remote);
  }
  return addresses;
}

// What operators do -------------------------------------------------------------------------------

std::shared_ptr<RoleChange> Process::set_role(const std::string& name, Role role,
                                              engine::Force force) {
  auto change = std::make_shared<RoleChange>();
  tasks_.spawn(change_role(&unit(name), role, force, change));
  return change;
}

engine::Awaitable<void> Process::change_role(Unit* unit, Role role, engine::Force force,
                                             std::shared_ptr<RoleChange> change) {
  change->outcome.emplace(
      co_await engine::run_on(unit->executor, unit->resource->set_role(role, force)));
}

namespace {

template <class T>
engine::Awaitable<void> carry_out(engine::Executor executor, engine::Awaitable<Result<T>> work,
                                  std::shared_ptr<std::optional<Result<T>>> outcome) {
  outcome->emplace(co_await engine::run_on(std::move(executor), std::move(work)));
}

}  // namespace

std::shared_ptr<std::optional<Result<engine::Attached>>> Process::attach(const std::string& name) {
  auto outcome = std::make_shared<std::optional<Result<engine::Attached>>>();
  Unit& mine = unit(name);
  tasks_.spawn(carry_out(mine.executor, mine.resource->attach(), outcome));
  return outcome;
}

std::shared_ptr<std::optional<Result<engine::Discarded>>> Process::discard_own_changes(
    const std::string& name) {
  auto outcome = std::make_shared<std::optional<Result<engine::Discarded>>>();
  Unit& mine = unit(name);
  engine::DiscardOrder order;
  order.doing = engine::DiscardOrder::Doing::discard;
  tasks_.spawn(carry_out(mine.executor, mine.resource->discard_own_changes(order), outcome));
  return outcome;
}

std::shared_ptr<bool> Process::reload(engine::ResourceSettings settings) {
  auto done = std::make_shared<bool>(false);
  Unit& mine = unit(settings.name);
  tasks_.spawn(change_settings(&mine, std::move(settings), done));
  return done;
}

engine::Awaitable<void> Process::change_settings(Unit* unit, engine::ResourceSettings settings,
                                                 std::shared_ptr<bool> done) {
  co_await boost::asio::co_spawn(unit->executor, unit->resource->reload(std::move(settings)),
                                 boost::asio::use_awaitable);
  *done = true;
}

std::shared_ptr<bool> Process::replace_frontend(const std::string& name) {
  auto done = std::make_shared<bool>(false);
  tasks_.spawn(change_frontend(&unit(name), done));
  return done;
}

engine::Awaitable<void> Process::change_frontend(Unit* unit, std::shared_ptr<bool> done) {
  std::unique_ptr<port::Frontend> frontend = make_frontend(*unit);
  co_await boost::asio::co_spawn(unit->executor,
                                 unit->resource->replace_frontend(std::move(frontend)),
                                 boost::asio::use_awaitable);
  *done = true;
}

void Process::stop() {
  if (std::exchange(stopping_, true)) return;
  tasks_.spawn(stop_all());
}

engine::Awaitable<void> Process::stop_all() {
  co_await acceptor_.stop();
  for (const std::unique_ptr<Unit>& unit : units_) {
    co_await boost::asio::co_spawn(unit->executor, unit->resource->stop(),
                                   boost::asio::use_awaitable);
    unit->frontend = nullptr;
  }
}

void Process::kill() {
  if (std::exchange(dead_, true)) return;
  disks_.cut();  // first: nothing that follows may leave a trace
  net_.kill();
  hooks_.kill();
  for (const std::unique_ptr<Unit>& unit : units_) {
    if (unit->frontend) unit->frontend->kill();
  }
  clock_.kill();
  stop();
}

}  // namespace hast::sim
