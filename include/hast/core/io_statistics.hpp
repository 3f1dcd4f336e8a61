// What a node counts of the requests it sees and of the errors of its own component, since it took
// its role. Plain numbers for `hastctl list` and the control socket.
#pragma once

#include <cstdint>

#include "hast/base/types.hpp"

namespace hast::core {

struct IoStatistics {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;  // write-zeroes, too
  std::uint64_t deletes = 0;
  std::uint64_t flushes = 0;
  std::uint64_t activemap_updates = 0;
  std::uint64_t read_errors = 0;  // of the local component
  std::uint64_t write_errors = 0;
  std::uint64_t delete_errors = 0;
  std::uint64_t flush_errors = 0;
  std::uint64_t reads_repaired = 0;  // failed reads rewritten with the peer's data

  void count(IoKind kind) { ++(this->*of(kind).requests); }
  void count_error(IoKind kind) { ++(this->*of(kind).errors); }

 private:
  struct Counters {
    std::uint64_t IoStatistics::*requests;
    std::uint64_t IoStatistics::*errors;
  };
  static constexpr Counters of(IoKind kind) {
    switch (kind) {
      case IoKind::read:
        return {&IoStatistics::reads, &IoStatistics::read_errors};
      case IoKind::discard:
        return {&IoStatistics::deletes, &IoStatistics::delete_errors};
      case IoKind::flush:
        return {&IoStatistics::flushes, &IoStatistics::flush_errors};
      case IoKind::write:
      case IoKind::write_zeroes:
        break;
    }
    return {&IoStatistics::writes, &IoStatistics::write_errors};
  }
};

}  // namespace hast::core
