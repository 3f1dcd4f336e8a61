#include <array>

#include "../../../src/config/nearest.hpp"
#include "support/catch.hpp"

using namespace hast::config;

namespace {
constexpr std::array<std::string_view, 4> kWords{"timeout", "exec", "on", "off"};
}

TEST_CASE("a slip finds the word that was meant") {
  CHECK(nearest("tiemout", kWords) == "timeout");
  CHECK(nearest("time_out", kWords) == "timeout");
  CHECK(nearest("exce", kWords) == "exec");
  CHECK(nearest("offf", kWords) == "off");
}

TEST_CASE("something else finds nothing") {
  CHECK(nearest("replication", kWords).empty());
  CHECK(nearest("", kWords).empty());
  CHECK(nearest(std::string(100'000, 'x'), kWords).empty());
}

TEST_CASE("the hint is the near word or all valid ones") {
  CHECK(hint_for("exc", kWords) == "did you mean \"exec\"?");
  CHECK(hint_for("banana", kWords) == "valid: timeout, exec, on, off");
}
