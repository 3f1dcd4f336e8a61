#include "hast/config/node_identity.hpp"

#include <unistd.h>

#include "support/catch.hpp"

using hast::config::NodeIdentity;

namespace {
const NodeIdentity kMachine{
    {}, "hasta.example.org", {"4C4C4544-0042-3510", "8dd1f6d3"}, 2147483650};
}

TEST_CASE("a machine answers to its host name, short name, UUIDs and host id") {
  for (const char* name : {"hasta.example.org", "hasta", "4c4c4544-0042-3510", "4C4C4544-0042-3510",
                           "4c4c454400423510", "8DD1F6D3", "hostid2147483650"})
    CHECK(kMachine.matches(name));
}

TEST_CASE("a machine answers to nothing else") {
  for (const char* name : {"", "hast", "hasta.", "hasta.example", "HASTA", "hostid", "hostid0",
                           "2147483650", "4c4c4544", "-"})
    CHECK_FALSE(kMachine.matches(name));
}

TEST_CASE("a name given by hand is the only one") {
  NodeIdentity machine = kMachine;
  machine.given = "nodeb";
  CHECK(machine.matches("nodeb"));
  CHECK_FALSE(machine.matches("hasta"));
  CHECK(machine.acceptable_names() == std::vector<std::string>{"nodeb"});
}

TEST_CASE("acceptable names are listed once, in the original's order") {
  CHECK(kMachine.acceptable_names() == std::vector<std::string>{"hasta", "hasta.example.org",
                                                                "4C4C4544-0042-3510", "8dd1f6d3",
                                                                "hostid2147483650"});
  CHECK(NodeIdentity{{}, "nodea", {}, 0}.acceptable_names() ==
        std::vector<std::string>{"nodea", "hostid0"});
}

TEST_CASE("a machine about which nothing is known answers to nothing") {
  const NodeIdentity nobody;
  CHECK_FALSE(nobody.matches(""));
  CHECK_FALSE(nobody.matches("hostid0"));
  CHECK(nobody.acceptable_names().empty());
}

TEST_CASE("this host answers to its own name") {
  char name[256] = {};
  REQUIRE(::gethostname(name, sizeof name - 1) == 0);
  CHECK(NodeIdentity::of_this_host().matches(name));
  CHECK_FALSE(NodeIdentity::of_this_host("other").matches(name));
}
