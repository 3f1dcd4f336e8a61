// What a client may rely on, kept by somebody who only looks on (docs/invariants.md, table of
// modes). Each sector carries the number of the write that filled it. For each node the checker
// knows two floors a sector: the newest write the node must hold now, and after a power loss. A
// read, or a node's image, may show anything from the floor upwards, never something older.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "hast/base/bytes.hpp"

namespace hast::test {

using WriteNumber = std::uint64_t;

/// Per sector, what a node holds at least.
struct Floors {
  explicit Floors(std::size_t sectors) : now(sectors), durable(sectors) {}
  void lose_power() { now = durable; }
  void forget() {
    std::fill(now.begin(), now.end(), 0);
    std::fill(durable.begin(), durable.end(), 0);
  }

  std::vector<WriteNumber> now;
  std::vector<WriteNumber> durable;
};

class SectorHistory {
 public:
  SectorHistory(std::size_t sectors, std::uint32_t sector_bytes)
      : sector_bytes_(sector_bytes), written_(sectors) {}

  std::size_t sectors() const { return written_.size(); }
  std::uint32_t sector_bytes() const { return sector_bytes_; }

  /// The number of a write that is about to be submitted, and the bytes it has to carry.
  WriteNumber begin_write(std::uint64_t first, std::uint64_t count) {
    return begin(first, count, false);
  }
  WriteNumber begin_zeroing(std::uint64_t first, std::uint64_t count) {
    return begin(first, count, true);
  }
  std::vector<std::byte> content(WriteNumber number, std::uint64_t count) const {
    std::vector<std::byte> bytes(count * sector_bytes_);
    for (std::size_t at = 0; at < bytes.size(); at += sizeof number)
      std::memcpy(bytes.data() + at, &number, sizeof number);
    return bytes;
  }

  /// Empty, or what is wrong with these bytes of the sectors from `first` on.
  std::string check(ConstByteSpan bytes, std::uint64_t first,
                    const std::vector<WriteNumber>& floor) const {
    for (std::uint64_t i = 0; i < bytes.size() / sector_bytes_; ++i) {
      const ConstByteSpan sector = bytes.subspan(i * sector_bytes_, sector_bytes_);
      const WriteNumber shown = load_le<WriteNumber>(sector.data());
      const std::string where = "sector " + std::to_string(first + i);
      if (!std::equal(sector.begin() + sizeof shown, sector.end(), sector.begin()))
        return where + " is torn";
      if (!is_possible(first + i, shown, floor[first + i]))
        return where + " shows write " + std::to_string(shown) + ", but " +
               std::to_string(floor[first + i]) + " was acknowledged";
    }
    return {};
  }

 private:
  struct Entry {
    WriteNumber number = 0;
    bool zeroes = false;
  };

  WriteNumber begin(std::uint64_t first, std::uint64_t count, bool zeroes) {
    ++last_;
    for (std::uint64_t s = first; s < first + count; ++s) written_[s].push_back({last_, zeroes});
    return last_;
  }
  bool is_possible(std::uint64_t sector, WriteNumber shown, WriteNumber floor) const {
    if (shown == 0 && floor == 0) return true;  // never written
    return std::any_of(written_[sector].begin(), written_[sector].end(), [&](const Entry& entry) {
      return entry.number >= floor && (entry.zeroes ? shown == 0 : shown == entry.number);
    });
  }

  std::uint32_t sector_bytes_;
  std::vector<std::vector<Entry>> written_;
  WriteNumber last_ = 0;
};

}  // namespace hast::test
