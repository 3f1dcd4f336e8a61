// The ancestry of a node's data, as random ids: every time a node begins to hold changes that its
// peer lacks, its data get a new current id and remember the former ones. Two nodes compare what
// they hold without counting: the one whose past contains the other's current id is the newer, and
// if neither does, both were written independently (INV-7). Values only; metadata blocks and
// handshakes carry them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "hast/base/bytes.hpp"

namespace hast {

struct Generations {
  static constexpr std::size_t kPast = 8;

  /// As `synced`: this node's map does not know what the other one lacks.
  static constexpr std::uint64_t kUntracked = ~std::uint64_t{0};

  std::uint64_t current = 0;                // 0: unknown, an original wrote last
  std::uint64_t synced = 0;                 // `current` when the nodes were last equal; 0: never
  std::array<std::uint64_t, kPast> past{};  // former ones, newest first; 0: none

  bool operator==(const Generations&) const = default;

  bool known() const { return current != 0; }
  /// True if `id` is the present or a former generation of these data: the newest kPast ones, and
  /// that in which the nodes were last equal.
  bool contains(std::uint64_t id) const;
  /// True if another node may be in this very generation: it was equal, or met at the beginning.
  /// One that is this node's alone need not end with every loss of the peer, or the past would be
  /// forgotten after a few.
  bool may_be_shared() const { return current == synced || past.front() == 0; }
  /// Changes begin that the peer lacks.
  void begin(std::uint64_t id);
};

inline constexpr std::size_t kGenerationsBytes = (2 + Generations::kPast) * 8;
std::array<std::byte, kGenerationsBytes> encode_generations(const Generations& generations);
/// nullopt if the length is not kGenerationsBytes.
std::optional<Generations> decode_generations(ConstByteSpan bytes);

}  // namespace hast
