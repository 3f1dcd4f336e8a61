// The link dies at every byte: after the n-th one in each direction, in the handshake and in
// traffic, by a reset or by silence. Each time the nodes find each other again when the network
// heals, and end equal (INV-13).
#include <cstdlib>

#include "support/catch.hpp"
#include "world.hpp"

using namespace hast;
using namespace hast::sim;
using namespace std::chrono_literals;

namespace {

enum class End { reset, silence };
enum class Way { to_b, to_a };

std::string name_of(End end) { return end == End::reset ? "reset" : "silence"; }
std::string name_of(Way way) { return way == Way::to_b ? "a to b" : "b to a"; }

WorldOptions small_world() {
  WorldOptions options;
  options.volume.component_bytes = 1024 * 1024 + 256 * 1024;
  options.volume.extent_bytes = 32 * 1024;
  options.timeout = 4s;
  return options;
}

void break_after(World& world, Way way, std::uint64_t bytes, End end) {
  const std::string from = way == Way::to_b ? world.a().host() : world.b().host();
  const std::string to = way == Way::to_b ? world.b().host() : world.a().host();
  world.network().when_passed(from, to, bytes, [&world, end] {
    if (end == End::reset) {
      world.network().reset(world.a().host(), world.b().host());
    } else {
      world.network().cut_both(world.a().host(), world.b().host());
    }
  });
}

/// Bytes that pass that way from boot to sync, or to the end of some writes.
enum class Until { synced, written };
std::uint64_t bytes_of(Way way, Until until) {
  World world(small_world());
  REQUIRE(world.start_pair());
  if (until == Until::written) {
    for (unsigned i = 0; i < 4; ++i) REQUIRE(world.a().write(i * 40960, 1024, i + 1) == 0);
    REQUIRE(world.a().flush() == 0);
  }
  return way == Way::to_b ? world.network().passed(world.a().host(), world.b().host())
                          : world.network().passed(world.b().host(), world.a().host());
}

void break_in_handshake(Way way, std::uint64_t bytes, End end) {
  INFO("handshake " << name_of(way) << ", " << name_of(end) << " after byte " << bytes);
  World world(small_world());
  break_after(world, way, bytes, end);
  world.a().boot();
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  REQUIRE(world.a().role(Role::primary)->has_value());
  world.run_for(10s);
  world.network().heal();
  // A secondary that sits in a handshake of which it heard nothing more is taken over by the next.
  REQUIRE(world.run_until_synced(world.a(), 15s));
  REQUIRE(world.a().write(0, 4096, 0x42) == 0);
  REQUIRE(world.different_bytes() == 0);
}

void break_in_traffic(Way way, std::uint64_t bytes, End end) {
  INFO("traffic " << name_of(way) << ", " << name_of(end) << " after byte " << bytes);
  World world(small_world());
  REQUIRE(world.start_pair());
  break_after(world, way, bytes, end);
  for (unsigned i = 0; i < 4; ++i) REQUIRE(world.a().write(i * 40960, 1024, i + 1) == 0);
  REQUIRE(world.a().flush() == 0);
  world.network().heal();
  REQUIRE(world.run_until_synced(world.a(), 15s));
  REQUIRE(world.different_bytes() == 0);
  REQUIRE(world.a().role(Role::init)->has_value());
  REQUIRE_FALSE(world.a().map().any());
}

/// Every byte with HAST_SIM_THOROUGH=1, every seventh otherwise; the boundaries of frames move
/// through the steps.
std::uint64_t step() { return std::getenv("HAST_SIM_THOROUGH") != nullptr ? 1 : 7; }

}  // namespace

TEST_CASE("a handshake cut after any byte is repeated when the network heals") {
  for (const Way way : {Way::to_b, Way::to_a}) {
    const std::uint64_t all = bytes_of(way, Until::synced);
    for (const End end : {End::reset, End::silence}) {
      for (std::uint64_t n = 1; n <= all; n += step()) break_in_handshake(way, n, end);
    }
  }
}

TEST_CASE("traffic cut after any byte is made good when the network heals") {
  for (const Way way : {Way::to_b, Way::to_a}) {
    const std::uint64_t first = bytes_of(way, Until::synced) + 1;
    const std::uint64_t all = bytes_of(way, Until::written);
    REQUIRE(all > first);
    for (const End end : {End::reset, End::silence}) {
      for (std::uint64_t n = first; n <= all; n += 5 * step()) break_in_traffic(way, n, end);
    }
  }
}

TEST_CASE("a path cut one way only is a lost connection, and heals") {
  for (const bool towards_b : {true, false}) {
    World world(small_world());
    REQUIRE(world.start_pair());
    const std::string& from = towards_b ? world.a().host() : world.b().host();
    const std::string& to = towards_b ? world.b().host() : world.a().host();
    world.network().cut(from, to);
    CHECK(world.a().write(0, 4096, 0x21) == 0);
    world.run_for(1min);
    CHECK_FALSE(world.a().status().connected);
    CHECK(world.a().write(8192, 4096, 0x22) == 0);
    world.network().heal();
    CHECK(world.run_until_synced(world.a(), 30s));
    CHECK(world.different_bytes() == 0);
  }
}

TEST_CASE("a resync cut again and again ends some day") {
  WorldOptions options = small_world();
  options.network.min_delay = 2ms;
  options.network.max_delay = 5ms;
  options.network.window_bytes = 32 * 1024;
  options.compression = Compression::none;
  World world(options);
  world.a().preset([](ondisk::Metadata& metadata) { metadata.resuid = 7; });
  world.a().preset_data(0, world.a().layout().data_bytes, 0xaa);
  world.a().boot();
  world.b().boot();
  REQUIRE(world.b().role(Role::secondary)->has_value());
  REQUIRE(world.a().role(Role::primary)->has_value());
  for (int i = 0; i < 10; ++i) {
    world.run_until([&] { return world.a().status().io.syncing; }, 10s);
    world.run_for(30ms);
    world.network().reset(world.a().host(), world.b().host());
  }
  REQUIRE(world.run_until_synced(world.a(), 30s));
  CHECK(world.different_bytes() == 0);
}
