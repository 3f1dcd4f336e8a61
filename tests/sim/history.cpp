#include "history.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "hast/base/assert.hpp"

namespace hast::sim {

namespace {

constexpr std::uint64_t kWords = History::kSectorBytes / 8;

std::uint64_t word(History::Stamp stamp, std::uint64_t sector, std::uint64_t index) {
  if (stamp == History::kZeros) return 0;
  if (index == 0) return stamp;
  return (stamp * 0x9e3779b97f4a7c15ULL) ^ (sector << 20) ^ (index * 0xbf58476d1ce4e5b9ULL);
}

void fill_sector(History::Stamp stamp, std::uint64_t sector, std::byte* to) {
  for (std::uint64_t i = 0; i < kWords; ++i) store_le(to + 8 * i, word(stamp, sector, i));
}

bool is_sector(History::Stamp stamp, std::uint64_t sector, const std::byte* from) {
  for (std::uint64_t i = 0; i < kWords; ++i) {
    if (load_le<std::uint64_t>(from + 8 * i) != word(stamp, sector, i)) return false;
  }
  return true;
}

}  // namespace

History::History(std::uint64_t sectors) : sectors_(sectors) {}

History History::fork() const {
  constexpr Stamp kStampsOfOneLife = Stamp{1} << 40;
  History other = *this;
  other.last_stamp_ += kStampsOfOneLife;
  for (Sector& sector : other.sectors_) {
    std::vector<Stamp> all = std::move(sector.refuted);
    all.insert(all.end(), sector.versions.begin(), sector.versions.end());
    sector = Sector{};
    sector.versions = std::move(all);
  }
  return other;
}

// Requests ----------------------------------------------------------------------------------------

bool History::is_free(const Range& range) const {
  for (std::uint64_t s = range.first; s < range.first + range.count; ++s) {
    if (sectors_[s].busy) return false;
  }
  return true;
}

void History::begin_read(const Range& range) {
  for (std::uint64_t s = range.first; s < range.first + range.count; ++s) {
    HAST_ASSERT(!sectors_[s].busy);
    sectors_[s].busy = true;
  }
}

void History::release(const Range& range) {
  for (std::uint64_t s = range.first; s < range.first + range.count; ++s) sectors_[s].busy = false;
}

void History::end_read(const Range& range) {
  release(range);
  for (std::uint64_t s = range.first; s < range.first + range.count; ++s)
    sectors_[s].in_doubt = false;
}

void History::begin(const Range& range, Stamp stamp) {
  begin_read(range);
  for (std::uint64_t s = range.first; s < range.first + range.count; ++s) {
    sectors_[s].versions.push_back(stamp);
    sectors_[s].touched = true;
  }
}

History::Stamp History::begin_write(const Range& range) {
  begin(range, ++last_stamp_);
  return last_stamp_;
}

void History::begin_zeroes(const Range& range) { begin(range, kZeros); }

void History::end_write(const Range& range, Outcome outcome) {
  release(range);
  if (outcome == Outcome::open) return;
  for (std::uint64_t s = range.first; s < range.first + range.count; ++s) {
    Sector& sector = sectors_[s];
    sector.undefined = outcome == Outcome::failed;
    if (std::exchange(sector.in_doubt, false) || sector.undefined) continue;
    sector.oldest = sector.newest();
    if (outcome == Outcome::acknowledged_durable) sector.durable = sector.oldest;
  }
}

// Contents ----------------------------------------------------------------------------------------

void History::fill(Stamp stamp, const Range& range, ByteSpan bytes) {
  HAST_ASSERT(bytes.size() == range.length_bytes());
  for (std::uint64_t i = 0; i < range.count; ++i)
    fill_sector(stamp, range.first + i, bytes.data() + i * kSectorBytes);
}

std::optional<std::string> History::read(const Range& range, ConstByteSpan bytes) {
  HAST_ASSERT(bytes.size() == range.length_bytes());
  for (std::uint64_t i = 0; i < range.count; ++i) {
    auto wrong = read_sector(range.first + i, bytes.subspan(i * kSectorBytes, kSectorBytes));
    if (wrong) return wrong;
  }
  return std::nullopt;
}

std::optional<std::string> History::read_beside(const History& fork, ConstByteSpan bytes) {
  for (std::uint64_t s = 0; s < sectors(); ++s) {
    if (fork.sectors_[s].touched) continue;
    if (auto wrong = read_sector(s, bytes.subspan(s * kSectorBytes, kSectorBytes))) return wrong;
  }
  return std::nullopt;
}

std::optional<std::string> History::read_sector(std::uint64_t number, ConstByteSpan bytes) {
  Sector& sector = sectors_[number];
  for (std::uint64_t version = sector.newest() + 1; version-- > 0;) {
    if (!is_sector(sector.versions[version], number, bytes.data())) continue;
    if (version < sector.oldest)
      return fmt::format("sector {} went back: version {} was read, {} is the oldest possible",
                         number, version, sector.oldest);
    if (sector.undefined) return std::nullopt;
    // Decided: what came later did not happen, what came before is gone for good.
    sector.refuted.insert(sector.refuted.end(),
                          sector.versions.begin() + static_cast<std::ptrdiff_t>(version + 1),
                          sector.versions.end());
    sector.versions.resize(version + 1);
    sector.oldest = version;
    return std::nullopt;
  }
  return fmt::format("sector {} holds what was never written there: {:016x}", number,
                     load_le<std::uint64_t>(bytes.data()));
}

// Durability --------------------------------------------------------------------------------------

History::Moment History::now() const {
  Moment moment;
  moment.reserve(sectors_.size());
  for (const Sector& sector : sectors_) moment.push_back(sector.oldest);
  return moment;
}

void History::flushed(const Moment& sent) {
  for (std::size_t s = 0; s < sectors_.size(); ++s) {
    Sector& sector = sectors_[s];
    // What was decided to be older since cannot be newer on stable storage.
    sector.durable = std::max(sector.durable, std::min(sent[s], sector.oldest));
  }
}

bool History::is_lost(ConstByteSpan before, ConstByteSpan after) const {
  for (std::uint64_t s = 0; s < sectors(); ++s) {
    const Sector& sector = sectors_[s];
    if (sector.busy || sector.undefined || sector.oldest != sector.newest()) continue;
    const Stamp newest = sector.versions.back();
    const std::size_t at = s * kSectorBytes;
    if (is_sector(newest, s, before.data() + at) && !is_sector(newest, s, after.data() + at))
      return true;
  }
  return false;
}

void History::power_lost() {
  for (Sector& sector : sectors_) {
    sector.oldest = sector.durable;
    sector.in_doubt = sector.busy;
  }
}

void History::fell_back_to(const Moment& known) {
  for (std::size_t s = 0; s < sectors_.size(); ++s) {
    Sector& sector = sectors_[s];
    sector.oldest = std::min(known[s], sector.oldest);
    sector.durable = 0;  // whatever of it reached the platter there, nobody promised
  }
}

}  // namespace hast::sim
