#include "hast/base/error.hpp"

#include <cerrno>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "support/catch.hpp"

using hast::Errc;
using hast::Error;

namespace {

// The cells of a row "| `name` | a | b |" of a table; none if the line is no such row.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  if (line.rfind("| `", 0) != 0) return cells;
  for (std::size_t at = 1; at < line.size();) {
    const std::size_t end = line.find('|', at);
    if (end == std::string::npos) break;
    cells.push_back(line.substr(at + 1, end - at - 2));
    at = end + 1;
  }
  return cells;
}

std::vector<std::vector<std::string>> documented_errors() {
  std::ifstream file(HAST_SOURCE_DIR "/docs/errors.md");
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);)
    if (std::vector<std::string> cells = cells_of(line); !cells.empty()) rows.push_back(cells);
  return rows;
}

}  // namespace

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

TEST_CASE("a detail that is a sentence or a question gets no second end") {
  const std::string action = " Correct the command; `hastctl -h` shows the usage.";
  CHECK(Error{Errc::usage, 0, "Invalid extentsize."}.message() ==
        "invalid request: Invalid extentsize." + action);
  CHECK(Error{Errc::usage, 0, "did you mean \"local\"?"}.message() ==
        "invalid request: did you mean \"local\"?" + action);
}

TEST_CASE("an errno is told in the kernel's words") {
  CHECK(hast::errno_text(ENOENT) == "No such file or directory");
  CHECK(hast::errno_text(ENOSPC) == "No space left on device");
}

TEST_CASE("docs/errors.md has one full row for each error, in the order of the enumeration") {
  const auto rows = documented_errors();
  REQUIRE(rows.size() == hast::all_errors().size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CHECK(rows[i].at(0) == "`" + std::string(hast::all_errors()[i].name) + "`");
    CHECK(rows[i].size() == 5);
    for (const std::string& cell : rows[i]) CHECK_FALSE(cell.empty());
  }
}

TEST_CASE("docs/errors.md shows a message as it really reads") {
  std::ifstream file(HAST_SOURCE_DIR "/docs/errors.md");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const Error shown{Errc::component_busy, EAGAIN, "/dev/da0"};
  CHECK(text.find("\n" + shown.message() + "\n") != std::string::npos);
}
