// The payload pipeline: compression, then checksum of the compressed bytes, then `size`
// (docs/protocol.md, Payload). The receiver follows the fields of the message, never its own
// settings.
#pragma once

#include <cstdint>

#include "hast/base/nv.hpp"
#include "hast/base/types.hpp"
#include "hast/wire/checksum.hpp"

namespace hast::wire {

/// What a message says of the bytes that follow it. `size_bytes` 0: none follow.
struct PayloadInfo {
  Compression compression = Compression::none;
  Checksum checksum = Checksum::none;
  Hash hash{};  // of the bytes on the stream: hash_bytes(checksum) of them count
  std::uint32_t size_bytes = 0;

  bool present() const { return size_bytes != 0; }
};

/// Appends `compression`, `checksum`, `hash`, `size` in the original's order.
void encode_payload_info(const PayloadInfo& info, NvWriter& out);
/// Absent is not an error, unless half of it is there. `size` is not bounded here: what it may be
/// depends on the message. Errors: unknown_algorithm, missing_field (a checksum without its hash, a
/// compression without `size`), malformed (hash of a wrong length), wrong_type.
Result<PayloadInfo> decode_payload_info(const NvReader& nv);

struct PayloadOptions {
  Checksum checksum = Checksum::none;
  Compression compression = Compression::none;
};

/// Peers of an earlier version do not know lz4: they get lzf.
PayloadOptions options_for(std::uint8_t version, PayloadOptions options);

/// `bytes` is what goes on the stream: the data itself when nothing compressed it, else a part of
/// `scratch`.
struct EncodedPayload {
  PayloadInfo info;
  ConstByteSpan bytes;
};

/// `scratch` must hold at least data.size() bytes, at least 8. Cannot fail: what does not shrink is
/// sent as it is.
EncodedPayload encode_payload(ConstByteSpan data, const PayloadOptions& options, ByteSpan scratch);
/// A block of `length` zeros as a hole, without looking at any data; legal towards every peer.
EncodedPayload encode_zeroes(std::uint32_t length, Checksum checksum, ByteSpan scratch);

/// Verifies and expands `received` (exactly info.size_bytes) into `into`, which must come out
/// exactly full. `received` and `into` may be the same bytes when nothing is compressed. Errors:
/// checksum_mismatch, malformed, too_large.
Result<void> decode_payload(const PayloadInfo& info, ConstByteSpan received, ByteSpan into);

}  // namespace hast::wire
