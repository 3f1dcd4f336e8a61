#include "hast/base/address.hpp"

#include <string>

#include "support/catch.hpp"

using hast::Address;
using hast::Errc;
using hast::kDefaultPort;
using Family = hast::Address::Family;

namespace {

Address parsed(std::string_view text, std::uint16_t default_port = kDefaultPort) {
  const auto address = Address::parse(text, default_port);
  INFO(text);
  REQUIRE(address);
  return *address;
}

bool refused(std::string_view text) {
  const auto address = Address::parse(text, kDefaultPort);
  return !address && address.error().code == Errc::address_invalid &&
         !address.error().detail.empty();
}

}  // namespace

TEST_CASE("a bare host gets the default port and any family") {
  CHECK(parsed("nodea") == Address{Family::any, "nodea", 8457});
  CHECK(parsed("nodea", 0) == Address{Family::any, "nodea", 0});
  CHECK(parsed("10.0.0.1") == Address{Family::any, "10.0.0.1", 8457});
  CHECK(parsed("tcp://10.0.0.1") == Address{Family::any, "10.0.0.1", 8457});
}

TEST_CASE("a port follows the only colon") {
  CHECK(parsed("nodea:1") == Address{Family::any, "nodea", 1});
  CHECK(parsed("tcp4://0.0.0.0:65535") == Address{Family::v4, "0.0.0.0", 65535});
  CHECK(parsed("TCP6://nodea:08457") == Address{Family::v6, "nodea", 8457});
}

TEST_CASE("an IPv6 literal has a port only behind brackets") {
  CHECK(parsed("fe80::1") == Address{Family::any, "fe80::1", 8457});
  CHECK(parsed("tcp6://::") == Address{Family::v6, "::", 8457});
  CHECK(parsed("2001:db8::1:8457") == Address{Family::any, "2001:db8::1:8457", 8457});
  CHECK(parsed("tcp6://[::]:8458") == Address{Family::v6, "::", 8458});
  CHECK(parsed("[fe80::1%em0]:9") == Address{Family::any, "fe80::1%em0", 9});
}

TEST_CASE("a bracketed IPv6 literal without a port gets the default, though the original refuses") {
  CHECK(parsed("[fe80::1]") == Address{Family::any, "fe80::1", 8457});
  CHECK(parsed("tcp://[::1]", 0) == Address{Family::any, "::1", 0});
}

TEST_CASE("UNIX sockets are a scheme in any case or a bare path") {
  CHECK(parsed("uds:///run/x") == Address{Family::unix_socket, "/run/x", 0});
  CHECK(parsed("UNIX:///run/x") == Address{Family::unix_socket, "/run/x", 0});
  CHECK(parsed("/var/run/hastctl") == Address{Family::unix_socket, "/var/run/hastctl", 0});
  CHECK(parsed("unix://relative") == Address{Family::unix_socket, "relative", 0});
  CHECK(parsed("/" + std::string(102, 'p')).host.size() == 103);
  CHECK(refused("/" + std::string(103, 'p')));
  CHECK(refused("uds://"));
  CHECK(refused(std::string_view("/run\0x", 6)));
}

TEST_CASE("ports that are no port are refused") {
  for (const char* text : {"h:", "h:0", "h:65536", "h:99999999999999999999", "h:-1", "h:+1", "h: 1",
                           "h:1 ", "h:0x1", "h:http", "[::1]:", "[::1]:0", "[::1]:65536"})
    CHECK(refused(text));
}

TEST_CASE("what is no address is refused in words") {
  for (const char* text : {"", "tcp://", ":8457", "tcp://:8457", "[]", "[]:1", "[::1", "[::1]x",
                           "[::1]]:1", "[host]:1", "[10.0.0.1]", "10.0.0.1/24", "socketpair://",
                           "http://host", "/a://b", "host name", "h\tx", "h]", "ho[st"})
    CHECK(refused(text));
  CHECK(refused(std::string(1024, 'h')));
  CHECK(refused(std::string(256, 'h')));
  CHECK(parsed(std::string(255, 'h')).host.size() == 255);
  CHECK(refused(std::string_view("ho\0st", 5)));
}

TEST_CASE("the error names the text and the reason") {
  const auto address = Address::parse("nodea:http", kDefaultPort);
  REQUIRE_FALSE(address);
  CHECK(address.error().detail == "'nodea:http': a port is a number from 1 to 65535");
}

TEST_CASE("addresses print as the original logs them and parse again") {
  CHECK(to_string(parsed("10.0.0.1")) == "tcp://10.0.0.1:8457");
  CHECK(to_string(parsed("tcp6://[::1]:5")) == "tcp://[::1]:5");
  CHECK(to_string(parsed("unix:///run/x")) == "uds:///run/x");
  CHECK(to_string(parsed("nodea", 0)) == "tcp://nodea");
  for (const char* text : {"10.0.0.1:1", "[::1]:2", "::1", "/run/x", "nodea"})
    CHECK(parsed(to_string(parsed(text, 0)), 0) == parsed(text, 0));
}
