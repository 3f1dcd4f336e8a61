// Any list as a request and as a reply: refused, or a value within its bounds that encodes to a
// message with the same meaning.
#include <array>

#include "hast/base/assert.hpp"
#include "hast/wire/request.hpp"

using namespace hast;
using namespace hast::wire;

namespace {

using Frame = std::array<std::byte, kMaxEncodedBytes>;

NvReader list_in(const Frame& frame, std::size_t size) {
  const auto nv = NvReader::parse(ConstByteSpan(frame).first(size).subspan(kFrameHeaderBytes));
  HAST_ASSERT(nv.has_value());
  return *nv;
}

void check_same(const PayloadInfo& a, const PayloadInfo& b) {
  HAST_ASSERT(a.compression == b.compression && a.checksum == b.checksum);
  HAST_ASSERT(a.hash == b.hash && a.size_bytes == b.size_bytes && a.size_bytes <= kMaxIoBytes);
}

void check(const Request& request) {
  if (request.command == Command::unknown) return;  // nothing encodes it
  HAST_ASSERT(request.payload.present() == (request.command == Command::write));
  HAST_ASSERT(request.offset_bytes + request.length_bytes >= request.offset_bytes);
  HAST_ASSERT((request.seq == 0) == (request.command == Command::keepalive));
  Frame frame;
  const std::size_t size = encode(request, kProtocolVersion, frame);
  const auto again = decode_request(list_in(frame, size));
  HAST_ASSERT(again && again->command == request.command && again->seq == request.seq);
  HAST_ASSERT(again->offset_bytes == request.offset_bytes && again->memsync == request.memsync);
  HAST_ASSERT(again->length_bytes == request.length_bytes && again->fua == request.fua);
  HAST_ASSERT(again->generations == request.generations && again->current == request.current);
  check_same(again->payload, request.payload);
}

void check(const Reply& reply) {
  if (reply.heartbeat) return;
  HAST_ASSERT(reply.seq != 0 && reply.error >= 0);
  HAST_ASSERT(!reply.payload.present() || (reply.error == 0 && !reply.received));
  Frame frame;
  const std::size_t size = encode(reply, kProtocolVersion, frame);
  const auto again = decode_reply(list_in(frame, size));
  HAST_ASSERT(again && again->seq == reply.seq && again->received == reply.received);
  HAST_ASSERT(again->error == reply.error);
  check_same(again->payload, reply.payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto nv = NvReader::parse(ConstByteSpan(reinterpret_cast<const std::byte*>(data), size));
  if (!nv) return 0;
  if (const auto request = decode_request(*nv)) check(*request);
  if (const auto reply = decode_reply(*nv)) check(*reply);
  return 0;
}
