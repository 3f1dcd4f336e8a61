#include "hast/engine/turn_end.hpp"

#include <boost/asio/io_context.hpp>

#include "support/catch.hpp"

namespace hast::engine {
namespace {

struct World {
  boost::asio::io_context io{1};
  int ends = 0;
  int again = 0;  // how many ends make another one due
  int idle = 0;
  TurnEnd turn{io.get_executor(), [this] { end(); }, [this] { ++idle; }};

  void end() {
    ++ends;
    if (again-- > 0) turn.due();
  }
};

}  // namespace

TEST_CASE("Outside of a batch the end of the turn is posted once") {
  World world;
  world.turn.due();
  world.turn.due();
  CHECK(world.ends == 0);
  CHECK(world.turn.is_posted());
  world.io.run();
  CHECK(world.ends == 1);
  CHECK(world.idle == 1);
}

TEST_CASE("A batch ends when it is closed, without a post") {
  World world;
  world.turn.open();
  world.turn.due();
  world.turn.due();
  CHECK(world.ends == 0);
  world.turn.close();
  CHECK(world.ends == 1);
  CHECK_FALSE(world.turn.is_posted());
  CHECK(world.io.poll() == 0);
}

TEST_CASE("An inner batch leaves the end to the outer one") {
  World world;
  world.turn.open();
  world.turn.open();
  world.turn.due();
  world.turn.close();
  CHECK(world.ends == 0);
  world.turn.close();
  CHECK(world.ends == 1);
}

TEST_CASE("A batch in which nothing was due ends without more ado") {
  World world;
  world.turn.open();
  world.turn.close();
  CHECK(world.ends == 0);
  CHECK(world.io.poll() == 0);
}

TEST_CASE("What the end makes due goes out too") {
  World world;
  world.again = 2;
  world.turn.open();
  world.turn.due();
  world.turn.close();
  CHECK(world.ends == 3);
  CHECK_FALSE(world.turn.is_posted());
}

TEST_CASE("An end that keeps making itself due lets others run in between") {
  World world;
  world.again = 1000;
  world.turn.open();
  world.turn.due();
  world.turn.close();
  CHECK(world.ends < 10);
  CHECK(world.turn.is_posted());
  const int before = world.ends;
  world.io.run_one();
  CHECK(world.ends > before);
  CHECK(world.ends < before + 10);
  CHECK(world.idle == 0);
  world.io.run();
  CHECK(world.ends == 1001);
  CHECK(world.idle == 1);
}

}  // namespace hast::engine
