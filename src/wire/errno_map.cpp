#include <algorithm>
#include <array>
#include <cerrno>

#include "hast/wire/request.hpp"

namespace hast::wire {
namespace {

struct Row {
  int host;
  int freebsd;
};

// FreeBSD's numbers from its sys/errno.h, as the protocol carries them (docs/protocol.md, Errors);
// names that a host lacks are left out. Compiled on FreeBSD the two columns are equal.
constexpr std::array kRows = {
    Row{EPERM, 1},
    Row{ENOENT, 2},
    Row{ESRCH, 3},
    Row{EINTR, 4},
    Row{EIO, 5},
    Row{ENXIO, 6},
    Row{E2BIG, 7},
    Row{ENOEXEC, 8},
    Row{EBADF, 9},
    Row{ECHILD, 10},
    Row{EDEADLK, 11},
    Row{ENOMEM, 12},
    Row{EACCES, 13},
    Row{EFAULT, 14},
    Row{ENOTBLK, 15},
    Row{EBUSY, 16},
    Row{EEXIST, 17},
    Row{EXDEV, 18},
    Row{ENODEV, 19},
    Row{ENOTDIR, 20},
    Row{EISDIR, 21},
    Row{EINVAL, 22},
    Row{ENFILE, 23},
    Row{EMFILE, 24},
    Row{ENOTTY, 25},
    Row{ETXTBSY, 26},
    Row{EFBIG, 27},
    Row{ENOSPC, 28},
    Row{ESPIPE, 29},
    Row{EROFS, 30},
    Row{EMLINK, 31},
    Row{EPIPE, 32},
    Row{EDOM, 33},
    Row{ERANGE, 34},
    Row{EAGAIN, 35},
    Row{EINPROGRESS, 36},
    Row{EALREADY, 37},
    Row{ENOTSOCK, 38},
    Row{EDESTADDRREQ, 39},
    Row{EMSGSIZE, 40},
    Row{EPROTOTYPE, 41},
    Row{ENOPROTOOPT, 42},
    Row{EPROTONOSUPPORT, 43},
    Row{ESOCKTNOSUPPORT, 44},
    Row{EOPNOTSUPP, 45},
    Row{EPFNOSUPPORT, 46},
    Row{EAFNOSUPPORT, 47},
    Row{EADDRINUSE, 48},
    Row{EADDRNOTAVAIL, 49},
    Row{ENETDOWN, 50},
    Row{ENETUNREACH, 51},
    Row{ENETRESET, 52},
    Row{ECONNABORTED, 53},
    Row{ECONNRESET, 54},
    Row{ENOBUFS, 55},
    Row{EISCONN, 56},
    Row{ENOTCONN, 57},
    Row{ESHUTDOWN, 58},
    Row{ETOOMANYREFS, 59},
    Row{ETIMEDOUT, 60},
    Row{ECONNREFUSED, 61},
    Row{ELOOP, 62},
    Row{ENAMETOOLONG, 63},
    Row{EHOSTDOWN, 64},
    Row{EHOSTUNREACH, 65},
    Row{ENOTEMPTY, 66},
    Row{EUSERS, 68},
    Row{EDQUOT, 69},
    Row{ESTALE, 70},
    Row{EREMOTE, 71},
    Row{ENOLCK, 77},
    Row{ENOSYS, 78},
    Row{EIDRM, 82},
    Row{ENOMSG, 83},
    Row{EOVERFLOW, 84},
    Row{ECANCELED, 85},
    Row{EILSEQ, 86},
    Row{EBADMSG, 89},
    Row{EMULTIHOP, 90},
    Row{ENOLINK, 91},
    Row{EPROTO, 92},
    Row{ENOTRECOVERABLE, 95},
    Row{EOWNERDEAD, 96},
};
constexpr int kFreebsdEio = 5;

#ifdef __FreeBSD__
static_assert(std::all_of(kRows.begin(), kRows.end(),
                          [](const Row& row) { return row.host == row.freebsd; }));
#endif

/// Errors are rare: a search is fast enough.
int translate(int value, int Row::*from, int Row::*to, int unknown) {
  if (value == 0) return 0;
  const auto* row = std::find_if(kRows.begin(), kRows.end(),
                                 [&](const Row& candidate) { return candidate.*from == value; });
  return row == kRows.end() ? unknown : row->*to;
}

}  // namespace

int freebsd_errno(int host_errno) {
  return translate(host_errno, &Row::host, &Row::freebsd, kFreebsdEio);
}

int host_errno(int freebsd_errno) {
  return translate(freebsd_errno, &Row::freebsd, &Row::host, EIO);
}

}  // namespace hast::wire
