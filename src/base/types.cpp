#include "hast/base/types.hpp"

#include <array>
#include <span>

#include "hast/base/assert.hpp"

namespace hast {
namespace {

template <class E>
struct Word {
  E value;
  std::string_view word;
};

constexpr std::array<Word<Role>, 3> kRoles{{
    {Role::init, "init"},
    {Role::primary, "primary"},
    {Role::secondary, "secondary"},
}};
constexpr std::array<Word<Replication>, 3> kReplications{{
    {Replication::fullsync, "fullsync"},
    {Replication::memsync, "memsync"},
    {Replication::async, "async"},
}};
constexpr std::array<Word<Checksum>, 3> kChecksums{{
    {Checksum::none, "none"},
    {Checksum::crc32, "crc32"},
    {Checksum::sha256, "sha256"},
}};
constexpr std::array<Word<Compression>, 4> kCompressions{{
    {Compression::none, "none"},
    {Compression::hole, "hole"},
    {Compression::lzf, "lzf"},
    {Compression::lz4, "lz4"},
}};
constexpr std::array<Word<IoMode>, 3> kIoModes{{
    {IoMode::automatic, "auto"},
    {IoMode::buffered, "buffered"},
    {IoMode::direct, "direct"},
}};
constexpr std::array<Word<OnLocalError>, 2> kLocalErrorPolicies{{
    {OnLocalError::detach, "detach"},
    {OnLocalError::pass, "pass"},
}};
constexpr std::array<Word<OnPeerLoss>, 2> kPeerLossPolicies{{
    {OnPeerLoss::go_on, "continue"},
    {OnPeerLoss::freeze, "freeze"},
}};
constexpr std::array<Word<SyncSource>, 2> kSyncSources{{
    {SyncSource::primary, "primary"},
    {SyncSource::secondary, "secondary"},
}};
constexpr std::array<Word<IoKind>, 5> kIoKinds{{
    {IoKind::read, "read"},
    {IoKind::write, "write"},
    {IoKind::discard, "discard"},
    {IoKind::write_zeroes, "write_zeroes"},
    {IoKind::flush, "flush"},
}};

// A value outside its enumeration is a bug here: decoders produce only named values.
template <class Table, class E>
std::string_view word_of(const Table& table, E value) {
  for (const auto& row : table)
    if (row.value == value) return row.word;
  HAST_ASSERT(!"enumeration value without a word");
  return {};
}

template <class E, std::size_t n>
std::optional<E> value_of(const std::array<Word<E>, n>& table, std::string_view word) {
  for (const auto& row : table)
    if (row.word == word) return row.value;
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Role role) { return word_of(kRoles, role); }
std::string_view to_string(Replication mode) { return word_of(kReplications, mode); }
std::string_view to_string(Checksum checksum) { return word_of(kChecksums, checksum); }
std::string_view to_string(Compression compression) { return word_of(kCompressions, compression); }
std::string_view to_string(IoMode mode) { return word_of(kIoModes, mode); }
std::string_view to_string(OnLocalError policy) { return word_of(kLocalErrorPolicies, policy); }
std::string_view to_string(OnPeerLoss policy) { return word_of(kPeerLossPolicies, policy); }
std::string_view to_string(SyncSource source) { return word_of(kSyncSources, source); }
std::string_view to_string(IoKind kind) { return word_of(kIoKinds, kind); }

std::optional<Role> parse_role(std::string_view word) { return value_of(kRoles, word); }
std::optional<Replication> parse_replication(std::string_view word) {
  return value_of(kReplications, word);
}
std::optional<Checksum> parse_checksum(std::string_view word) { return value_of(kChecksums, word); }
std::optional<Compression> parse_compression(std::string_view word) {
  return value_of(kCompressions, word);
}
std::optional<IoMode> parse_io_mode(std::string_view word) { return value_of(kIoModes, word); }
std::optional<OnPeerLoss> parse_on_peer_loss(std::string_view word) {
  return value_of(kPeerLossPolicies, word);
}
std::optional<OnLocalError> parse_on_local_error(std::string_view word) {
  return value_of(kLocalErrorPolicies, word);
}

}  // namespace hast
