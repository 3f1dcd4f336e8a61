#include "hast/wire/payload.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "hast/wire/compression.hpp"
#include "hast/wire/frame.hpp"

namespace hast::wire {
namespace {

Error malformed(const char* what) { return Error{.code = Errc::malformed, .detail = what}; }

Error unknown(std::string_view field, std::string_view word) {
  constexpr std::size_t kShown = 32;  // enough to recognise; the peer chose its length
  return Error{.code = Errc::unknown_algorithm,
               .detail = std::string(field) + " '" + std::string(word.substr(0, kShown)) + "'"};
}

/// `none` is a word of configurations, not of the wire: it is said by saying nothing.
Result<Compression> decode_compression(const NvReader& nv) {
  if (!nv.contains("compression")) return Compression::none;
  const Result<std::string_view> word = nv.string("compression");
  if (!word) return word.error();
  const auto parsed = parse_compression(*word);
  if (!parsed || *parsed == Compression::none) return unknown("compression", *word);
  return *parsed;
}

Result<Checksum> decode_checksum(const NvReader& nv) {
  if (!nv.contains("checksum")) return Checksum::none;
  const Result<std::string_view> word = nv.string("checksum");
  if (!word) return word.error();
  const auto parsed = parse_checksum(*word);
  if (!parsed || *parsed == Checksum::none) return unknown("checksum", *word);
  return *parsed;
}

Result<Hash> decode_hash(const NvReader& nv, Checksum checksum) {
  Hash hash{};
  if (checksum == Checksum::none) return hash;
  const Result<ConstByteSpan> bytes = nv.u8_array("hash");
  if (!bytes) return bytes.error();
  if (bytes->size() != hash_bytes(checksum)) return malformed("hash of a wrong length");
  std::copy(bytes->begin(), bytes->end(), hash.begin());
  return hash;
}

EncodedPayload sealed(ConstByteSpan bytes, Compression compression, Checksum checksum) {
  EncodedPayload payload{{}, bytes};
  payload.info.compression = compression;
  payload.info.checksum = checksum;
  payload.info.hash = hash_of(checksum, bytes);
  payload.info.size_bytes = static_cast<std::uint32_t>(bytes.size());
  return payload;
}

/// Uncompressed data may already lie where it belongs.
Result<void> take_plain(ConstByteSpan received, ByteSpan into) {
  if (received.size() > into.size())
    return Error{.code = Errc::too_large, .detail = "more data than was asked for"};
  if (received.size() < into.size()) return malformed("less data than was asked for");
  if (received.data() != into.data() && !into.empty())
    std::memmove(into.data(), received.data(), into.size());
  return {};
}

}  // namespace

PayloadOptions options_for(std::uint8_t version, PayloadOptions options) {
  if (version < kNativeVersion && options.compression == Compression::lz4)
    options.compression = Compression::lzf;
  return options;
}

void encode_payload_info(const PayloadInfo& info, NvWriter& out) {
  if (!info.present()) return;
  if (info.compression != Compression::none) out.string("compression", to_string(info.compression));
  if (info.checksum != Checksum::none) {
    out.string("checksum", to_string(info.checksum));
    out.u8_array("hash", ConstByteSpan(info.hash).first(hash_bytes(info.checksum)));
  }
  out.u32("size", info.size_bytes);
}

Result<PayloadInfo> decode_payload_info(const NvReader& nv) {
  const Result<Compression> compression = decode_compression(nv);
  if (!compression) return compression.error();
  const Result<Checksum> checksum = decode_checksum(nv);
  if (!checksum) return checksum.error();
  const Result<Hash> hash = decode_hash(nv, *checksum);
  if (!hash) return hash.error();
  PayloadInfo info{*compression, *checksum, *hash, 0};
  if (const Result<std::uint32_t> size = nv.u32("size"))
    info.size_bytes = *size;
  else if (size.error().code == Errc::wrong_type)
    return size.error();
  if (!info.present() && (info.compression != Compression::none || info.checksum != Checksum::none))
    return Error{.code = Errc::missing_field, .detail = "size"};
  return info;
}

EncodedPayload encode_payload(ConstByteSpan data, const PayloadOptions& options, ByteSpan scratch) {
  if (options.compression != Compression::none && !data.empty() && is_all_zero(data))
    return encode_zeroes(static_cast<std::uint32_t>(data.size()), options.checksum, scratch);
  if (options.compression == Compression::lzf) {
    const ConstByteSpan packed = encode_lzf(data, scratch);
    if (!packed.empty()) return sealed(packed, Compression::lzf, options.checksum);
  }
  if (options.compression == Compression::lz4) {
    const ConstByteSpan packed = encode_lz4(data, scratch);
    if (!packed.empty()) return sealed(packed, Compression::lz4, options.checksum);
  }
  return sealed(data, Compression::none, options.checksum);
}

EncodedPayload encode_zeroes(std::uint32_t length, Checksum checksum, ByteSpan scratch) {
  return sealed(encode_hole(length, scratch), Compression::hole, checksum);
}

Result<void> decode_payload(const PayloadInfo& info, ConstByteSpan received, ByteSpan into) {
  if (received.size() != info.size_bytes) return malformed("a payload of another length than said");
  if (info.checksum != Checksum::none && hash_of(info.checksum, received) != info.hash)
    return Error{.code = Errc::checksum_mismatch, .detail = std::string(to_string(info.checksum))};
  switch (info.compression) {
    case Compression::hole:
      return decode_hole(received, into);
    case Compression::lzf:
      return decode_lzf(received, into);
    case Compression::lz4:
      return decode_lz4(received, into);
    case Compression::none:
      break;
  }
  return take_plain(received, into);
}

}  // namespace hast::wire
