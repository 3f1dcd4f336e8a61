#include "world.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

namespace hast::sim {

using namespace std::chrono_literals;

namespace {
/// More handlers than any instant of a sane world needs: somebody runs in a circle.
constexpr std::size_t kMaxHandlersAtOnce = 2'000'000;
}  // namespace

World::World(WorldOptions options)
    : options_(std::move(options)),
      context_(1),
      trace_(clock_),
      random_(options_.seed),
      network_(clock_, trace_, random_.fork(), options_.network),
      a_(*this, "a", "10.0.0.1", random_.fork()),
      b_(*this, "b", "10.0.0.2", random_.fork()),
      printing_(std::getenv("HAST_SIM_TRACE") != nullptr) {
  tap_log([this](LogLevel level, std::string_view line) { tap(level, line); });
  for (Machine* machine : {&a_, &b_}) {
    machine->set_rare_percent(options_.rare_percent);
    for (const std::string& name : options_.resources) {
      machine->create(name, options_.volume);
      engine::ResourceSettings& settings = machine->settings(name);
      settings.name = name;
      settings.local = "/dev/" + name;
      Address remote;
      remote.host = other(*machine).host();
      remote.port = kDefaultPort;
      settings.remote = remote;
      settings.replication = options_.replication;
      settings.checksum = options_.checksum;
      settings.compression = options_.compression;
      settings.timeout = options_.timeout;
      settings.metaflush = options_.metaflush;
      settings.on_local_error = options_.on_local_error;
      settings.on_peer_loss = options_.on_peer_loss;
      settings.exec = "/hook";
    }
  }
}

World::~World() {
  for (Machine* machine : {&a_, &b_}) machine->kill();
  settle();
  HAST_ASSERT(!a_.has_dying() && !b_.has_dying());
  tap_log({});
}

ProcessParts World::parts(const std::string& host, SeededRandom random, HookLines& hooks) {
  return {context_, clock_,           trace_, network_,        random,
          host,     options_.strands, hooks,  options_.intake, options_.direct_reads};
}

void World::tap(LogLevel level, std::string_view line) {
  if (a_.has_dying() || b_.has_dying()) return;  // what the dead would say
  if (printing_)
    fmt::print(stderr, "{:14.6f} {}\n", static_cast<double>(now().count()) / 1e9, line);
  log_.push_back({clock_.now(), level, std::string(line)});
}

std::size_t World::logged(std::string_view text) const {
  return static_cast<std::size_t>(std::count_if(log_.begin(), log_.end(), [&](const LogLine& line) {
    return line.text.find(text) != std::string::npos;
  }));
}

// Time --------------------------------------------------------------------------------------------

void World::settle() {
  std::size_t handlers = 0;
  for (;;) {
    if (context_.stopped()) context_.restart();
    if (context_.poll_one() == 0) break;
    HAST_ASSERT(++handlers < kMaxHandlersAtOnce);
  }
  a_.bury();
  b_.bury();
  // What a dead process leaves must be gone at the instant of its death.
  HAST_ASSERT(!a_.has_dying() && !b_.has_dying());
}

void World::steps(std::size_t handlers) {
  while (handlers > 0) {
    if (context_.stopped()) context_.restart();
    if (context_.poll_one() > 0) {
      --handlers;
    } else if (!clock_.idle()) {
      clock_.run_next();
    } else {
      return;
    }
  }
}

void World::run_for(port::Duration duration) {
  const port::TimePoint end = clock_.now() + duration;
  settle();
  while (!clock_.idle() && clock_.next() <= end) {
    clock_.run_next();
    settle();
  }
  clock_.advance_to(end);
}

bool World::run_until(const std::function<bool()>& condition, port::Duration limit) {
  const port::TimePoint end = clock_.now() + limit;
  settle();
  while (!condition()) {
    if (clock_.idle() || clock_.next() > end) {
      clock_.advance_to(end);
      return false;
    }
    clock_.run_next();
    settle();
  }
  return true;
}

// The usual ---------------------------------------------------------------------------------------

bool World::start_pair() {
  a_.boot();
  b_.boot();
  const auto secondary = b_.role(Role::secondary);
  const auto primary = a_.role(Role::primary);
  if (!secondary || !*secondary || !primary || !*primary) return false;
  return run_until_synced(a_, 30s);
}

bool World::synced(Machine& primary) {
  const engine::ResourceStatus status = primary.status();
  return status.role == Role::primary && status.io.synced && status.io.stale_bytes == 0;
}

bool World::run_until_synced(Machine& primary, port::Duration limit) {
  return run_until([&] { return synced(primary); }, limit);
}

std::uint64_t World::different_bytes() {
  const ConstByteSpan one = a_.data();
  const ConstByteSpan other = b_.data();
  if (one.size() != other.size()) return std::max(one.size(), other.size());
  std::uint64_t different = 0;
  for (std::size_t i = 0; i < one.size(); ++i) different += one[i] != other[i] ? 1 : 0;
  return different;
}

}  // namespace hast::sim
