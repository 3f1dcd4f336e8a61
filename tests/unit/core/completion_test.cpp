#include "hast/core/completion.hpp"

#include <array>
#include <string_view>

#include "support/catch.hpp"

using namespace hast;
using namespace hast::core;

namespace {

constexpr std::array kModes{Replication::fullsync, Replication::memsync, Replication::async};
constexpr std::array kLocal{LocalState::pending, LocalState::ok, LocalState::failed,
                            LocalState::absent};
constexpr std::array kRemote{RemoteState::pending, RemoteState::received, RemoteState::ok,
                             RemoteState::failed, RemoteState::absent};

char letter(Verdict verdict) {
  return verdict == Verdict::wait ? 'w' : verdict == Verdict::success ? 's' : 'f';
}

std::string row(Replication mode, LocalState local) {
  std::string letters;
  for (RemoteState remote : kRemote) letters += letter(verdict(mode, local, remote));
  return letters;
}

}  // namespace

// Columns: the remote side is pending, received, ok, failed, absent.

TEST_CASE("fullsync waits for both nodes and succeeds with one") {
  CHECK(row(Replication::fullsync, LocalState::pending) == "wwwww");
  CHECK(row(Replication::fullsync, LocalState::ok) == "wwsss");
  CHECK(row(Replication::fullsync, LocalState::failed) == "wwsff");
  CHECK(row(Replication::fullsync, LocalState::absent) == "wwsff");
}

TEST_CASE("memsync answers when the local copy is done and the peer holds the data") {
  CHECK(row(Replication::memsync, LocalState::pending) == "wwwww");
  CHECK(row(Replication::memsync, LocalState::ok) == "wssss");
  CHECK(row(Replication::memsync, LocalState::failed) == "wwsff");
  CHECK(row(Replication::memsync, LocalState::absent) == "wwsff");
}

TEST_CASE("async answers when the local copy is done, and waits for the peer if it failed") {
  CHECK(row(Replication::async, LocalState::pending) == "wwwww");
  CHECK(row(Replication::async, LocalState::ok) == "sssss");
  CHECK(row(Replication::async, LocalState::failed) == "wwsff");
  CHECK(row(Replication::async, LocalState::absent) == "wwsff");
}

TEST_CASE("a write that failed everywhere is never a success") {
  for (Replication mode : kModes) {
    for (LocalState local : {LocalState::failed, LocalState::absent}) {
      for (RemoteState remote : {RemoteState::failed, RemoteState::absent})
        CHECK(verdict(mode, local, remote) == Verdict::failure);
    }
  }
}

TEST_CASE("a verdict never changes once it was given, whatever is heard later") {
  for (Replication mode : kModes) {
    for (LocalState local : kLocal) {
      for (RemoteState remote : kRemote) {
        if (verdict(mode, local, remote) == Verdict::wait) continue;
        // From "received" or "pending" the remote side can still become anything.
        for (RemoteState later : kRemote) {
          const bool possible = !is_settled(remote) && is_settled(later);
          if (possible && is_settled(local))
            CHECK(verdict(mode, local, later) == verdict(mode, local, remote));
        }
      }
    }
  }
}

TEST_CASE("only pending and received are unsettled") {
  CHECK_FALSE(is_settled(LocalState::pending));
  CHECK(is_settled(LocalState::ok));
  CHECK(is_settled(LocalState::failed));
  CHECK(is_settled(LocalState::absent));
  CHECK_FALSE(is_settled(RemoteState::pending));
  CHECK_FALSE(is_settled(RemoteState::received));
  CHECK(is_settled(RemoteState::ok));
  CHECK(is_settled(RemoteState::failed));
  CHECK(is_settled(RemoteState::absent));
}
