#include <cerrno>
#include <set>

#include "hast/wire/request.hpp"
#include "support/catch.hpp"

using hast::wire::freebsd_errno;
using hast::wire::host_errno;

TEST_CASE("errors that peers answer with have FreeBSD's numbers on the wire") {
  const std::pair<int, int> rows[] = {
      {EIO, 5},         {ENXIO, 6},    {ENOMEM, 12},   {EINVAL, 22},     {ENOSPC, 28},
      {EROFS, 30},      {EPIPE, 32},   {EAGAIN, 35},   {EOPNOTSUPP, 45}, {ECONNABORTED, 53},
      {ECONNRESET, 54}, {ENOBUFS, 55}, {ENOTCONN, 57}, {ETIMEDOUT, 60},  {ECONNREFUSED, 61},
      {ECANCELED, 85},  {EBADMSG, 89}, {EPROTO, 92}};
  for (const auto& [host, freebsd] : rows) {
    INFO("host errno " << host);
    CHECK(freebsd_errno(host) == freebsd);
    CHECK(host_errno(freebsd) == host);
  }
}

TEST_CASE("no error stays no error") {
  CHECK(freebsd_errno(0) == 0);
  CHECK(host_errno(0) == 0);
}

TEST_CASE("numbers that mean nothing are EIO, and never no error") {
  for (const int unknown : {-32768, -1, 73, 79, 98, 1000, 32767}) CHECK(host_errno(unknown) == EIO);
  for (const int unknown : {-1, 4096, 1 << 30}) CHECK(freebsd_errno(unknown) == 5);
  for (int number = -40000; number < 40000; ++number) {
    if (number == 0) continue;
    REQUIRE(host_errno(number) != 0);
    REQUIRE(freebsd_errno(number) > 0);
    REQUIRE(freebsd_errno(number) < 100);
  }
}

TEST_CASE("every error that both sides name comes back as it went") {
  std::set<int> known;
  for (int number = 1; number < 100; ++number)
    if (host_errno(number) != EIO || number == 5) {
      CHECK(freebsd_errno(host_errno(number)) == number);
      known.insert(host_errno(number));
    }
  CHECK(known.size() == 83);
}
