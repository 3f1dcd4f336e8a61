// What a process finds on its component was written by another one, which may have been killed
// before it flushed: it must not be trusted to outlast the power.
#include "checkers.hpp"
#include "support/catch.hpp"

using namespace hast;
using namespace hast::sim;
using namespace std::chrono_literals;

TEST_CASE("INV-1: a bit that a killed process wrote and did not flush is flushed by the next one") {
  World world;
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  MarkGuard guard(world);
  bool map_written = false;
  guard.also(world.a(), [&](const port::DiskOp& op) {
    if (op.kind == IoKind::write && op.offset_bytes == ondisk::kMapOffset) map_written = true;
    if (op.kind == IoKind::flush && map_written) world.a().kill();
  });
  CHECK(world.a().write(0, 4096, 1) == kUnknown);
  REQUIRE_FALSE(world.a().up());
  guard.also(world.a(), nullptr);
  REQUIRE(map_of(world.a(), Layer::newest).test(0));
  world.a().boot();
  REQUIRE(world.a().role(Role::primary)->has_value());
  CHECK(world.a().write(0, 4096, 2) == 0);
  CHECK(guard.wrong().empty());
  world.a().power_off();
  CHECK(map_of(world.a(), Layer::durable).test(0));
}

TEST_CASE("a component that cannot be flushed is refused") {
  World world;
  DiskFault fault;
  fault.kind = IoKind::flush;
  world.a().boot();
  SECTION("with an error: what was written before may be lost with the power") {
    world.a().drive().faults.push_back(fault);
    CHECK(world.a().role(Role::primary)->error().code == Errc::io_failed);
    CHECK(world.a().role(Role::primary)->has_value());
  }
  SECTION("but not if it knows no flush: then it has nothing volatile") {
    fault.error = EOPNOTSUPP;
    world.a().drive().faults.push_back(fault);
    CHECK(world.a().role(Role::primary)->has_value());
  }
}
