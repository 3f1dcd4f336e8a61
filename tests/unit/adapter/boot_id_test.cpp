#include "hast/adapter/boot_id.hpp"

#include "support/catch.hpp"

namespace hast::adapter {

TEST_CASE("A machine that is up is the same one") {
  CHECK(boot_id() != 0);
  CHECK(boot_id() == boot_id());
}

}  // namespace hast::adapter
