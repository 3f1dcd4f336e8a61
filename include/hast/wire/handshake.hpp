// The messages that bind two connections into a session (docs/protocol.md, Handshake). All plain
// values; encode() writes a whole frame (header and nv list) and returns its length.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "hast/base/generations.hpp"
#include "hast/wire/frame.hpp"
#include "hast/wire/payload.hpp"

namespace hast::wire {

using Token = std::array<std::byte, 16>;

/// Of a resource name; control characters are refused as well, since names end in logs.
inline constexpr std::size_t kMaxResourceName = 255;
/// A peer's error text is cut here, its control characters replaced.
inline constexpr std::size_t kMaxText = 512;

/// Step 1, primary to secondary, on the first connection.
struct FirstHello {
  std::string resource;
  std::uint8_t version = kProtocolVersion;  // absent or 0 on the wire means 1
};
struct FirstReply {
  std::uint8_t version = kProtocolVersion;
  Token token{};
};
/// Sent instead of FirstReply, then the connection is closed. `wait`: "I am primary, try again".
struct Refusal {
  std::string text;
  bool wait = false;
};
/// What two nodes tell each other in step 2 from version 3 on. Absent fields mean these defaults.
struct NativeFacts {
  Generations generations;
  bool inconsistent = false;
  bool outdated = false;
  std::uint32_t sector_bytes = 0;  // of the component
  std::uint32_t max_io_bytes = 0;  // of one READ or WRITE; 0: kMaxIoBytes
  std::uint32_t heartbeat_ms = 0;  // 0: none
  std::uint64_t boot = 0;          // differs after every start of the machine; 0: unknown

  bool operator==(const NativeFacts&) const = default;
};
/// Step 2, primary to secondary, on the second connection.
struct SecondHello {
  std::string resource;
  Token token{};
  bool virgin = false;  // the primary made `resuid` just now
  std::uint64_t resuid = 0;
  std::uint64_t localcnt = 0;
  std::uint64_t remotecnt = 0;
  NativeFacts native;
};
/// Answer to step 2, on the first connection. With `errmsg` everything after it is absent.
struct SecondReply {
  std::int64_t datasize = 0;
  std::int32_t extentsize = 0;
  std::uint64_t localcnt = 0;
  std::uint64_t remotecnt = 0;
  std::string errmsg;
  bool virgin = false;
  SyncSource source = SyncSource::primary;
  NativeFacts native;
  std::uint32_t mapsize = 0;  // bytes of the map after decompression
  PayloadInfo payload;        // of the map, when mapsize > 0
};

/// What a listener may receive first: step 1 has no token, step 2 has.
bool is_second_hello(const NvReader& nv);

Result<std::size_t> encode(const FirstHello& message, std::uint8_t header_version, ByteSpan out);
Result<std::size_t> encode(const FirstReply& message, std::uint8_t header_version, ByteSpan out);
Result<std::size_t> encode(const Refusal& message, std::uint8_t header_version, ByteSpan out);
Result<std::size_t> encode(const SecondHello& message, std::uint8_t header_version, ByteSpan out);
Result<std::size_t> encode(const SecondReply& message, std::uint8_t header_version, ByteSpan out);

/// Errors of all decoders: missing_field, wrong_type, malformed. mapsize is as the peer says: bound
/// it before anything is allocated. A version offered may be newer than ours: take the smaller.
Result<FirstHello> decode_first_hello(const NvReader& nv);
/// peer_refused or peer_waits, the peer's text in `detail`, when the answer is a Refusal;
/// version_mismatch if it chose a version that was not offered.
Result<FirstReply> decode_first_reply(const NvReader& nv);
Result<SecondHello> decode_second_hello(const NvReader& nv);
Result<SecondReply> decode_second_reply(const NvReader& nv);

}  // namespace hast::wire
