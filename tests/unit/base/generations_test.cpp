#include "hast/base/generations.hpp"

#include <vector>

#include "support/catch.hpp"

using namespace hast;

TEST_CASE("a new generation remembers the former ones, the newest first") {
  Generations generations;
  CHECK_FALSE(generations.known());
  generations.begin(5);
  CHECK(generations.past == decltype(generations.past){});
  generations.begin(6);
  generations.begin(7);
  CHECK(generations.current == 7);
  CHECK(generations.past[0] == 6);
  CHECK(generations.past[1] == 5);
}

TEST_CASE("the newest eight former generations are known, and that of the last resync") {
  Generations generations;
  generations.synced = 1;
  for (std::uint64_t id = 1; id <= 12; ++id) generations.begin(id);
  for (std::uint64_t id = 4; id <= 12; ++id) CHECK(generations.contains(id));
  CHECK_FALSE(generations.contains(3));
  CHECK_FALSE(generations.contains(2));
  CHECK(generations.contains(1));
}

TEST_CASE("nothing and untracked are no generations") {
  Generations generations;
  CHECK_FALSE(generations.contains(0));
  generations.synced = Generations::kUntracked;
  CHECK_FALSE(generations.contains(Generations::kUntracked));
}

TEST_CASE("generations are read as they were written, and of no other length") {
  Generations generations;
  for (std::uint64_t id = 100; id < 105; ++id) generations.begin(id);
  generations.synced = 102;
  const auto bytes = encode_generations(generations);
  CHECK(*decode_generations(bytes) == generations);
  CHECK(bytes[0] == std::byte{104});
  CHECK_FALSE(decode_generations(ConstByteSpan(bytes).first(bytes.size() - 1)));
  CHECK_FALSE(decode_generations(std::vector<std::byte>(bytes.size() + 1)));
  CHECK_FALSE(decode_generations({}));
}
