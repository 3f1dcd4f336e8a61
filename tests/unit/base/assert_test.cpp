#include "hast/base/assert.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

#include "support/catch.hpp"

namespace {

struct Ending {
  int status = 0;
  std::string words;
};

// Runs `body` in a child, because a failed assertion is meant to end the process.
template <class F>
Ending run_in_child(F body) {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    dup2(ends[1], STDERR_FILENO);
    body();
    _exit(0);
  }
  close(ends[1]);
  Ending ending;
  std::array<char, 512> part{};
  for (ssize_t n = 0; (n = read(ends[0], part.data(), part.size())) > 0;)
    ending.words.append(part.data(), static_cast<std::size_t>(n));
  close(ends[0]);
  REQUIRE(waitpid(child, &ending.status, 0) == child);
  return ending;
}

}  // namespace

TEST_CASE("an assertion that holds does nothing") {
  const Ending ending = run_in_child([] { HAST_ASSERT(1 + 1 == 2); });
  CHECK(WIFEXITED(ending.status));
  CHECK(WEXITSTATUS(ending.status) == 0);
  CHECK(ending.words.empty());
}

TEST_CASE("an assertion that fails ends the process and names the expression, also in release") {
  const Ending ending = run_in_child([] { HAST_ASSERT(1 + 1 == 3); });
  CHECK(WIFSIGNALED(ending.status));
  CHECK(WTERMSIG(ending.status) == SIGABRT);
  CHECK(ending.words.find("1 + 1 == 3") != std::string::npos);
  CHECK(ending.words.find("assert_test.cpp") != std::string::npos);
}
