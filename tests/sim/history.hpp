// What a client may expect to read: every version every sector ever had, and which of them are
// possible now. A write that was acknowledged rules out all that came before it; one without an
// answer may have happened or not; one that was answered with an error leaves its sectors undefined
// between old and new until they are written again. A power loss makes everything possible again
// that no acknowledged flush covers. What was read once has been decided.
//
// The client never has two requests on one sector at the same time, so versions have an order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hast/base/bytes.hpp"

namespace hast::sim {

class History {
 public:
  static constexpr std::uint32_t kSectorBytes = 512;
  /// Identifies the contents of a write; each sector of it looks different. 0: zeros.
  using Stamp = std::uint64_t;
  static constexpr Stamp kZeros = 0;

  struct Range {
    std::uint64_t first = 0;  // sectors
    std::uint64_t count = 0;
    std::uint64_t offset_bytes() const { return first * kSectorBytes; }
    std::uint64_t length_bytes() const { return count * kSectorBytes; }
  };

  /// Every sector begins as zeros, on stable storage.
  explicit History(std::uint64_t sectors);
  /// The same past, another future: what a client of the other half of a split brain writes. It
  /// may read any version there ever was, also those that the first half decided against, and what
  /// it writes can be told from the original's.
  History fork() const;

  // One request at a time on a sector.
  bool is_free(const Range& range) const;
  void begin_read(const Range& range);
  void end_read(const Range& range);
  /// Fresh contents, or zeros.
  Stamp begin_write(const Range& range);
  void begin_zeroes(const Range& range);
  enum class Outcome { acknowledged, acknowledged_durable, open, failed };
  void end_write(const Range& range, Outcome outcome);

  /// Bytes of a write, and what is wrong with bytes that were read; nothing if they are possible.
  static void fill(Stamp stamp, const Range& range, ByteSpan bytes);
  std::optional<std::string> read(const Range& range, ConstByteSpan bytes);
  /// The same for all of it, without what `fork` has written since it was made.
  std::optional<std::string> read_beside(const History& fork, ConstByteSpan bytes);

  /// A flush covers what was acknowledged when it was sent.
  using Moment = std::vector<std::uint64_t>;
  Moment now() const;
  void flushed(const Moment& sent);

  /// Whether a node that held `before`, the newest that was acknowledged, lacks some of it after.
  bool is_lost(ConstByteSpan before, ConstByteSpan after) const;
  /// A node that alone held something lost its power. What is on its way may be acknowledged yet,
  /// by what that node had said before.
  void power_lost();
  /// The node that takes over may lack anything after `known`: async makes no promise.
  void fell_back_to(const Moment& known);

  std::uint64_t sectors() const { return sectors_.size(); }

 private:
  struct Sector {
    std::vector<Stamp> versions{kZeros};
    std::vector<Stamp> refuted;  // a read decided that they did not happen: here
    std::uint64_t oldest = 0;    // version that is possible now
    std::uint64_t durable = 0;   // and after a power loss
    bool busy = false;
    bool touched = false;    // written since the fork
    bool in_doubt = false;   // the power went while a write was on its way
    bool undefined = false;  // the last write failed

    std::uint64_t newest() const { return versions.size() - 1; }
  };

  void begin(const Range& range, Stamp stamp);
  void release(const Range& range);
  std::optional<std::string> read_sector(std::uint64_t number, ConstByteSpan bytes);

  std::vector<Sector> sectors_;
  Stamp last_stamp_ = 0;
};

}  // namespace hast::sim
