// sim_run [--seed N | --seeds A..B]: lives random lives, prints each that went wrong with the line
// that replays it, and a summary at the end. HAST_SIM_TRACE=1 prints every event.
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

#include "life.hpp"

namespace {

struct Seeds {
  std::uint64_t first = 1;
  std::uint64_t last = 1000;
};

Seeds parse(int argc, char** argv) {
  Seeds seeds;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string value = argv[i + 1];
    if (std::strcmp(argv[i], "--seed") == 0) {
      seeds.first = seeds.last = std::stoull(value);
    } else if (std::strcmp(argv[i], "--seeds") == 0 && value.find("..") != std::string::npos) {
      seeds.first = std::stoull(value);
      seeds.last = std::stoull(value.substr(value.find("..") + 2));
    }
  }
  return seeds;
}

}  // namespace

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  const Seeds seeds = parse(argc, argv);
  const Clock::time_point began = Clock::now();
  std::uint64_t failed = 0;
  double simulated = 0;
  for (std::uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    // Known before anything can abort.
    if (std::getenv("HAST_SIM_VERBOSE") != nullptr) fmt::print(stderr, "seed {}\n", seed);
    hast::sim::Life life(seed);
    life.run();
    simulated += life.seconds();
    if (life.wrong().empty()) continue;
    ++failed;
    fmt::print("seed {} ({}): {}\n  replay: HAST_SIM_TRACE=1 {} --seed {}\n", seed, life.summary(),
               life.wrong().front(), argv[0], seed);
  }
  const double real = std::chrono::duration<double>(Clock::now() - began).count();
  fmt::print("{} lives, {} wrong; {:.0f} simulated seconds in {:.1f} ({:.0f} to one)\n",
             seeds.last - seeds.first + 1, failed, simulated, real, simulated / real);
  return failed == 0 ? 0 : 1;
}
