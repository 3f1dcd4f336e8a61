#include "hast/wire/handshake.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "hast/wire/compression.hpp"

namespace hast::wire {
namespace {

Error malformed(const char* what) { return Error{.code = Errc::malformed, .detail = what}; }

bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

Result<std::string> decode_resource(const NvReader& nv) {
  const Result<std::string_view> name = nv.string("resource");
  if (!name) return name.error();
  if (name->empty() || name->size() > kMaxResourceName ||
      std::any_of(name->begin(), name->end(), is_control))
    return malformed("resource name");
  return std::string(*name);
}

/// A peer's words end in our log: bounded, and without what would move a terminal's cursor.
Result<std::string> decode_text(const NvReader& nv, std::string_view field) {
  const Result<std::string_view> words = nv.string(field);
  if (!words) return words.error();
  std::string text(words->substr(0, kMaxText));
  std::replace_if(text.begin(), text.end(), is_control, '?');
  // An empty text is still a refusal; the structs say "no refusal" by an empty one.
  return text.empty() ? std::string("(no reason given)") : text;
}

Result<Token> decode_token(const NvReader& nv) {
  const Result<ConstByteSpan> bytes = nv.u8_array("token");
  if (!bytes) return bytes.error();
  Token token;
  if (bytes->size() != token.size()) return malformed("token of a wrong length");
  std::copy(bytes->begin(), bytes->end(), token.begin());
  return token;
}

/// The original reads a version that is absent, 0 or of another type as 1.
std::uint8_t decode_version(const NvReader& nv) {
  const Result<std::uint8_t> version = nv.u8("version");
  return version && *version != 0 ? *version : std::uint8_t{1};
}

void encode_native(const NativeFacts& facts, NvWriter& nv) {
  nv.u8_array("generations", encode_generations(facts.generations));
  if (facts.inconsistent) nv.i8("inconsistent", 1);
  if (facts.outdated) nv.i8("outdated", 1);
  nv.u32("sectorsize", facts.sector_bytes);
  nv.u32("maxio", facts.max_io_bytes);
  nv.u32("heartbeat", facts.heartbeat_ms);
  if (facts.boot != 0) nv.u64("boot", facts.boot);
}

/// All optional, so that a later version may leave one out; of a wrong type is as absent.
NativeFacts decode_native(const NvReader& nv) {
  NativeFacts facts;
  if (const Result<ConstByteSpan> bytes = nv.u8_array("generations"))
    facts.generations = decode_generations(*bytes).value_or(Generations{});
  facts.inconsistent = nv.contains("inconsistent");
  facts.outdated = nv.contains("outdated");
  facts.sector_bytes = nv.u32("sectorsize").value_or(0);
  facts.max_io_bytes = nv.u32("maxio").value_or(0);
  facts.heartbeat_ms = nv.u32("heartbeat").value_or(0);
  facts.boot = nv.u64("boot").value_or(0);
  return facts;
}

/// Reads fields one after the other; the first error stays and the rest read as zero.
class Fields {
 public:
  explicit Fields(const NvReader& nv) : nv_(nv) {}

  template <class T>
  T value(Result<T> (NvReader::*getter)(std::string_view) const, std::string_view name) {
    Result<T> field = (nv_.*getter)(name);
    if (field) return *field;
    if (!error_) error_ = std::move(field).error();
    return T{};
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  const NvReader& nv_;
  std::optional<Error> error_;
};

/// Compressed or not, a map never travels in more bytes than it has (a hole has at least four).
bool is_plausible_map(const SecondReply& reply) {
  if (reply.mapsize == 0) return !reply.payload.present();
  return reply.payload.present() &&
         reply.payload.size_bytes <= std::max<std::size_t>(reply.mapsize, kHoleBytes);
}

Result<SyncSource> decode_source(const NvReader& nv) {
  const Result<std::uint8_t> value = nv.u8("syncsrc");
  if (!value) return value.error();
  if (*value != static_cast<std::uint8_t>(SyncSource::primary) &&
      *value != static_cast<std::uint8_t>(SyncSource::secondary))
    return malformed("syncsrc");
  return static_cast<SyncSource>(*value);
}

}  // namespace

bool is_second_hello(const NvReader& nv) { return nv.contains("token"); }

Result<std::size_t> encode(const FirstHello& message, std::uint8_t header_version, ByteSpan out) {
  FrameBuilder frame(out);
  frame.nv().string("resource", message.resource);
  frame.nv().u8("version", message.version);
  return frame.finish(header_version);
}

Result<std::size_t> encode(const FirstReply& message, std::uint8_t header_version, ByteSpan out) {
  FrameBuilder frame(out);
  frame.nv().u8("version", message.version);
  frame.nv().u8_array("token", message.token);
  return frame.finish(header_version);
}

Result<std::size_t> encode(const Refusal& message, std::uint8_t header_version, ByteSpan out) {
  FrameBuilder frame(out);
  frame.nv().string("errmsg", message.text);
  if (message.wait) frame.nv().u8("wait", 1);
  return frame.finish(header_version);
}

Result<std::size_t> encode(const SecondHello& message, std::uint8_t header_version, ByteSpan out) {
  FrameBuilder frame(out);
  NvWriter& nv = frame.nv();
  nv.string("resource", message.resource);
  nv.u8_array("token", message.token);
  if (message.virgin) nv.i8("virgin", 1);
  nv.u64("resuid", message.resuid);
  nv.u64("localcnt", message.localcnt);
  nv.u64("remotecnt", message.remotecnt);
  if (header_version >= kNativeVersion) encode_native(message.native, nv);
  return frame.finish(header_version);
}

Result<std::size_t> encode(const SecondReply& message, std::uint8_t header_version, ByteSpan out) {
  FrameBuilder frame(out);
  NvWriter& nv = frame.nv();
  nv.i64("datasize", message.datasize);
  nv.i32("extentsize", message.extentsize);
  nv.u64("localcnt", message.localcnt);
  nv.u64("remotecnt", message.remotecnt);
  if (!message.errmsg.empty()) {
    nv.string("errmsg", message.errmsg);
    return frame.finish(header_version);
  }
  if (header_version >= kNativeVersion) encode_native(message.native, nv);
  if (message.virgin) nv.i8("virgin", 1);
  nv.u8("syncsrc", static_cast<std::uint8_t>(message.source));
  nv.u32("mapsize", message.mapsize);
  encode_payload_info(message.payload, nv);
  return frame.finish(header_version);
}

Result<FirstHello> decode_first_hello(const NvReader& nv) {
  Result<std::string> resource = decode_resource(nv);
  if (!resource) return resource.error();
  return FirstHello{std::move(resource).value(), decode_version(nv)};
}

Result<FirstReply> decode_first_reply(const NvReader& nv) {
  if (nv.contains("errmsg")) {
    Result<std::string> text = decode_text(nv, "errmsg");
    if (!text) return text.error();
    const Errc code = nv.contains("wait") ? Errc::peer_waits : Errc::peer_refused;
    return Error{.code = code, .detail = std::move(text).value()};
  }
  const std::uint8_t version = decode_version(nv);
  if (version > kProtocolVersion)
    return Error{.code = Errc::version_mismatch,
                 .detail = "the peer chose version " + std::to_string(version)};
  const Result<Token> token = decode_token(nv);
  if (!token) return token.error();
  return FirstReply{version, *token};
}

Result<SecondHello> decode_second_hello(const NvReader& nv) {
  SecondHello message;
  Fields fields(nv);
  message.resuid = fields.value(&NvReader::u64, "resuid");
  message.localcnt = fields.value(&NvReader::u64, "localcnt");
  message.remotecnt = fields.value(&NvReader::u64, "remotecnt");
  if (fields.error()) return *fields.error();
  message.virgin = nv.contains("virgin");
  const Result<Token> token = decode_token(nv);
  if (!token) return token.error();
  message.token = *token;
  Result<std::string> resource = decode_resource(nv);
  if (!resource) return resource.error();
  message.resource = std::move(resource).value();
  message.native = decode_native(nv);
  return message;
}

Result<SecondReply> decode_second_reply(const NvReader& nv) {
  SecondReply message;
  Fields fields(nv);
  message.datasize = fields.value(&NvReader::i64, "datasize");
  message.extentsize = fields.value(&NvReader::i32, "extentsize");
  message.localcnt = fields.value(&NvReader::u64, "localcnt");
  message.remotecnt = fields.value(&NvReader::u64, "remotecnt");
  if (fields.error()) return *fields.error();
  if (message.datasize <= 0 || message.extentsize <= 0) return malformed("datasize or extentsize");
  if (nv.contains("errmsg")) {
    Result<std::string> text = decode_text(nv, "errmsg");
    if (!text) return text.error();
    message.errmsg = std::move(text).value();
    return message;
  }
  message.virgin = nv.contains("virgin");
  const Result<SyncSource> source = decode_source(nv);
  if (!source) return source.error();
  message.source = *source;
  const Result<std::uint32_t> mapsize = nv.u32("mapsize");
  if (!mapsize) return mapsize.error();
  message.mapsize = *mapsize;
  const Result<PayloadInfo> payload = decode_payload_info(nv);
  if (!payload) return payload.error();
  message.payload = *payload;
  message.native = decode_native(nv);
  if (!is_plausible_map(message)) return malformed("size of the map");
  return message;
}

}  // namespace hast::wire
