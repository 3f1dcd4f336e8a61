// What the engine is to the core, for tests: recorders of what the core asked for, and randomness
// with a seed.
#pragma once

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include "hast/core/primary.hpp"
#include "hast/core/secondary.hpp"
#include "hast/port/random.hpp"

namespace hast::test {

class SeededRandom final : public port::Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  void fill(ByteSpan bytes) override {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(engine_());
  }
  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  bool chance(unsigned percent) { return below(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

class EventLog {
 public:
  void add(const core::Event& event) { events_.push_back(event); }
  const std::vector<core::Event>& all() const { return events_; }
  std::size_t count(core::Event::Kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(events_.begin(), events_.end(),
                      [kind](const core::Event& event) { return event.kind == kind; }));
  }
  /// The last one of its kind; a default one if there is none.
  core::Event last(core::Event::Kind kind) const {
    for (auto it = events_.rbegin(); it != events_.rend(); ++it) {
      if (it->kind == kind) return *it;
    }
    return {};
  }
  void clear() { events_.clear(); }

 private:
  std::vector<core::Event> events_;
};

class RecordingPrimaryHost final : public core::PrimaryHost {
 public:
  void outbox_filled() override { ++outbox_fillings; }
  void drop_link(Error why) override { drop_reasons.push_back(why.code); }
  void happened(const core::Event& event) override { events.add(event); }
  void changed() override { ++changes; }
  void defer_delivery() override { delivery_due = true; }
  void local_reads(bool possible) override {
    reads_locally = possible;
    if (told_of_reads) told_of_reads();
  }

  EventLog events;
  std::vector<Errc> drop_reasons;
  bool reads_locally = false;  // whoever reads past the core may do so
  std::function<void()> told_of_reads;
  std::size_t outbox_fillings = 0;
  std::size_t changes = 0;
  bool delivery_due = false;
};

class RecordingSecondaryHost final : public core::SecondaryHost {
 public:
  void replies_ready() override { ++replies; }
  void request_freed() override { ++freed; }
  void happened(const core::Event& event) override { events.add(event); }
  void changed() override { ++changes; }

  EventLog events;
  std::size_t replies = 0;
  std::size_t freed = 0;
  std::size_t changes = 0;
};

}  // namespace hast::test
