// The NBD protocol as bytes: constants with the names of the protocol document (NetworkBlockDevice,
// doc/proto.md), total decoders for what clients send (INV-9), encoders for what they are told.
// Pure: no socket, no state, no allocation. Numbers on the wire are big-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "hast/base/bytes.hpp"
#include "hast/base/result.hpp"
#include "hast/port/frontend.hpp"

namespace hast::adapter::nbd {

// Handshake.
inline constexpr std::uint64_t INIT_PASSWD = 0x4e42444d41474943;     // "NBDMAGIC"
inline constexpr std::uint64_t NBD_OPTS_MAGIC = 0x49484156454f5054;  // "IHAVEOPT"
inline constexpr std::uint64_t NBD_REP_MAGIC = 0x3e889045565a9;

inline constexpr std::uint16_t NBD_FLAG_FIXED_NEWSTYLE = 1 << 0;
inline constexpr std::uint16_t NBD_FLAG_NO_ZEROES = 1 << 1;
inline constexpr std::uint32_t NBD_FLAG_C_FIXED_NEWSTYLE = 1 << 0;
inline constexpr std::uint32_t NBD_FLAG_C_NO_ZEROES = 1 << 1;

inline constexpr std::uint32_t NBD_OPT_EXPORT_NAME = 1;
inline constexpr std::uint32_t NBD_OPT_ABORT = 2;
inline constexpr std::uint32_t NBD_OPT_LIST = 3;
inline constexpr std::uint32_t NBD_OPT_STARTTLS = 5;
inline constexpr std::uint32_t NBD_OPT_INFO = 6;
inline constexpr std::uint32_t NBD_OPT_GO = 7;
inline constexpr std::uint32_t NBD_OPT_STRUCTURED_REPLY = 8;
inline constexpr std::uint32_t NBD_OPT_LIST_META_CONTEXT = 9;
inline constexpr std::uint32_t NBD_OPT_SET_META_CONTEXT = 10;

inline constexpr std::uint32_t NBD_REP_ACK = 1;
inline constexpr std::uint32_t NBD_REP_SERVER = 2;
inline constexpr std::uint32_t NBD_REP_INFO = 3;
inline constexpr std::uint32_t NBD_REP_FLAG_ERROR = 1u << 31;
inline constexpr std::uint32_t NBD_REP_ERR_UNSUP = NBD_REP_FLAG_ERROR + 1;
inline constexpr std::uint32_t NBD_REP_ERR_POLICY = NBD_REP_FLAG_ERROR + 2;
inline constexpr std::uint32_t NBD_REP_ERR_INVALID = NBD_REP_FLAG_ERROR + 3;
inline constexpr std::uint32_t NBD_REP_ERR_UNKNOWN = NBD_REP_FLAG_ERROR + 6;
inline constexpr std::uint32_t NBD_REP_ERR_TOO_BIG = NBD_REP_FLAG_ERROR + 9;

inline constexpr std::uint16_t NBD_INFO_EXPORT = 0;
inline constexpr std::uint16_t NBD_INFO_NAME = 1;
inline constexpr std::uint16_t NBD_INFO_DESCRIPTION = 2;
inline constexpr std::uint16_t NBD_INFO_BLOCK_SIZE = 3;

// Transmission.
inline constexpr std::uint16_t NBD_FLAG_HAS_FLAGS = 1 << 0;
inline constexpr std::uint16_t NBD_FLAG_SEND_FLUSH = 1 << 2;
inline constexpr std::uint16_t NBD_FLAG_SEND_FUA = 1 << 3;
inline constexpr std::uint16_t NBD_FLAG_SEND_TRIM = 1 << 5;
inline constexpr std::uint16_t NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6;
inline constexpr std::uint16_t NBD_FLAG_SEND_DF = 1 << 7;
inline constexpr std::uint16_t NBD_FLAG_CAN_MULTI_CONN = 1 << 8;

inline constexpr std::uint32_t NBD_REQUEST_MAGIC = 0x25609513;
inline constexpr std::uint32_t NBD_SIMPLE_REPLY_MAGIC = 0x67446698;
inline constexpr std::uint32_t NBD_STRUCTURED_REPLY_MAGIC = 0x668e33ef;

inline constexpr std::uint16_t NBD_CMD_READ = 0;
inline constexpr std::uint16_t NBD_CMD_WRITE = 1;
inline constexpr std::uint16_t NBD_CMD_DISC = 2;
inline constexpr std::uint16_t NBD_CMD_FLUSH = 3;
inline constexpr std::uint16_t NBD_CMD_TRIM = 4;
inline constexpr std::uint16_t NBD_CMD_CACHE = 5;
inline constexpr std::uint16_t NBD_CMD_WRITE_ZEROES = 6;
inline constexpr std::uint16_t NBD_CMD_BLOCK_STATUS = 7;

inline constexpr std::uint16_t NBD_CMD_FLAG_FUA = 1 << 0;
inline constexpr std::uint16_t NBD_CMD_FLAG_NO_HOLE = 1 << 1;
inline constexpr std::uint16_t NBD_CMD_FLAG_DF = 1 << 2;
inline constexpr std::uint16_t NBD_CMD_FLAG_REQ_ONE = 1 << 3;
inline constexpr std::uint16_t NBD_CMD_FLAG_FAST_ZERO = 1 << 4;

inline constexpr std::uint16_t NBD_REPLY_FLAG_DONE = 1 << 0;
inline constexpr std::uint16_t NBD_REPLY_TYPE_NONE = 0;
inline constexpr std::uint16_t NBD_REPLY_TYPE_OFFSET_DATA = 1;
inline constexpr std::uint16_t NBD_REPLY_TYPE_ERROR = (1 << 15) + 1;
inline constexpr std::uint16_t NBD_REPLY_TYPE_ERROR_OFFSET = (1 << 15) + 2;

inline constexpr std::uint32_t NBD_EPERM = 1;
inline constexpr std::uint32_t NBD_EIO = 5;
inline constexpr std::uint32_t NBD_ENOMEM = 12;
inline constexpr std::uint32_t NBD_EINVAL = 22;
inline constexpr std::uint32_t NBD_ENOSPC = 28;
inline constexpr std::uint32_t NBD_EOVERFLOW = 75;
inline constexpr std::uint32_t NBD_ENOTSUP = 95;
inline constexpr std::uint32_t NBD_ESHUTDOWN = 108;

// Sizes. The limit of strings and the least maximum payload are the protocol's.
inline constexpr std::size_t kGreetingBytes = 18;
inline constexpr std::size_t kClientFlagsBytes = 4;
inline constexpr std::size_t kOptionHeaderBytes = 16;
inline constexpr std::size_t kRequestBytes = 28;
inline constexpr std::size_t kMaxReplyHeadBytes = 34;  // of an error with an offset
inline constexpr std::size_t kMaxStringBytes = 4096;
inline constexpr std::uint32_t kMaxPayloadBytes = 32 * 1024 * 1024;

struct OptionHeader {
  std::uint32_t option = 0;
  std::uint32_t length_bytes = 0;
};

/// The first kOptionHeaderBytes of `bytes`. Errors: truncated; malformed for a wrong magic number.
Result<OptionHeader> decode_option_header(ConstByteSpan bytes);

/// The data of NBD_OPT_INFO and NBD_OPT_GO. `name` lies in the decoded bytes.
struct ExportQuery {
  std::string_view name;
  bool wants_name = false;
  bool wants_description = false;
};

/// Errors: truncated, malformed (lengths that do not add up), too_large (name).
Result<ExportQuery> decode_export_query(ConstByteSpan data);

struct Request {
  std::uint16_t flags = 0;
  std::uint16_t type = 0;
  std::uint64_t cookie = 0;
  std::uint64_t offset_bytes = 0;
  std::uint32_t length_bytes = 0;

  bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
};

/// The first kRequestBytes of `bytes`; nullopt if there are fewer or the magic number is wrong.
std::optional<Request> decode_request(ConstByteSpan bytes);

enum class ReplyStyle : std::uint8_t { simple, structured };

/// Why a request is not executed: an NBD error and a clause for people. error 0: it is executed.
struct Refusal {
  std::uint32_t error = 0;
  std::string_view text{};
};

/// What the protocol document says about a request that breaks a rule. For every type but
/// NBD_CMD_DISC; a request that passes lies within the volume and is a multiple of the sector.
Refusal check_request(const Request& request, const port::VolumeInfo& volume, ReplyStyle style);

/// NBD_FLAG_...: what this server can do.
std::uint16_t transmission_flags(ReplyStyle style);

/// The NBD error for an errno of this host; NBD_EIO for those the protocol has no number for.
std::uint32_t nbd_error(int host_errno);

// Heads of replies; data follows where it says so.
void put_simple_reply(ByteWriter& out, std::uint32_t error, std::uint64_t cookie);
/// NBD_REPLY_TYPE_NONE, always the last chunk.
void put_done(ByteWriter& out, std::uint64_t cookie);
/// `data_bytes` bytes of the export follow.
void put_offset_data(ByteWriter& out, std::uint16_t flags, std::uint64_t cookie,
                     std::uint64_t offset_bytes, std::uint32_t data_bytes);
/// `text_bytes` bytes of text follow. The last chunk of its reply.
void put_error(ByteWriter& out, std::uint64_t cookie, std::uint32_t error,
               std::uint16_t text_bytes);
void put_error_offset(ByteWriter& out, std::uint64_t cookie, std::uint32_t error,
                      std::uint64_t offset_bytes);

}  // namespace hast::adapter::nbd
