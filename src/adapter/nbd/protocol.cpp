#include "hast/adapter/nbd/protocol.hpp"

#include <cerrno>

#include "hast/base/units.hpp"

namespace hast::adapter::nbd {

Result<OptionHeader> decode_option_header(ConstByteSpan bytes) {
  ByteReader in(bytes);
  const auto magic = in.be<std::uint64_t>();
  OptionHeader header;
  header.option = in.be<std::uint32_t>();
  header.length_bytes = in.be<std::uint32_t>();
  if (in.failed()) return Errc::truncated;
  if (magic != NBD_OPTS_MAGIC) return Errc::malformed;
  return header;
}

Result<ExportQuery> decode_export_query(ConstByteSpan data) {
  ByteReader in(data);
  const auto name_bytes = in.be<std::uint32_t>();
  if (in.failed()) return Errc::truncated;
  ExportQuery query;
  query.name = as_text(in.take(name_bytes));
  const auto requests = in.be<std::uint16_t>();
  if (in.failed()) return Errc::truncated;
  if (name_bytes > kMaxStringBytes) return Errc::too_large;
  if (in.remaining() != std::size_t{requests} * 2) return Errc::malformed;
  for (std::uint32_t i = 0; i < requests; ++i) {
    const auto wanted = in.be<std::uint16_t>();
    query.wants_name |= wanted == NBD_INFO_NAME;
    query.wants_description |= wanted == NBD_INFO_DESCRIPTION;
  }
  return query;
}

std::optional<Request> decode_request(ConstByteSpan bytes) {
  ByteReader in(bytes);
  const auto magic = in.be<std::uint32_t>();
  Request request;
  request.flags = in.be<std::uint16_t>();
  request.type = in.be<std::uint16_t>();
  request.cookie = in.be<std::uint64_t>();
  request.offset_bytes = in.be<std::uint64_t>();
  request.length_bytes = in.be<std::uint32_t>();
  if (in.failed() || magic != NBD_REQUEST_MAGIC) return std::nullopt;
  return request;
}

namespace {

// FUA is legal on every command, whether it writes or not.
std::uint16_t legal_flags(std::uint16_t type, ReplyStyle style) {
  switch (type) {
    case NBD_CMD_READ:
      return style == ReplyStyle::structured ? NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_DF
                                             : NBD_CMD_FLAG_FUA;
    case NBD_CMD_WRITE_ZEROES:
      // FAST_ZERO is not announced: whether zeroing is fast on both nodes is not known beforehand.
      return NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE;
    default:
      return NBD_CMD_FLAG_FUA;
  }
}

bool is_known(std::uint16_t type) {
  return type == NBD_CMD_READ || type == NBD_CMD_WRITE || type == NBD_CMD_FLUSH ||
         type == NBD_CMD_TRIM || type == NBD_CMD_WRITE_ZEROES;
}

Refusal check_size(const Request& request, ReplyStyle style) {
  if (request.length_bytes == 0) return {NBD_EINVAL, "the length of the request is zero"};
  if (request.length_bytes <= kMaxPayloadBytes) return {};
  constexpr std::string_view text = "the request exceeds the maximum payload of 32 MiB";
  if (request.type == NBD_CMD_READ)
    return {style == ReplyStyle::structured ? NBD_EOVERFLOW : NBD_EINVAL, text};
  if (request.type == NBD_CMD_WRITE) return {NBD_EINVAL, text};
  return {};  // no payload: as long as the client likes
}

}  // namespace

Refusal check_request(const Request& request, const port::VolumeInfo& volume, ReplyStyle style) {
  if (!is_known(request.type)) return {NBD_EINVAL, "the command is unknown"};
  if ((request.flags & ~legal_flags(request.type, style)) != 0)
    return {NBD_EINVAL, "a flag is not valid for this command"};
  if (request.type == NBD_CMD_FLUSH) {
    if (request.offset_bytes == 0 && request.length_bytes == 0) return {};
    return {NBD_EINVAL, "a flush has neither offset nor length"};
  }
  if (const Refusal refusal = check_size(request, style); refusal.error != 0) return refusal;
  if (!range_within(request.offset_bytes, request.length_bytes, volume.size_bytes)) {
    const bool writes = request.type == NBD_CMD_WRITE || request.type == NBD_CMD_WRITE_ZEROES;
    return {writes ? NBD_ENOSPC : NBD_EINVAL, "the request ends beyond the export"};
  }
  if (request.offset_bytes % volume.sector_bytes != 0 ||
      request.length_bytes % volume.sector_bytes != 0)
    return {NBD_EINVAL, "the request is not aligned to the minimum block size"};
  return {};
}

std::uint16_t transmission_flags(ReplyStyle style) {
  constexpr std::uint16_t always = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
                                   NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES |
                                   NBD_FLAG_CAN_MULTI_CONN;
  return style == ReplyStyle::structured ? always | NBD_FLAG_SEND_DF : always;
}

std::uint32_t nbd_error(int host_errno) {
  switch (host_errno) {
    case 0:
      return 0;
    case EPERM:
    case EACCES:
    case EROFS:
      return NBD_EPERM;
    case ENOMEM:
    case ENOBUFS:
      return NBD_ENOMEM;
    case EINVAL:
      return NBD_EINVAL;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return NBD_ENOSPC;
    case EOVERFLOW:
      return NBD_EOVERFLOW;
    case EOPNOTSUPP:
      return NBD_ENOTSUP;
    case ESHUTDOWN:
      return NBD_ESHUTDOWN;
    default:
      return host_errno == ENOTSUP ? NBD_ENOTSUP : NBD_EIO;
  }
}

namespace {

void put_chunk(ByteWriter& out, std::uint16_t flags, std::uint16_t type, std::uint64_t cookie,
               std::uint32_t length_bytes) {
  out.be(NBD_STRUCTURED_REPLY_MAGIC);
  out.be(flags);
  out.be(type);
  out.be(cookie);
  out.be(length_bytes);
}

}  // namespace

void put_simple_reply(ByteWriter& out, std::uint32_t error, std::uint64_t cookie) {
  out.be(NBD_SIMPLE_REPLY_MAGIC);
  out.be(error);
  out.be(cookie);
}

void put_done(ByteWriter& out, std::uint64_t cookie) {
  put_chunk(out, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_NONE, cookie, 0);
}

void put_offset_data(ByteWriter& out, std::uint16_t flags, std::uint64_t cookie,
                     std::uint64_t offset_bytes, std::uint32_t data_bytes) {
  put_chunk(out, flags, NBD_REPLY_TYPE_OFFSET_DATA, cookie, 8 + data_bytes);
  out.be(offset_bytes);
}

void put_error(ByteWriter& out, std::uint64_t cookie, std::uint32_t error,
               std::uint16_t text_bytes) {
  put_chunk(out, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_ERROR, cookie, 6u + text_bytes);
  out.be(error);
  out.be(text_bytes);
}

void put_error_offset(ByteWriter& out, std::uint64_t cookie, std::uint32_t error,
                      std::uint64_t offset_bytes) {
  put_chunk(out, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_ERROR_OFFSET, cookie, 14);
  out.be(error);
  out.be(std::uint16_t{0});
  out.be(offset_bytes);
}

}  // namespace hast::adapter::nbd
