// Anything a client may say before the transmission: client flags, then options. Every answer must
// be made of whole replies to the option asked, and haggling must end.
#include <algorithm>

#include "hast/adapter/nbd/negotiation.hpp"
#include "hast/base/assert.hpp"

namespace nbd = hast::adapter::nbd;
using Next = nbd::Negotiation::Next;

namespace {

void check_replies(const nbd::Negotiation::Answer& answer, std::uint32_t option) {
  if (option == nbd::NBD_OPT_EXPORT_NAME) {
    const std::size_t bytes = answer.bytes.size();
    HAST_ASSERT(answer.next == Next::transmission ? bytes == 10 || bytes == 134 : bytes == 0);
    return;
  }
  hast::ByteReader in(answer.bytes);
  std::uint32_t type = 0;
  while (in.remaining() > 0) {
    HAST_ASSERT(in.be<std::uint64_t>() == nbd::NBD_REP_MAGIC);
    HAST_ASSERT(in.be<std::uint32_t>() == option);
    type = in.be<std::uint32_t>();
    const auto length = in.be<std::uint32_t>();
    HAST_ASSERT(length <= 2 * nbd::kMaxStringBytes + 4);
    in.take(length);
    HAST_ASSERT(!in.failed());
  }
  const bool is_final = type == nbd::NBD_REP_ACK || (type & nbd::NBD_REP_FLAG_ERROR) != 0;
  HAST_ASSERT(is_final || (answer.next == Next::close && answer.bytes.empty()));
  HAST_ASSERT(answer.next != Next::transmission || type == nbd::NBD_REP_ACK);
}

}  // namespace

// Input: one byte (bit 0: the export is open), client flags, then headers and data of options.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hast::ByteReader in(hast::ConstByteSpan(reinterpret_cast<const std::byte*>(data), size));
  nbd::Offer offer;
  offer.name = "shared";
  offer.description = "a disk";
  offer.reason = "resource shared is secondary on this node";
  if ((in.be<std::uint8_t>() & 1) != 0) offer.volume = hast::port::VolumeInfo{1 << 20, 512};
  nbd::Negotiation negotiation;
  if (negotiation.accept_flags(in.be<std::uint32_t>()).next != Next::option) return 0;
  while (in.remaining() >= nbd::kOptionHeaderBytes) {
    const auto header = nbd::decode_option_header(in.take(nbd::kOptionHeaderBytes));
    if (!header) return 0;
    const std::uint32_t length = (*header).length_bytes;
    const hast::ConstByteSpan payload = in.take(std::min<std::size_t>(length, in.remaining()));
    if (payload.size() < length && length <= nbd::kMaxOptionBytes) return 0;
    const auto answer = length > nbd::kMaxOptionBytes
                            ? negotiation.accept_skipped_option(*header)
                            : negotiation.accept_option(*header, payload, offer);
    check_replies(answer, (*header).option);
    if (answer.next != Next::option) return 0;
  }
  return 0;
}
