// sim_run [--seed N | --seeds A..B] [--trace] [--digests] [--first] [--seconds N]: lives random
// lives, prints each that went wrong with the line that replays it, and a summary at the end.
// --trace prints every event, --digests the digest of each life, --first ends with the first life
// that goes wrong, --seconds after so much real time.
#include <fmt/core.h>

#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "life.hpp"

namespace {

using SteadyClock = std::chrono::steady_clock;

struct Options {
  std::uint64_t first = 1;
  std::uint64_t last = 1000;
  bool trace = false;
  bool digests = false;
  bool stop_at_first = false;
  std::uint64_t seconds = 1'000'000;
};

constexpr std::string_view kUsage =
    "usage: sim_run [--seed N | --seeds A..B] [--trace] [--digests] [--first] [--seconds N]\n";

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool parse_seeds(Options& options, std::string_view text) {
  const std::size_t dots = text.find("..");
  const std::optional<std::uint64_t> first = number(text.substr(0, dots));
  const std::optional<std::uint64_t> last =
      dots == std::string_view::npos ? first : number(text.substr(dots + 2));
  if (!first || !last || *first > *last) return false;
  options.first = *first;
  options.last = *last;
  return true;
}

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--trace") {
      options.trace = true;
    } else if (word == "--digests") {
      options.digests = true;
    } else if (word == "--first") {
      options.stop_at_first = true;
    } else if ((word == "--seed" || word == "--seeds") && parse_seeds(options, value)) {
      ++i;
    } else if (const auto limit = number(value); word == "--seconds" && limit) {
      options.seconds = *limit;
      ++i;
    } else {
      return std::nullopt;
    }
  }
  return options;
}

std::string replay_line;  // of the life that is being lived

/// An assertion of the product: the seed is all that can still be told.
void say_which(int signal) {
  [[maybe_unused]] const ssize_t written = write(1, replay_line.data(), replay_line.size());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

struct Totals {
  std::uint64_t lives = 0;
  std::uint64_t wrong = 0;
  double simulated = 0;
};

void live(std::uint64_t seed, const Options& options, std::string_view program, Totals& totals) {
  replay_line =
      fmt::format("seed {}: aborted\n  replay: {} --seed {} --trace\n", seed, program, seed);
  hast::sim::Life life(seed);
  life.run();
  ++totals.lives;
  totals.simulated += life.seconds();
  if (options.digests) fmt::print("{} {:016x}\n", seed, life.digest());
  if (life.wrong().empty()) return;
  ++totals.wrong;
  fmt::print("seed {}: {}\n  {}\n  replay: {} --seed {} --trace\n", seed, life.wrong().front(),
             life.summary(), program, seed);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const std::optional<Options> options = parse(argc, argv);
  if (!options) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  if (options->trace) setenv("HAST_SIM_TRACE", "1", 1);
  for (const int signal : {SIGABRT, SIGSEGV}) std::signal(signal, say_which);
  const SteadyClock::time_point began = SteadyClock::now();
  const auto real = [began] {
    return std::chrono::duration<double>(SteadyClock::now() - began).count();
  };
  Totals totals;
  for (std::uint64_t seed = options->first; seed <= options->last; ++seed) {
    live(seed, *options, argv[0], totals);
    if (options->stop_at_first && totals.wrong > 0) break;
    if (real() > static_cast<double>(options->seconds)) break;
  }
  fmt::print(
      "seeds {}..{}: {} violations; {:.0f} simulated seconds in {:.1f} real ones ({:.0f} to one)\n",
      options->first, options->first + totals.lives - 1, totals.wrong, totals.simulated, real(),
      totals.simulated / std::max(real(), 0.001));
  return totals.wrong == 0 ? 0 : 1;
}
