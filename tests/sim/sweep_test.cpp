// A crash at each disk operation of a short story, with the legal outcomes of what was not flushed;
// and each operation failing, once or for ever. Whatever happens, the pair comes back with all it
// acknowledged.
#include <algorithm>
#include <cstdlib>

#include "random.hpp"
#include "story.hpp"
#include "support/catch.hpp"

using namespace hast;
using namespace hast::sim;

namespace {

/// How many outcomes of a crash are tried at most; HAST_SIM_OUTCOMES=1000 tries nearly all.
std::uint64_t most_outcomes() {
  const char* given = std::getenv("HAST_SIM_OUTCOMES");
  return given == nullptr ? 8 : std::strtoull(given, nullptr, 10);
}

/// Outcome number n of a power loss: which version each sector has afterwards. Sectors are asked
/// one after the other and take their digits of n. Learns how many outcomes there are.
class Outcome {
 public:
  explicit Outcome(std::uint64_t number) : rest_(number) {}

  std::size_t operator()(std::size_t versions) {
    const std::uint64_t choices = versions + 1;
    const std::uint64_t kept = rest_ % choices;
    rest_ /= choices;
    count_ = count_ > kMany / choices ? kMany : count_ * choices;
    return kept;
  }
  std::uint64_t count() const { return count_; }

  static constexpr std::uint64_t kMany = std::uint64_t{1} << 60;

 private:
  std::uint64_t rest_;
  std::uint64_t count_ = 1;
};

std::uint64_t operations_of(unsigned victim, Replication mode) {
  Story story(mode);
  story.tell(story.victim(victim), [](std::uint64_t) {});
  story.recover(Story::Primary::same);
  story.finish();
  for (const std::string& what : story.wrong()) UNSCOPED_INFO(what);
  REQUIRE(story.wrong().empty());
  return story.operations();
}

void judge(const Story& story) {
  for (const std::string& what : story.wrong()) UNSCOPED_INFO(what);
  REQUIRE(story.wrong().empty());
}

/// Returns how many outcomes this crash has.
std::uint64_t crash(unsigned victim, Replication mode, std::uint64_t operation,
                    std::uint64_t number, Story::Primary choice) {
  INFO("node " << victim << " loses its power at operation " << operation << ", outcome "
               << number);
  Story story(mode);
  Outcome outcome(number);
  Machine& machine = story.victim(victim);
  story.tell(machine, [&](std::uint64_t now) {
    if (now != operation) return;
    story.note_loss(machine, true);
    machine.power_off(
        [&outcome](std::uint64_t, std::size_t versions) { return outcome(versions); });
  });
  const bool can_promote = victim == 0 && story.other_was_complete();
  if (choice == Story::Primary::other && !can_promote) return outcome.count();
  story.recover(choice);
  story.finish();
  judge(story);
  return outcome.count();
}

void sweep_crashes(unsigned victim, Replication mode) {
  SeededRandom random(victim + 1);
  const std::uint64_t operations = operations_of(victim, mode);
  REQUIRE(operations > 10);
  for (std::uint64_t operation = 1; operation <= operations; ++operation) {
    // First the two extremes: everything lost, and then, once their number is known, all kept.
    const std::uint64_t outcomes = crash(victim, mode, operation, 0, Story::Primary::same);
    const std::uint64_t tried = std::min(outcomes, most_outcomes());
    for (std::uint64_t i = 1; i < tried; ++i) {
      const bool all = outcomes <= most_outcomes();
      const std::uint64_t number = i == 1 ? outcomes - 1 : (all ? i - 1 : random.below(outcomes));
      crash(victim, mode, operation, number, Story::Primary::same);
    }
    if (victim == 0) crash(victim, mode, operation, 0, Story::Primary::other);
  }
}

void fail(unsigned victim, std::uint64_t operation, unsigned times) {
  INFO("node " << victim << " fails operation " << operation << ", times " << times);
  Story story(Replication::fullsync);
  Machine& machine = story.victim(victim);
  bool broken = false;
  story.tell(machine, [&](std::uint64_t now) {
    if (now != operation || std::exchange(broken, true)) return;
    DiskFault fault;
    fault.times = times;
    machine.drive().faults.push_back(fault);
  });
  CHECK(broken);
  story.recover(Story::Primary::same);
  story.finish();
  judge(story);
}

void sweep_faults(unsigned victim, unsigned times) {
  const std::uint64_t operations = operations_of(victim, Replication::fullsync);
  for (std::uint64_t operation = 1; operation <= operations; ++operation)
    fail(victim, operation, times);
}

}  // namespace

TEST_CASE("the primary loses its power at each of its disk operations") {
  sweep_crashes(0, Replication::fullsync);
}

TEST_CASE("the primary loses its power at each of its disk operations, memsync") {
  sweep_crashes(0, Replication::memsync);
}

TEST_CASE("the secondary loses its power at each of its disk operations") {
  sweep_crashes(1, Replication::fullsync);
}

TEST_CASE("each disk operation of the primary fails once") { sweep_faults(0, 1); }

TEST_CASE("each disk operation of the secondary fails once") { sweep_faults(1, 1); }

TEST_CASE("the primary's disk fails for ever from each operation on") {
  sweep_faults(0, DiskFault::kForever);
}

TEST_CASE("the secondary's disk fails for ever from each operation on") {
  sweep_faults(1, DiskFault::kForever);
}
