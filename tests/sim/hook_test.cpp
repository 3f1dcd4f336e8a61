// Hooks: the operator's program is told what happened, in order, in the original's words.
#include <algorithm>

#include "support/catch.hpp"
#include "world.hpp"

using namespace hast;
using namespace hast::sim;
using namespace std::chrono_literals;

TEST_CASE("hooks run in the order of events, with the original's arguments") {
  World world;
  REQUIRE(world.start_pair());
  world.b().kill();
  REQUIRE(world.a().write(0, 4096, 1) == 0);
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  REQUIRE(world.run_until_synced(world.a(), 30s));
  REQUIRE(world.a().role(Role::init)->has_value());
  world.run_for(1s);
  const HookLines primary{"/hook role shared init primary", "/hook connect shared",
                          "/hook disconnect shared",        "/hook connect shared",
                          "/hook syncstart shared",         "/hook syncdone shared",
                          "/hook disconnect shared",        "/hook role shared primary init"};
  CHECK(world.a().hooks() == primary);
  const HookLines secondary{
      "/hook role shared init secondary", "/hook connect shared",  // the killed process
      "/hook role shared init secondary", "/hook connect shared", "/hook disconnect shared"};
  CHECK(world.b().hooks() == secondary);
}

TEST_CASE("an interrupted resync is told as such") {
  WorldOptions options;
  options.network.min_delay = 5ms;
  options.network.max_delay = 10ms;
  options.network.window_bytes = 16 * 1024;
  World world(options);
  world.a().preset([](ondisk::Metadata& metadata) { metadata.resuid = 7; });
  world.a().preset_data(0, 1024 * 1024, 0xaa);
  world.a().boot();
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  REQUIRE(world.a().role(Role::primary)->has_value());
  REQUIRE(world.run_until([&] { return world.a().status().io.sync_copied_bytes > 0; }, 30s));
  world.network().reset(world.a().host(), world.b().host());
  REQUIRE(world.run_until_synced(world.a(), 30s));
  const HookLines& hooks = world.a().hooks();
  const HookLines expected{"/hook role shared init primary", "/hook connect shared",
                           "/hook syncstart shared",         "/hook syncintr shared",
                           "/hook disconnect shared",        "/hook connect shared",
                           "/hook syncstart shared",         "/hook syncdone shared"};
  CHECK(hooks == expected);
  CHECK(world.different_bytes() == 0);
}

TEST_CASE("no role hook runs for a role that is in force already, or could not be taken up") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::init)->has_value());
  CHECK(world.a().hooks().empty());
  world.a().drive().faults.push_back(
      {IoKind::read, 0, ~std::uint64_t{0}, 0, DiskFault::kForever, EIO});
  const auto refused = world.a().role(Role::primary);
  REQUIRE(refused);
  CHECK_FALSE(*refused);
  CHECK(world.a().hooks().empty());
  CHECK(world.a().status().role == Role::init);
}
