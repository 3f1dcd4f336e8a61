#include "hast/adapter/random.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include "support/catch.hpp"

namespace hast::adapter {

TEST_CASE("Random numbers differ and are never zero as ids") {
  SystemRandom random;
  std::set<std::uint64_t> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(random.next_id());
  CHECK(ids.size() == 1000);
  CHECK(ids.count(0) == 0);
}

TEST_CASE("Every byte of a large buffer is filled") {
  SystemRandom random;
  std::vector<std::byte> bytes(1 << 16);
  random.fill(bytes);
  // 64 zero bytes in a row have a chance of 2^-496.
  const auto zeros = std::search_n(bytes.begin(), bytes.end(), 64, std::byte{0});
  CHECK(zeros == bytes.end());
  random.fill({});
}

}  // namespace hast::adapter
