// The platter of a simulated disk: what a running system reads (the newest completed writes) and
// what is on stable storage (what a flush covered). It outlives the FakeDisk handles that crash on
// it. A power loss drops what no flush covered, or keeps any prefix of it, sector by sector.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "hast/base/assert.hpp"
#include "hast/base/bytes.hpp"
#include "hast/base/units.hpp"
#include "hast/core/buffer.hpp"

namespace hast::test {

inline bool same_bytes(ConstByteSpan one, ConstByteSpan other) {
  return one.size() == other.size() && std::memcmp(one.data(), other.data(), one.size()) == 0;
}
inline bool filled_with(ConstByteSpan bytes, unsigned fill) {
  return !bytes.empty() && bytes[0] == static_cast<std::byte>(fill) &&
         same_bytes(bytes.first(bytes.size() - 1), bytes.subspan(1));
}

class DiskMedia {
 public:
  explicit DiskMedia(std::uint64_t size_bytes, std::uint32_t sector_bytes = 512)
      : sector_bytes_(sector_bytes), newest_(size_bytes), durable_(size_bytes) {}

  std::uint64_t size_bytes() const { return newest_.size(); }
  std::uint32_t sector_bytes() const { return sector_bytes_; }

  /// What a read returns now; what it would return after a power loss.
  ConstByteSpan newest(std::uint64_t offset, std::uint64_t length) const {
    return newest_.span().subspan(offset, length);
  }
  ConstByteSpan durable(std::uint64_t offset, std::uint64_t length) const {
    return durable_.span().subspan(offset, length);
  }

  /// A write that completed: newest at once, durable when a later flush covers it.
  void write(std::uint64_t offset, ConstByteSpan bytes) {
    HAST_ASSERT(range_within(offset, bytes.size(), size_bytes()));
    HAST_ASSERT(offset % sector_bytes_ == 0 && bytes.size() % sector_bytes_ == 0);
    store(newest_, offset, bytes);
    unflushed_.push_back({++writes_, offset, {bytes.begin(), bytes.end()}});
  }
  /// Durable when it completed, it alone.
  void write_durably(std::uint64_t offset, ConstByteSpan bytes) {
    store(newest_, offset, bytes);
    store(durable_, offset, bytes);
    for (Write& older : unflushed_) overwrite(older, offset, bytes);
  }
  void zero(std::uint64_t offset, std::uint64_t length) {
    write(offset, std::vector<std::byte>(length));
  }
  /// As if it had been there and durable for ever.
  void preset(std::uint64_t offset, ConstByteSpan bytes) {
    flush(flush_point());
    store(newest_, offset, bytes);
    store(durable_, offset, bytes);
  }

  /// A flush covers the writes that had completed when it was submitted, no later one.
  using FlushPoint = std::uint64_t;
  FlushPoint flush_point() const { return writes_; }
  void flush(FlushPoint point) {
    while (!unflushed_.empty() && unflushed_.front().number <= point) {
      store(durable_, unflushed_.front().offset, unflushed_.front().bytes);
      unflushed_.pop_front();
    }
  }

  /// A flush failed: of what it should have covered the kernel takes some for written. It is read
  /// for as long as the power lasts, and no later flush makes it durable.
  void flush_failed(FlushPoint point, const std::function<bool()>& drops) {
    std::erase_if(unflushed_, [&](const Write& write) { return write.number <= point && drops(); });
  }

  /// How many of a sector's unflushed versions, oldest first, had reached the platter.
  using Survivors = std::function<std::size_t(std::uint64_t sector, std::size_t versions)>;
  void power_loss(const Survivors& survivors) {
    std::map<std::uint64_t, std::vector<ConstByteSpan>> versions;  // of each sector
    for (const Write& write : unflushed_) {
      for (std::uint64_t at = 0; at < write.bytes.size(); at += sector_bytes_)
        versions[(write.offset + at) / sector_bytes_].push_back(
            ConstByteSpan(write.bytes).subspan(at, sector_bytes_));
    }
    for (const auto& [sector, candidates] : versions) {
      const std::size_t kept = survivors(sector, candidates.size());
      HAST_ASSERT(kept <= candidates.size());
      const std::uint64_t offset = sector * sector_bytes_;
      if (kept > 0) store(durable_, offset, candidates[kept - 1]);
    }
    unflushed_.clear();
    store(newest_, 0, durable_.span());
  }
  void power_loss() {
    power_loss([](std::uint64_t, std::size_t) { return std::size_t{0}; });
  }

 private:
  struct Write {
    std::uint64_t number = 0;
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
  };

  static void store(core::AlignedBuffer& layer, std::uint64_t offset, ConstByteSpan bytes) {
    std::memcpy(layer.data() + offset, bytes.data(), bytes.size());
  }

  /// What a later flush brings must not be older than what is there.
  static void overwrite(Write& older, std::uint64_t offset, ConstByteSpan bytes) {
    const std::uint64_t begin = std::max(offset, older.offset);
    const std::uint64_t end = std::min(offset + bytes.size(), older.offset + older.bytes.size());
    if (begin < end)
      std::memcpy(older.bytes.data() + (begin - older.offset), bytes.data() + (begin - offset),
                  end - begin);
  }

  std::uint32_t sector_bytes_;
  core::AlignedBuffer newest_;
  core::AlignedBuffer durable_;
  std::deque<Write> unflushed_;  // in the order of their numbers
  std::uint64_t writes_ = 0;
};

}  // namespace hast::test
