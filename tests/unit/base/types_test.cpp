#include "hast/base/types.hpp"

#include "support/catch.hpp"

using namespace hast;

namespace {

template <class E, class Parse>
void check_word(E value, std::string_view word, Parse parse) {
  CHECK(to_string(value) == word);
  CHECK(parse(word) == value);
}

}  // namespace

TEST_CASE("roles have the words of hastctl and the numbers of the control protocol") {
  check_word(Role::init, "init", parse_role);
  check_word(Role::primary, "primary", parse_role);
  check_word(Role::secondary, "secondary", parse_role);
  CHECK(static_cast<int>(Role::init) == 1);
  CHECK(static_cast<int>(Role::primary) == 2);
  CHECK(static_cast<int>(Role::secondary) == 3);
}

TEST_CASE("replication modes, checksums and compressions have the words of the configuration") {
  check_word(Replication::fullsync, "fullsync", parse_replication);
  check_word(Replication::memsync, "memsync", parse_replication);
  check_word(Replication::async, "async", parse_replication);
  check_word(Checksum::none, "none", parse_checksum);
  check_word(Checksum::crc32, "crc32", parse_checksum);
  check_word(Checksum::sha256, "sha256", parse_checksum);
  check_word(Compression::none, "none", parse_compression);
  check_word(Compression::hole, "hole", parse_compression);
  check_word(Compression::lzf, "lzf", parse_compression);
}

TEST_CASE("sync sources and kinds of I/O have words for the log") {
  CHECK(to_string(SyncSource::primary) == "primary");
  CHECK(to_string(SyncSource::secondary) == "secondary");
  CHECK(to_string(IoKind::read) == "read");
  CHECK(to_string(IoKind::write) == "write");
  CHECK(to_string(IoKind::discard) == "discard");
  CHECK(to_string(IoKind::write_zeroes) == "write_zeroes");
  CHECK(to_string(IoKind::flush) == "flush");
}

TEST_CASE("a word that is nearly right is refused") {
  for (std::string_view word : {"", "Primary", "primary ", " primary", "prim", "primaryy"}) {
    CHECK_FALSE(parse_role(word));
    CHECK_FALSE(parse_replication(word));
    CHECK_FALSE(parse_checksum(word));
    CHECK_FALSE(parse_compression(word));
  }
  CHECK_FALSE(parse_checksum("lzf"));
  CHECK_FALSE(parse_compression("crc32"));
}
