// The platter of a simulated disk: what a running system reads (the newest completed writes) and
// what is on stable storage (what a flush covered). It outlives the FakeDisk handles that crash on
// it. A power loss drops what no flush covered, or keeps any prefix of it, sector by sector.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <vector>

#include "hast/base/assert.hpp"
#include "hast/base/bytes.hpp"
#include "hast/base/units.hpp"

namespace hast::test {

class DiskMedia {
 public:
  explicit DiskMedia(std::uint64_t size_bytes, std::uint32_t sector_bytes = 512)
      : sector_bytes_(sector_bytes), newest_(size_bytes), durable_(size_bytes) {}

  std::uint64_t size_bytes() const { return newest_.size(); }
  std::uint32_t sector_bytes() const { return sector_bytes_; }

  /// What a read returns now; what it would return after a power loss.
  ConstByteSpan newest(std::uint64_t offset, std::uint64_t length) const {
    return ConstByteSpan(newest_).subspan(offset, length);
  }
  ConstByteSpan durable(std::uint64_t offset, std::uint64_t length) const {
    return ConstByteSpan(durable_).subspan(offset, length);
  }

  /// A write that completed: newest at once, durable when a later flush covers it.
  void write(std::uint64_t offset, ConstByteSpan bytes) {
    HAST_ASSERT(range_within(offset, bytes.size(), size_bytes()));
    HAST_ASSERT(offset % sector_bytes_ == 0 && bytes.size() % sector_bytes_ == 0);
    std::memcpy(newest_.data() + offset, bytes.data(), bytes.size());
    ++writes_;
    for (std::uint64_t at = 0; at < bytes.size(); at += sector_bytes_) {
      const ConstByteSpan sector = bytes.subspan(at, sector_bytes_);
      unflushed_[(offset + at) / sector_bytes_].push_back(
          {writes_, {sector.begin(), sector.end()}});
    }
  }
  void zero(std::uint64_t offset, std::uint64_t length) {
    write(offset, std::vector<std::byte>(length));
  }
  /// As if it had been there and durable for ever.
  void preset(std::uint64_t offset, ConstByteSpan bytes) {
    write(offset, bytes);
    flush(flush_point());
  }

  /// A flush covers the writes that had completed when it was submitted, no later one.
  using FlushPoint = std::uint64_t;
  FlushPoint flush_point() const { return writes_; }
  void flush(FlushPoint point) {
    for (auto it = unflushed_.begin(); it != unflushed_.end();) {
      std::vector<Version>& versions = it->second;
      std::size_t covered = 0;
      while (covered < versions.size() && versions[covered].number <= point) ++covered;
      if (covered > 0) store(it->first, versions[covered - 1]);
      versions.erase(versions.begin(), versions.begin() + static_cast<std::ptrdiff_t>(covered));
      it = versions.empty() ? unflushed_.erase(it) : std::next(it);
    }
  }

  /// How many of a sector's unflushed versions, oldest first, had reached the platter.
  using Survivors = std::function<std::size_t(std::uint64_t sector, std::size_t versions)>;
  void power_loss(const Survivors& survivors) {
    for (auto& [sector, versions] : unflushed_) {
      const std::size_t kept = survivors(sector, versions.size());
      HAST_ASSERT(kept <= versions.size());
      if (kept > 0) store(sector, versions[kept - 1]);
    }
    unflushed_.clear();
    newest_ = durable_;
  }
  void power_loss() {
    power_loss([](std::uint64_t, std::size_t) { return std::size_t{0}; });
  }

 private:
  struct Version {
    std::uint64_t number = 0;
    std::vector<std::byte> bytes;
  };

  void store(std::uint64_t sector, const Version& version) {
    std::memcpy(durable_.data() + sector * sector_bytes_, version.bytes.data(), sector_bytes_);
  }

  std::uint32_t sector_bytes_;
  std::vector<std::byte> newest_;
  std::vector<std::byte> durable_;
  std::map<std::uint64_t, std::vector<Version>> unflushed_;
  std::uint64_t writes_ = 0;
};

}  // namespace hast::test
