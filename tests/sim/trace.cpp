#include "trace.hpp"

#include <fmt/core.h>

#include <cstdlib>

#include "clock.hpp"

namespace hast::sim {

Trace::Trace(const VirtualClock& clock)
    : clock_(clock), printing_(std::getenv("HAST_SIM_TRACE") != nullptr) {}

void Trace::mix(std::uint64_t value) {
  digest_ = (digest_ ^ value) * 0x9e3779b97f4a7c15ULL;
  digest_ ^= digest_ >> 29;
}

void Trace::mix(std::string_view text) {
  std::uint64_t sum = 0xcbf29ce484222325ULL;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  mix(sum);
}

void Trace::note(std::string_view what, std::string_view who, std::uint64_t a, std::uint64_t b) {
  ++events_;
  const auto now = static_cast<std::uint64_t>(clock_.since_start().count());
  mix(now);
  mix(what);
  mix(who);
  mix(a);
  mix(b);
  if (printing_)
    fmt::print(stderr, "{:14.6f} {:<12} {} {} {}\n", static_cast<double>(now) / 1e9, who, what, a,
               b);
}

}  // namespace hast::sim
