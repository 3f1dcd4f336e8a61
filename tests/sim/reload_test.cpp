// Reload: what a running primary takes over live, and what restarts the role (semantics §9).
#include "support/catch.hpp"
#include "world.hpp"

using namespace hast;
using namespace hast::sim;
using namespace std::chrono_literals;

TEST_CASE("a changed mode and timeout hold for the next requests, without a reconnect") {
  World world;
  REQUIRE(world.start_pair());
  engine::ResourceSettings settings = world.a().settings();
  settings.replication = Replication::async;
  settings.timeout = 3s;
  REQUIRE(world.a().reload(settings));
  CHECK(world.a().status().connected);
  world.network().cut_both(world.a().host(), world.b().host());
  const port::Duration before = world.now();
  CHECK(world.a().write(0, 4096, 1) == 0);
  CHECK(world.now() - before < 100ms);  // async now
  CHECK(world.run_until([&] { return !world.a().status().connected; }, 10s));
  CHECK(world.now() - before < 5s);
}

TEST_CASE("a changed remote address is followed, and back") {
  World world;
  REQUIRE(world.start_pair());
  engine::ResourceSettings settings = world.a().settings();
  settings.remote->port = 9999;
  REQUIRE(world.a().reload(settings));
  world.run_for(1s);
  CHECK_FALSE(world.a().status().connected);
  CHECK(world.a().serving());
  settings.remote->port = kDefaultPort;
  REQUIRE(world.a().reload(settings));
  CHECK(world.run_until_synced(world.a(), 10s));
}

TEST_CASE("a remote address that changes during the handshake is followed too") {
  for (int moment = 0; moment < 30; ++moment) {
    INFO("after " << moment << " ms");
    WorldOptions options;
    options.network.min_delay = 2ms;
    options.network.max_delay = 4ms;
    World world(options);
    world.a().boot();
    world.b().boot();
    REQUIRE(world.b().role(Role::secondary)->has_value());
    REQUIRE(world.a().role(Role::primary)->has_value());
    world.run_for(moment * 1ms);
    engine::ResourceSettings settings = world.a().settings();
    settings.remote->port = 9999;
    REQUIRE(world.a().reload(settings));
    world.run_for(5s);
    CHECK_FALSE(world.a().status().connected);
    settings.remote->port = kDefaultPort;
    REQUIRE(world.a().reload(settings));
    CHECK(world.run_until_synced(world.a(), 10s));
  }
}

TEST_CASE("a primary without a remote address serves, and connects when it gets one") {
  World world;
  const std::optional<Address> remote = world.a().settings().remote;
  world.a().settings().remote.reset();
  world.a().boot();
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  REQUIRE(world.a().role(Role::primary)->has_value());
  CHECK(world.a().write(0, 4096, 1) == 0);
  world.run_for(1min);
  CHECK(world.network().dials() == 0);
  CHECK(world.a().status().trouble == "no remote address is configured");
  engine::ResourceSettings settings = world.a().settings();
  settings.remote = remote;
  REQUIRE(world.a().reload(settings));
  CHECK(world.run_until_synced(world.a(), 10s));
  settings.remote.reset();
  REQUIRE(world.a().reload(settings));
  world.run_for(1min);
  CHECK_FALSE(world.a().status().connected);
  CHECK(world.a().write(0, 4096, 2) == 0);
}

TEST_CASE("a changed component restarts the role of a primary") {
  World world;
  REQUIRE(world.start_pair());
  engine::ResourceSettings settings = world.a().settings();
  settings.local = "/dev/nothing";
  REQUIRE(world.a().reload(settings));
  CHECK(world.a().status().role == Role::init);
  CHECK_FALSE(world.a().serving());
  CHECK(world.logged("could not be taken up again after the reload") == 1);
}

TEST_CASE("a secondary takes new settings by a restart of its role") {
  World world;
  REQUIRE(world.start_pair());
  engine::ResourceSettings settings = world.b().settings();
  settings.timeout = 5s;
  settings.checksum = Checksum::crc32;
  REQUIRE(world.b().reload(settings));
  CHECK(world.b().status().role == Role::secondary);
  CHECK(world.run_until_synced(world.a(), 10s));
}

TEST_CASE("a new front-end serves where the old one did") {
  World world;
  REQUIRE(world.start_pair());
  REQUIRE(world.a().write(0, 4096, 0x61) == 0);
  const std::shared_ptr<bool> done = world.a().process().replace_frontend("shared");
  REQUIRE(world.run_until([&] { return *done; }, 10s));
  CHECK(world.a().serving());
  CHECK(world.a().read(0, 4096).data == std::vector<std::byte>(4096, std::byte{0x61}));
  CHECK(world.run_until_synced(world.a(), 10s));
}
