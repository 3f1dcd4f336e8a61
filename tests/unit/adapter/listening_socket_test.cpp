#include "hast/adapter/listening_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "support/catch.hpp"

using hast::Address;
using hast::Errc;
using hast::adapter::ListeningSocket;
namespace fs = std::filesystem;

namespace {

class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "hast-nbd-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

Address at(const std::string& path) { return {Address::Family::unix_socket, path, 0}; }

Errc error_at(const Address& address) {
  const auto socket = ListeningSocket::open(address);
  REQUIRE_FALSE(socket);
  CHECK(socket.error().detail.find(to_string(address)) == 0);
  return socket.error().code;
}

}  // namespace

TEST_CASE("A UNIX socket is made with its folder, for owner and group, and removed again") {
  const Folder folder;
  const std::string path = folder / "run/hast/shared.sock";
  {
    const auto socket = ListeningSocket::open(at(path));
    REQUIRE(socket);
    CHECK((*socket).family() == AF_UNIX);
    struct stat made;
    REQUIRE(::stat(path.c_str(), &made) == 0);
    CHECK(S_ISSOCK(made.st_mode));
    CHECK((made.st_mode & 0777) == 0660);
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("A socket on which nobody listens is replaced") {
  const Folder folder;
  const std::string path = folder / "s";
  {
    auto first = ListeningSocket::open(at(path));
    REQUIRE(first);
    fs::rename(path, folder / "kept");  // as if its owner had died
  }
  fs::rename(folder / "kept", path);
  CHECK(ListeningSocket::open(at(path)));
}

TEST_CASE("A socket on which somebody listens is in use, and keeps working") {
  const Folder folder;
  const auto first = ListeningSocket::open(at(folder / "s"));
  REQUIRE(first);
  CHECK(error_at(at(folder / "s")) == Errc::address_in_use);
  CHECK(fs::exists(folder / "s"));
}

TEST_CASE("A file that is no socket is not touched") {
  const Folder folder;
  std::ofstream(folder / "f") << "precious";
  CHECK(error_at(at(folder / "f")) == Errc::address_invalid);
  CHECK(fs::file_size(folder / "f") == 8);
}

TEST_CASE("A successor's socket at the same path is left alone") {
  const Folder folder;
  const std::string path = folder / "s";
  std::optional<ListeningSocket> successor;
  {
    const auto first = ListeningSocket::open(at(path));
    REQUIRE(first);
    fs::remove(path);
    auto second = ListeningSocket::open(at(path));
    REQUIRE(second);
    successor.emplace(std::move(*second));
  }
  CHECK(fs::exists(path));
}

TEST_CASE("Paths that cannot be a socket are refused") {
  const Folder folder;
  CHECK(error_at(at("")) == Errc::address_invalid);
  CHECK(error_at(at(folder / std::string(200, 'x').c_str())) == Errc::address_invalid);
  std::ofstream(folder / "file") << "x";
  CHECK(error_at(at(folder / "file/below")) == Errc::address_invalid);
}

TEST_CASE("TCP: the port is found out, a second listener is refused, a foreign address too") {
  const Address any{Address::Family::v4, "127.0.0.1", 0};
  const auto first = ListeningSocket::open(any);
  REQUIRE(first);
  CHECK((*first).family() == AF_INET);
  const Address bound = (*first).address();
  CHECK(bound.port != 0);
  CHECK(error_at(bound) == Errc::address_in_use);
  CHECK(error_at({Address::Family::v4, "192.0.2.1", 0}) == Errc::address_invalid);
  CHECK(error_at({Address::Family::v4, "not a host name", 1}) == Errc::address_invalid);
}
