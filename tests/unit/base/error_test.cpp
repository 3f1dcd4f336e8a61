#include "hast/base/error.hpp"

#include <cerrno>
#include <set>
#include <string>

#include "support/catch.hpp"

using hast::Errc;
using hast::Error;

TEST_CASE("every error has a name, a meaning and an advice of its own") {
  std::set<std::string> names;
  std::set<std::string> meanings;
  for (const hast::ErrcText& row : hast::all_errors()) {
    INFO(std::string(row.name));
    CHECK(&hast::text_of(row.code) == &row);
    CHECK(names.insert(std::string(row.name)).second);
    CHECK(meanings.insert(std::string(row.what)).second);
    CHECK(row.what.back() != '.');
    CHECK(row.action.back() == '.');
  }
  CHECK(names.size() == static_cast<std::size_t>(Errc::internal));
}

TEST_CASE("an error's name is its word in the enumeration") {
  CHECK(to_string(Errc::truncated) == "truncated");
  CHECK(to_string(Errc::component_busy) == "component_busy");
  CHECK(to_string(Errc::split_brain) == "split_brain");
  CHECK(to_string(Errc::internal) == "internal");
}

TEST_CASE("a message says what happened, where, why and what to do next") {
  const Error busy{Errc::component_busy, EAGAIN, "/dev/da0"};
  CHECK(busy.message() ==
        "the local component is in use by another process: /dev/da0: " + hast::errno_text(EAGAIN) +
            ". Stop the process that holds it (another hastd, a mount, a volume manager) and try "
            "again.");
}

TEST_CASE("a message leaves out what is not known") {
  CHECK(Error{Errc::peer_refused}.message() ==
        "the peer refused the connection. Remove the reason it gives; its own log may say more.");
}

TEST_CASE("a detail that is a sentence does not double the full stop") {
  const std::string text = Error{Errc::usage, 0, "Invalid extentsize."}.message();
  CHECK(text ==
        "invalid request: Invalid extentsize. Correct the command; `hastctl -h` shows the "
        "usage.");
}

TEST_CASE("an errno is told in the kernel's words") {
  CHECK(hast::errno_text(ENOENT) == "No such file or directory");
  CHECK(hast::errno_text(ENOSPC) == "No space left on device");
}
