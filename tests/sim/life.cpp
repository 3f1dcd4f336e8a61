#include "life.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace hast::sim {

using namespace std::chrono_literals;

namespace {

template <class T>
T one_of(SeededRandom& random, std::initializer_list<T> values) {
  return *(values.begin() + random.below(values.size()));
}

}  // namespace

Life::Life(std::uint64_t seed)
    : random_(seed),
      world_(draw(random_)),
      history_(world_.a().layout().data_bytes / History::kSectorBytes),
      workload_(world_, history_, random_.fork(), draw_workload(random_)),
      guard_(world_),
      primary_(&world_.a()),
      agreed_(history_.now()) {}

Life::~Life() {
  workload_.stop();
  world_.a().kill();
  world_.b().kill();
  world_.settle();
}

WorldOptions Life::draw(SeededRandom& random) {
  WorldOptions options;
  options.seed = random.next();
  options.replication = one_of(random, {Replication::fullsync, Replication::fullsync,
                                        Replication::memsync, Replication::async});
  options.checksum = one_of(random, {Checksum::none, Checksum::crc32});
  options.compression = one_of(random, {Compression::none, Compression::hole, Compression::lzf});
  options.volume.component_bytes = 1024 * 1024 + random.between(1, 8) * 128 * 1024;
  options.volume.extent_bytes = 16u * 1024u << random.below(5);
  options.volume.keepdirty = static_cast<std::uint32_t>(random.between(1, 6));
  options.timeout = std::chrono::seconds(random.between(2, 20));
  options.strands = random.chance(50);
  options.network.min_delay = one_of<port::Duration>(random, {20us, 200us});
  options.network.max_delay = one_of<port::Duration>(random, {300us, 3ms});
  options.network.max_read = one_of<std::size_t>(random, {0, 0, 5000});
  options.network.max_write = one_of<std::size_t>(random, {0, 0, 9000});
  options.network.window_bytes = one_of<std::size_t>(random, {16 * 1024, 512 * 1024});
  options.disk.max_latency = one_of<port::Duration>(random, {100us, 1ms, 5ms});
  return options;
}

WorkloadOptions Life::draw_workload(SeededRandom& random) {
  WorkloadOptions options;
  options.clients = static_cast<unsigned>(random.between(1, 12));
  options.max_pause = one_of<port::Duration>(random, {20ms, 60ms, 200ms});
  options.max_sectors = one_of<std::uint64_t>(random, {1, 8, 64, 256});
  options.flushes = one_of<unsigned>(random, {0, 4, 15});
  return options;
}

void Life::blame(std::string what) {
  wrong_.push_back(fmt::format("{:.3f} s: {}", static_cast<double>(world_.now().count()) / 1e9,
                               std::move(what)));
}

std::string Life::summary() {
  return fmt::format("{:.0f} s, {} losses, {} requests answered, {} of them with an error",
                     static_cast<double>(world_.now().count()) / 1e9, losses_, workload_.answered(),
                     workload_.failed());
}

void Life::run() {
  world_.a().boot();
  world_.b().boot();
  take_up(world_.b(), Role::secondary);
  take_up(world_.a(), Role::primary);
  workload_.attach(*primary_);
  workload_.start();
  const std::uint64_t events = random_.between(2, 6);
  while (events_ < events && wrong_.empty()) {
    ++events_;
    pass_time();
    event();
    check();
  }
  if (wrong_.empty()) end();
  check();
}

// Events ------------------------------------------------------------------------------------------

void Life::event() {
  switch (random_.below(10)) {
    case 0:
    case 1:
    case 2:
      return lose_primary();
    case 3:
    case 4:
      return lose_secondary();
    case 5:
      return lose_both();
    case 6:
      return hand_over();
    default:
      return disturb_network();
  }
}

void Life::pass_time() {
  const std::uint64_t slices = random_.between(1, 8);
  for (std::uint64_t i = 0; i < slices; ++i) {
    world_.run_for(random_.between(port::Duration(1ms), port::Duration(400ms)));
    note_agreement();
  }
}

/// Both nodes have everything that was acknowledged until now.
void Life::note_agreement() {
  if (!other_holds_everything()) return;
  const engine::ResourceStatus status = primary_->status();
  if (status.io.send_queue == 0 && status.io.receive_queue == 0) agreed_ = history_.now();
}

/// Both sides must say so: one alone may not know yet what has become of the other.
bool Life::other_holds_everything() {
  if (!secondary().up()) return false;
  const engine::ResourceStatus status = secondary().status();
  return status.role == Role::secondary && status.connected && world_.synced(*primary_);
}

void Life::take_up(Machine& machine, Role role) {
  const std::optional<Result<Role>> changed = machine.role(role);
  if (!changed) return blame(fmt::format("{} does not become {}", machine.name(), to_string(role)));
  if (!*changed)
    blame(fmt::format("{} refuses to be {}: {}", machine.name(), to_string(role),
                      changed->error().message()));
}

void Life::lose(Machine& machine, Loss loss) {
  ++losses_;
  if (&machine == primary_) {
    other_held_everything_ = other_holds_everything();
    power_lost_ = power_lost_ || loss == Loss::power;
  }
  loss == Loss::power ? machine.power_off() : machine.kill();
}

void Life::lose_at_operation(Machine& machine, Loss loss) {
  if (random_.chance(30)) return lose(machine, loss);
  const std::uint64_t last = machine.drive().operations + random_.between(1, 120);
  guard_.also(machine, [this, &machine, loss, last](const port::DiskOp&) {
    if (machine.up() && machine.drive().operations >= last) lose(machine, loss);
  });
  world_.run_until([&machine] { return !machine.up(); }, 10s);
  guard_.also(machine, nullptr);
  if (machine.up()) lose(machine, loss);
}

void Life::lose_primary() {
  lose_at_operation(*primary_, draw_loss());
  if (random_.chance(30)) pass_time();
  if (other_held_everything_ && secondary().up() && random_.chance(60)) {
    Machine& lost = *primary_;
    promote(secondary());
    if (random_.chance(70)) pass_time();
    lost.boot();
    return take_up(lost, Role::secondary);
  }
  restart_primary();
}

void Life::lose_secondary() {
  lose_at_operation(secondary(), draw_loss());
  pass_time();
  if (random_.chance(30)) return lose_primary_alone();
  restart_secondary();
}

/// The other one is down already: nobody else can serve.
void Life::lose_primary_alone() {
  lose_at_operation(*primary_, draw_loss());
  if (random_.chance(50)) restart_secondary();
  restart_primary();
  if (!secondary().up()) restart_secondary();
}

void Life::lose_both() {
  lose_at_operation(*primary_, draw_loss());
  lose(secondary(), draw_loss());
  if (random_.chance(50)) {
    restart_secondary();
    restart_primary();
  } else {
    restart_primary();
    restart_secondary();
  }
}

Life::Loss Life::draw_loss() { return random_.chance(50) ? Loss::kill : Loss::power; }

void Life::restart_primary() {
  if (std::exchange(power_lost_, false)) history_.power_lost();
  primary_->boot();
  take_up(*primary_, Role::primary);
}

void Life::restart_secondary() {
  secondary().boot();
  take_up(secondary(), Role::secondary);
}

/// By the documented procedure: it holds everything, and the former primary is gone.
void Life::promote(Machine& machine) {
  power_lost_ = false;
  if (world_.options().replication == Replication::async) history_.fell_back_to(agreed_);
  primary_ = &machine;
  workload_.attach(machine);
  take_up(machine, Role::primary);
}

void Life::disturb_network() {
  Network& network = world_.network();
  const std::string& a = world_.a().host();
  const std::string& b = world_.b().host();
  switch (random_.below(4)) {
    case 0:
      return network.reset(a, b);
    case 1:
      network.cut_both(a, b);
      break;
    case 2:
      network.cut(a, b);
      break;
    default:
      network.cut(b, a);
      break;
  }
  world_.clock().after(random_.between(port::Duration(10ms), port::Duration(30s)),
                       [&network] { network.heal(); });
}

/// An orderly change of places, if the operator sees that both hold everything.
void Life::hand_over() {
  if (!other_holds_everything()) return;
  // The network may be gone without anybody knowing. What was acknowledged before its final reply
  // then counts as written here alone (INV-3), rightly in async, to be safe in memsync.
  const engine::ResourceStatus status = primary_->status();
  const bool settled = status.io.send_queue == 0 && status.io.receive_queue == 0;
  if (world_.options().replication != Replication::fullsync && !settled) return;
  Machine& former = *primary_;
  take_up(former, Role::secondary);
  promote(world_.other(former));
}

// The end -----------------------------------------------------------------------------------------

void Life::check() {
  for (const std::string& what : workload_.wrong()) blame(what);
  for (const std::string& what : guard_.wrong()) blame(what);
  if (auto difference = unmarked_difference(world_)) blame(*difference);
  for (const LogLine& line : world_.log()) {
    if (line.level == LogLevel::error) blame("unexpected: " + line.text);
  }
  world_.clear_log();
}

void Life::end() {
  world_.network().heal();
  pass_time();
  if (!world_.run_until_synced(*primary_, 1min)) return blame("healed, and not in sync (INV-13)");
  workload_.stop();
  if (!world_.run_until([this] { return workload_.idle(); }, 1min))
    return blame("a request is never answered");
  if (!world_.run_until_synced(*primary_, 1min)) return blame("idle, and not in sync (INV-13)");
  read_everything();
  const std::uint64_t count = primary_->metadata()->localcnt;
  take_up(*primary_, Role::init);
  if (primary_->metadata()->localcnt != count) blame("an orderly end counted an episode");
  if (primary_->map().any()) blame("an orderly end left bits in the map");
  if (const std::uint64_t bytes = world_.different_bytes(); bytes > 0)
    blame(fmt::format("in sync, and {} bytes differ", bytes));
}

void Life::read_everything() {
  constexpr std::uint64_t kStep = port::kBlockBytes / History::kSectorBytes;
  for (std::uint64_t first = 0; first < history_.sectors(); first += kStep) {
    const History::Range range{first, std::min(kStep, history_.sectors() - first)};
    const Machine::Answer answer = primary_->read(range.offset_bytes(), range.length_bytes());
    if (answer.error != 0) return blame("the last read failed");
    if (auto problem = history_.read(range, answer.data)) return blame("at the end " + *problem);
  }
}

}  // namespace hast::sim
