#include "hast/wire/request.hpp"

#include <limits>
#include <optional>
#include <string>

namespace hast::wire {
namespace {

Error malformed(const char* what) { return Error{.code = Errc::malformed, .detail = what}; }

/// Of a Result that cannot have failed: every field of requests and replies has a fixed size, their
/// sum is below kMaxEncodedBytes.
std::size_t finished(FrameBuilder& frame, std::uint8_t version) {
  const Result<std::size_t> size = frame.finish(version);
  HAST_ASSERT(size.has_value());
  return *size;
}

Result<Command> decode_command(const NvReader& nv) {
  const Result<std::uint8_t> value = nv.u8("cmd");
  if (!value) return value.error();
  return *value <= static_cast<std::uint8_t>(Command::goodbye) ? static_cast<Command>(*value)
                                                               : Command::unknown;
}

bool has_range(Command command) {
  return command == Command::read || command == Command::write || command == Command::discard ||
         command == Command::write_zeroes;
}

bool has_generations(Command command) {
  return command == Command::sync_begin || command == Command::sync_end ||
         command == Command::alone;
}

/// 0 would make replies ambiguous: the original answers 0 to requests it cannot read.
Result<std::uint64_t> decode_seq(const NvReader& nv) {
  Result<std::uint64_t> seq = nv.u64("seq");
  if (seq && *seq == 0) return malformed("seq 0");
  return seq;
}

bool wraps(std::uint64_t offset, std::uint64_t length) {
  return length > std::numeric_limits<std::uint64_t>::max() - offset;
}

Result<PayloadInfo> decode_bounded_payload(const NvReader& nv) {
  Result<PayloadInfo> info = decode_payload_info(nv);
  if (info && info->size_bytes > kMaxIoBytes)
    return Error{.code = Errc::too_large,
                 .detail = "payload of " + std::to_string(info->size_bytes) + " bytes"};
  return info;
}

/// Absent is 0: only failures carry the field.
Result<int> decode_error(const NvReader& nv) {
  if (!nv.contains("error")) return 0;
  const Result<std::int16_t> error = nv.i16("error");
  if (!error) return error.error();
  return host_errno(*error);
}

}  // namespace

std::size_t encode(const Request& request, std::uint8_t header_version, ByteSpan out) {
  FrameBuilder frame(out);
  NvWriter& nv = frame.nv();
  nv.u8("cmd", static_cast<std::uint8_t>(request.command));
  if (request.command != Command::keepalive) {
    nv.u64("seq", request.seq);
    nv.u64("offset", request.offset_bytes);
    nv.u64("length", request.length_bytes);
    if (request.memsync) nv.u8("memsync", 1);
    if (request.fua) nv.u8("fua", 1);
    if (request.current) nv.u8("current", 1);
    if (has_generations(request.command))
      nv.u8_array("generations", encode_generations(request.generations));
    encode_payload_info(request.payload, nv);
  }
  return finished(frame, header_version);
}

std::size_t encode(const Reply& reply, std::uint8_t header_version, ByteSpan out) {
  FrameBuilder frame(out);
  NvWriter& nv = frame.nv();
  if (reply.heartbeat) {
    nv.u8("cmd", static_cast<std::uint8_t>(Command::keepalive));
    return finished(frame, header_version);
  }
  nv.u64("seq", reply.seq);
  if (reply.received) nv.i8("received", 1);
  if (reply.error != 0) nv.i16("error", static_cast<std::int16_t>(freebsd_errno(reply.error)));
  encode_payload_info(reply.payload, nv);
  return finished(frame, header_version);
}

Result<Request> decode_request(const NvReader& nv) {
  Request request;
  const Result<Command> command = decode_command(nv);
  if (!command) return command.error();
  request.command = *command;
  const Result<PayloadInfo> payload = decode_bounded_payload(nv);
  if (!payload) return payload.error();
  request.payload = *payload;
  const bool wants_data = request.command == Command::write;
  if (payload->present() != wants_data && request.command != Command::unknown)
    return malformed("a write without data, or data without a write");
  if (request.command == Command::keepalive) return request;

  const Result<std::uint64_t> seq = decode_seq(nv);
  if (!seq) return seq.error();
  request.seq = *seq;
  if (has_generations(request.command)) {
    const Result<ConstByteSpan> bytes = nv.u8_array("generations");
    if (!bytes) return bytes.error();
    const std::optional<Generations> generations = decode_generations(*bytes);
    if (!generations || !generations->known()) return malformed("generations");
    request.generations = *generations;
  }
  request.current = request.command == Command::goodbye && nv.contains("current");
  if (!has_range(request.command)) return request;

  const Result<std::uint64_t> offset = nv.u64("offset");
  if (!offset) return offset.error();
  const Result<std::uint64_t> length = nv.u64("length");
  if (!length) return length.error();
  if (wraps(*offset, *length)) return malformed("a range that wraps");
  request.offset_bytes = *offset;
  request.length_bytes = *length;
  const bool writes = request.command == Command::write || request.command == Command::write_zeroes;
  request.memsync = writes && nv.contains("memsync");
  request.fua = writes && nv.contains("fua");
  return request;
}

Result<Reply> decode_reply(const NvReader& nv) {
  Reply reply;
  reply.heartbeat = nv.u8("cmd").value_or(0) == static_cast<std::uint8_t>(Command::keepalive);
  if (reply.heartbeat) return reply;
  const Result<std::uint64_t> seq = decode_seq(nv);
  if (!seq) return seq.error();
  reply.seq = *seq;
  reply.received = nv.contains("received");
  const Result<int> error = decode_error(nv);
  if (!error) return error.error();
  reply.error = *error;
  const Result<PayloadInfo> payload = decode_bounded_payload(nv);
  if (!payload) return payload.error();
  reply.payload = *payload;
  if (payload->present() && (reply.received || reply.error != 0))
    return malformed("data in a reply that cannot have any");
  return reply;
}

}  // namespace hast::wire
