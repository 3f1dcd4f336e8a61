#include "story.hpp"

namespace hast::sim {

using namespace std::chrono_literals;

namespace {

WorldOptions options_of(Replication mode) {
  WorldOptions options;
  options.volume.component_bytes = 1024 * 1024 + 64 * 1024;
  options.volume.extent_bytes = 8 * 1024;
  options.volume.keepdirty = 1;
  options.replication = mode;
  options.timeout = 2s;
  return options;
}

}  // namespace

Story::Story(Replication mode)
    : world_(options_of(mode)),
      history_(world_.a().layout().data_bytes / History::kSectorBytes),
      guard_(world_),
      primary_(&world_.a()) {}

Story::~Story() {
  world_.a().kill();
  world_.b().kill();
  world_.settle();
}

// The client --------------------------------------------------------------------------------------

void Story::request(ClientRequest asked, const History::Range& range) {
  using Outcome = History::Outcome;
  const Outcome success = asked.fua ? Outcome::acknowledged_durable : Outcome::acknowledged;
  asked.offset_bytes = range.offset_bytes();
  asked.length_bytes = range.length_bytes();
  const std::optional<int> error = primary_->request(std::move(asked));
  if (!error) return blame("a request is not answered within a minute");
  const Outcome failure = *error == kUnknown ? Outcome::open : Outcome::failed;
  history_.end_write(range, *error == 0 ? success : failure);
}

void Story::write(std::uint64_t sector, std::uint64_t count, IoKind kind) {
  if (!goes_on()) return;
  const History::Range range{sector, count};
  ClientRequest asked;
  asked.kind = kind;
  if (kind == IoKind::write) {
    asked.data.resize(range.length_bytes());
    History::fill(history_.begin_write(range), range, asked.data);
  } else {
    history_.begin_zeroes(range);
  }
  request(std::move(asked), range);
}

void Story::forced_write(std::uint64_t sector, std::uint64_t count) {
  if (!goes_on()) return;
  const History::Range range{sector, count};
  ClientRequest asked;
  asked.kind = IoKind::write;
  asked.fua = true;
  asked.data.resize(range.length_bytes());
  History::fill(history_.begin_write(range), range, asked.data);
  request(std::move(asked), range);
}

void Story::flush() {
  if (!goes_on()) return;
  const History::Moment sent = history_.now();
  if (primary_->flush() == 0) history_.flushed(sent);
}

// The story ---------------------------------------------------------------------------------------

void Story::tell(Machine& machine, std::function<void(std::uint64_t)> before) {
  if (!world_.start_pair()) return blame("the pair does not start");
  guard_.also(machine, [this, before = std::move(before)](const port::DiskOp&) {
    ++operations_;
    before(operations_);
  });
  write(0, 8);
  write(40, 4);
  flush();
  write(2, 3);
  forced_write(64, 4);
  write(18, 6, IoKind::write_zeroes);
  world_.network().reset(world_.a().host(), world_.b().host());
  write(90, 4);
  write(1, 2, IoKind::discard);
  if (goes_on()) world_.run_for(3s);  // they find each other, copy and clean
  write(20, 2);
  flush();
  write(100, 1);
  if (goes_on()) world_.run_for(2s);
  guard_.also(machine, nullptr);
}

// The operator ------------------------------------------------------------------------------------

void Story::note_loss(Machine& machine, bool power) {
  if (&machine != primary_) return;
  const engine::ResourceStatus status = world_.b().status();
  other_was_complete_ = status.connected && world_.synced(*primary_);
  power_lost_ = power;
}

void Story::take_up(Machine& machine, Role role) {
  const std::optional<Result<Role>> changed = machine.role(role);
  if (!changed) return blame(machine.name() + " does not change its role within a minute");
  const bool unfit = !*changed && (changed->error().code == Errc::component_inconsistent ||
                                   changed->error().code == Errc::component_outdated);
  if (unfit && &machine == primary_) return promote_other();  // INV-5
  if (!*changed) blame(machine.name() + " refuses: " + changed->error().message());
}

/// The disk of the primary was given up: the other node has everything.
void Story::promote_other() {
  Machine& lost = *primary_;
  primary_ = &world_.other(lost);
  if (lost.up()) take_up(lost, Role::init);
  take_up(*primary_, Role::primary);
  if (!lost.up()) lost.boot();
  lost.create("shared", world_.options().volume);
  take_up(lost, Role::secondary);
}

void Story::recover(Primary choice) {
  for (Machine* machine : {&world_.a(), &world_.b()}) machine->drive().faults.clear();
  if (!world_.b().up()) world_.b().boot();
  if (choice == Primary::other) {
    primary_ = &world_.b();
  } else if (power_lost_) {
    history_.power_lost();
  }
  if (primary_->status().io.local_lost) {
    if (!primary_->metadata()->inconsistent) return promote_other();
    take_up(*primary_, Role::init);
  }
  if (primary_->status().io.flush_lost) take_up(*primary_, Role::init);
  if (!primary_->up()) primary_->boot();
  take_up(*primary_, Role::primary);
  Machine& other = world_.other(*primary_);  // it may have taken over
  if (!other.up()) other.boot();
  take_up(other, Role::secondary);
}

void Story::finish() {
  if (!wrong_.empty()) return;
  if (!world_.run_until_synced(*primary_, 2min)) return blame("not in sync (INV-13)");
  // A connection may be dead without anybody knowing it: ask.
  const std::optional<int> asked = primary_->flush();
  if (asked != 0) return blame("healed, and a flush fails");
  if (!world_.run_until_synced(*primary_, 2min)) return blame("asked, and not in sync (INV-13)");
  const History::Range everything{0, history_.sectors()};
  const Machine::Answer answer = primary_->read(0, everything.length_bytes());
  if (answer.error != 0) return blame("reading fails");
  if (auto problem = history_.read(everything, answer.data)) return blame(*problem);
  take_up(*primary_, Role::init);
  if (map_of(*primary_, Layer::durable).any()) blame("an orderly end left bits in the map");
  if (world_.different_bytes() > 0) blame("in sync, and the nodes differ");
  if (auto difference = unmarked_difference(world_)) blame(*difference);
  for (const std::string& what : guard_.wrong()) blame(what);
}

}  // namespace hast::sim
