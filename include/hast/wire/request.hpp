// Requests (primary to secondary) and replies (secondary to primary) of an established session
// (docs/protocol.md). Encoders allocate nothing; errors travel as FreeBSD errno values.
#pragma once

#include <cstdint>

#include "hast/base/generations.hpp"
#include "hast/wire/frame.hpp"
#include "hast/wire/payload.hpp"

namespace hast::wire {

enum class Command : std::uint8_t {
  unknown = 0,  // decoded from a number that is none: to be refused, with what it carries skipped
  read = 1,
  write = 2,
  discard = 3,
  flush = 4,
  keepalive = 5,
  // From version 3 on.
  write_zeroes = 6,
  sync_begin = 7,  // the first block of a resync follows: what you have is no longer whole
  sync_end = 8,    // the nodes are equal, and this is the generation of their data
  alone = 9,       // you alone hold everything: a new generation begins with you
  goodbye = 10,    // the primary leaves in an orderly way; what you have is current, or not
};

struct Request {
  Command command = Command::keepalive;
  std::uint64_t seq = 0;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  bool memsync = false;
  PayloadInfo payload;      // write only
  bool fua = false;         // write, write_zeroes: durable before the final reply
  bool current = false;     // goodbye: the secondary has everything
  Generations generations;  // sync_begin, sync_end, alone
};

struct Reply {
  std::uint64_t seq = 0;
  bool received = false;   // the first of memsync's two replies
  int error = 0;           // errno of this host; mapped to and from FreeBSD's on the wire
  PayloadInfo payload;     // successful read only
  bool heartbeat = false;  // "I am alive", no reply at all: everything else is absent
};

/// Whole frames (header and nv list, no payload) of at most kMaxEncodedBytes; returns the length.
std::size_t encode(const Request& request, std::uint8_t header_version, ByteSpan out);
std::size_t encode(const Reply& reply, std::uint8_t header_version, ByteSpan out);

/// Errors, all reasons to close the connection: missing_field, wrong_type, malformed (an unknown
/// command, seq 0, a range that wraps, data where none belongs or none where it does), too_large (a
/// payload above kMaxIoBytes), unknown_algorithm. What only the volume can judge (a length of 0, of
/// more than kMaxIoBytes, misaligned, past the end) is the secondary's business: it answers EINVAL.
Result<Request> decode_request(const NvReader& nv);
Result<Reply> decode_reply(const NvReader& nv);

/// errno of this host to FreeBSD's and back; unknown values become EIO.
int freebsd_errno(int host_errno);
int host_errno(int freebsd_errno);

}  // namespace hast::wire
