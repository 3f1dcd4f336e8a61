// Which seeds a random test runs, and the line that replays one of them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace hast::sim {

/// HAST_SIM_SEED=7 runs that one, HAST_SIM_SEEDS=5000 so many; otherwise `usual` of them, from 1.
inline std::vector<std::uint64_t> seeds(std::uint64_t usual) {
  if (const char* one = std::getenv("HAST_SIM_SEED")) return {std::strtoull(one, nullptr, 10)};
  if (const char* many = std::getenv("HAST_SIM_SEEDS")) usual = std::strtoull(many, nullptr, 10);
  std::vector<std::uint64_t> all;
  for (std::uint64_t seed = 1; seed <= usual; ++seed) all.push_back(seed);
  return all;
}

inline std::string replay_line(std::uint64_t seed) {
  return "seed " + std::to_string(seed) +
         "; replay with a trace: HAST_SIM_TRACE=1 HAST_SIM_SEED=" + std::to_string(seed) +
         " tests/sim/sim_engine \"" + Catch::getResultCapture().getCurrentTestName() + "\"";
}

}  // namespace hast::sim
