// Random lives of a pair: whatever happens, nothing acknowledged is lost, and in the end the nodes
// are equal.
#include "life.hpp"

#include "seeds.hpp"

using namespace hast;
using namespace hast::sim;

TEST_CASE("a pair that lives through crashes, cuts and handovers loses nothing") {
  for (const std::uint64_t seed : seeds(300)) {
    INFO(replay_line(seed));
    Life life(seed);
    life.run();
    INFO(life.summary());
    for (const std::string& wrong : life.wrong()) UNSCOPED_INFO(wrong);
    REQUIRE(life.wrong().empty());
  }
}

namespace {

std::uint64_t digest_of(std::uint64_t seed) {
  Life life(seed);
  life.run();
  return life.digest();
}

}  // namespace

TEST_CASE("equal seeds live equal lives, different seeds different ones") {
  CHECK(digest_of(1) == digest_of(1));
  CHECK(digest_of(2) == digest_of(2));
  CHECK(digest_of(1) != digest_of(2));
}
