#include "workload.hpp"

#include <algorithm>

#include "hast/base/units.hpp"

namespace hast::sim {

namespace {
constexpr port::Duration kNotServing = std::chrono::milliseconds(50);
}

Workload::Workload(World& world, History& history, SeededRandom random, WorkloadOptions options)
    : world_(world),
      history_(history),
      random_(random),
      options_(options),
      pauses_(options.clients),
      asked_at_(options.clients) {}

Workload::~Workload() {
  HAST_ASSERT(idle());
  for (const VirtualClock::Key& pause : pauses_) world_.clock().cancel(pause);
}

void Workload::start() {
  if (std::exchange(running_, true)) return;
  for (unsigned client = 0; client < options_.clients; ++client) {
    world_.clock().cancel(pauses_[client]);
    pause(client);
  }
}

void Workload::pause(unsigned client) {
  pauses_[client] = world_.clock().after(random_.between(options_.min_pause, options_.max_pause),
                                         [this, client] { next(client); });
}

void Workload::next(unsigned client) {
  if (!running_) return;
  if (machine_ != nullptr && machine_->serving()) {
    issue(client);
    if (random_.chance(options_.bursts)) wake_others(client);
    return;
  }
  pauses_[client] = world_.clock().after(kNotServing, [this, client] { next(client); });
}

/// Everybody who pauses asks at the same moment.
void Workload::wake_others(unsigned client) {
  for (unsigned other = 0; other < options_.clients; ++other) {
    if (other == client || asked_at_[other]) continue;
    if (!machine_->serving()) return;  // it died of the last one
    world_.clock().cancel(pauses_[other]);
    issue(other);
  }
}

void Workload::issue(unsigned client) {
  unsigned draw = static_cast<unsigned>(random_.below(100));
  const auto falls = [&draw](unsigned percent) {
    if (draw < percent) return true;
    draw -= percent;
    return false;
  };
  if (falls(options_.reads)) return read(client);
  if (falls(options_.flushes)) return flush(client);
  if (falls(options_.discards)) return write(client, IoKind::discard);
  if (falls(options_.zeroes)) return write(client, IoKind::write_zeroes);
  write(client, IoKind::write);
}

/// Within one block, as front-ends split.
History::Range Workload::draw_range() {
  constexpr std::uint64_t kBlockSectors = port::kBlockBytes / History::kSectorBytes;
  History::Range range;
  const bool hot = random_.chance(options_.hot_percent);
  range.first = random_.below(hot ? divide_up(history_.sectors(), 8) : history_.sectors());
  range.count = random_.between(1, options_.max_sectors);
  const std::uint64_t block_end = (range.first / kBlockSectors + 1) * kBlockSectors;
  range.count = std::min({range.count, block_end - range.first, history_.sectors() - range.first});
  return range;
}

void Workload::ask(unsigned client, ClientRequest request) {
  ++in_flight_;
  asked_at_[client] = world_.clock().now();
  machine_->frontend()->request(std::move(request));
}

void Workload::finished(unsigned client, int error) {
  --in_flight_;
  asked_at_[client].reset();
  if (error != kUnknown) ++answered_;
  if (error > 0) ++failed_;
  pause(client);
}

port::Duration Workload::longest_wait() const {
  port::Duration longest{};
  for (const std::optional<port::TimePoint>& asked : asked_at_) {
    if (asked) longest = std::max(longest, world_.clock().now() - *asked);
  }
  return longest;
}

void Workload::write(unsigned client, IoKind kind) {
  const History::Range range = draw_range();
  if (!history_.is_free(range)) return pause(client);
  ClientRequest asked;
  asked.kind = kind;
  asked.fua = random_.chance(options_.forced);
  asked.offset_bytes = range.offset_bytes();
  asked.length_bytes = range.length_bytes();
  History::Stamp stamp = History::kZeros;
  if (kind == IoKind::write) {
    stamp = history_.begin_write(range);
    asked.data.resize(range.length_bytes());
    History::fill(stamp, range, asked.data);
  } else {
    history_.begin_zeroes(range);
  }
  using Outcome = History::Outcome;
  Outcome success = asked.fua ? Outcome::acknowledged_durable : Outcome::acknowledged;
  if (kind == IoKind::discard && discards_are_advice_) success = Outcome::open;
  const bool alone = !machine_->status().connected;
  asked.done = [this, client, range, stamp, success, alone](int error, ConstByteSpan) {
    const Outcome failure = error == kUnknown ? Outcome::open : Outcome::failed;
    history_.end_write(range, error == 0 ? success : failure);
    if (error == 0 && success != Outcome::open) {
      if (acknowledged) acknowledged(range, stamp);
      ++written_;
      if (alone) ++written_alone_;
    }
    finished(client, error);
    if (error == 0 && random_.chance(options_.commits)) commit(client);
  };
  ask(client, std::move(asked));
}

void Workload::read(unsigned client) {
  const History::Range range = draw_range();
  if (!history_.is_free(range)) return pause(client);
  history_.begin_read(range);
  ClientRequest asked;
  asked.offset_bytes = range.offset_bytes();
  asked.length_bytes = range.length_bytes();
  asked.done = [this, client, range](int error, ConstByteSpan data) {
    history_.end_read(range);
    if (error == 0) {
      if (auto problem = history_.read(range, data)) wrong_.push_back("a client read: " + *problem);
    }
    finished(client, error);
  };
  ask(client, std::move(asked));
}

void Workload::data_are_lost() {
  if (!data_lost_at_) data_lost_at_ = world_.clock().now();
}

/// Instead of a pause, as a database does.
void Workload::commit(unsigned client) {
  if (!running_ || !machine_->serving()) return;
  world_.clock().cancel(pauses_[client]);
  flush(client);
}

void Workload::flush(unsigned client) {
  ClientRequest asked;
  asked.kind = IoKind::flush;
  const port::TimePoint asked_at = world_.clock().now();
  asked.done = [this, client, asked_at, sent = history_.now()](int error, ConstByteSpan) {
    if (error != 0) {
      data_lost_at_.reset();
    } else {
      if (data_lost_at_ && asked_at > *data_lost_at_)
        wrong_.push_back("a flush succeeds, and what was acknowledged before is lost (INV-12)");
      history_.flushed(sent);
      ++flushed_;
    }
    finished(client, error);
  };
  ask(client, std::move(asked));
}

}  // namespace hast::sim
