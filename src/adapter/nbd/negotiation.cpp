#include "hast/adapter/nbd/negotiation.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hast::adapter::nbd {

namespace {

constexpr std::uint32_t kPreferredBlockBytes = 4096;

using Answer = Negotiation::Answer;
using Next = Negotiation::Next;

template <std::unsigned_integral T>
void append(std::vector<std::byte>& bytes, T value) {
  std::byte raw[sizeof value];
  store_be(raw, value);
  bytes.insert(bytes.end(), raw, raw + sizeof value);
}

void append(std::vector<std::byte>& bytes, std::string_view text) {
  const ConstByteSpan raw = as_bytes(text);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

/// Texts of ours that go to clients: the protocol bounds strings.
std::string_view bounded(std::string_view text) { return text.substr(0, kMaxStringBytes); }

/// The replies to one option, in the order they are sent.
class OptionReplies {
 public:
  explicit OptionReplies(std::uint32_t option) : option_(option) {}

  void ack() { head(NBD_REP_ACK, 0); }
  void error(std::uint32_t type, std::string_view text) {
    head(type, bounded(text).size());
    append(bytes_, bounded(text));
  }
  void server(std::string_view name, std::string_view description) {
    head(NBD_REP_SERVER, 4 + bounded(name).size() + bounded(description).size());
    append(bytes_, static_cast<std::uint32_t>(bounded(name).size()));
    append(bytes_, bounded(name));
    append(bytes_, bounded(description));
  }
  void info_export(std::uint64_t size_bytes, std::uint16_t flags) {
    info(NBD_INFO_EXPORT, 10);
    append(bytes_, size_bytes);
    append(bytes_, flags);
  }
  void info_text(std::uint16_t type, std::string_view text) {
    info(type, bounded(text).size());
    append(bytes_, bounded(text));
  }
  void info_block_size(std::uint32_t sector_bytes) {
    info(NBD_INFO_BLOCK_SIZE, 12);
    append(bytes_, sector_bytes);
    append(bytes_, std::max(sector_bytes, kPreferredBlockBytes));
    append(bytes_, kMaxPayloadBytes);
  }

  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  void head(std::uint32_t type, std::size_t length_bytes) {
    append(bytes_, NBD_REP_MAGIC);
    append(bytes_, option_);
    append(bytes_, type);
    append(bytes_, static_cast<std::uint32_t>(length_bytes));
  }
  void info(std::uint16_t type, std::size_t payload_bytes) {
    head(NBD_REP_INFO, 2 + payload_bytes);
    append(bytes_, type);
  }

  std::uint32_t option_;
  std::vector<std::byte> bytes_;
};

Answer acknowledged(std::uint32_t option) {
  OptionReplies replies(option);
  replies.ack();
  return {Next::option, replies.take(), {}};
}

Answer refused(std::uint32_t option, std::uint32_t type, std::string text) {
  OptionReplies replies(option);
  replies.error(type, text);
  return {Next::option, replies.take(), std::move(text)};
}

Answer dropped(std::string note) { return {Next::close, {}, std::move(note)}; }

/// The empty name means the default export, and there is only one.
bool is_name_of(std::string_view name, const Offer& offer) {
  return name.empty() || name == offer.name;
}

bool is_known(std::uint32_t option) {
  return option == NBD_OPT_EXPORT_NAME || option == NBD_OPT_ABORT || option == NBD_OPT_LIST ||
         option == NBD_OPT_INFO || option == NBD_OPT_GO || option == NBD_OPT_STRUCTURED_REPLY;
}

Answer unsupported(std::uint32_t option) {
  return refused(option, NBD_REP_ERR_UNSUP,
                 option == NBD_OPT_STARTTLS ? "this server has no TLS"
                                            : "this server does not know the option");
}

}  // namespace

std::array<std::byte, kGreetingBytes> Negotiation::greeting() {
  std::array<std::byte, kGreetingBytes> bytes;
  ByteWriter out(bytes);
  out.be(INIT_PASSWD);
  out.be(NBD_OPTS_MAGIC);
  out.be(static_cast<std::uint16_t>(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
  return bytes;
}

Answer Negotiation::accept_flags(std::uint32_t client_flags) {
  if ((client_flags & ~(NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES)) != 0)
    return dropped(fmt::format("it sent unknown client flags {:#x}", client_flags));
  no_zeroes_ = (client_flags & NBD_FLAG_C_NO_ZEROES) != 0;
  return {};
}

Answer Negotiation::accept_option(OptionHeader header, ConstByteSpan data, const Offer& offer) {
  if (++options_ > kMaxOptions) return dropped("it sent options without end");
  switch (header.option) {
    case NBD_OPT_EXPORT_NAME:
      return export_name(data, offer);
    case NBD_OPT_ABORT: {
      Answer answer = acknowledged(header.option);
      answer.next = Next::close;
      return answer;
    }
    case NBD_OPT_LIST:
      return list(data, offer);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
      return info_or_go(header, data, offer);
    case NBD_OPT_STRUCTURED_REPLY:
      return structured_reply(data);
    default:
      return unsupported(header.option);
  }
}

Answer Negotiation::accept_skipped_option(OptionHeader header) {
  if (++options_ > kMaxOptions) return dropped("it sent options without end");
  if (header.option == NBD_OPT_EXPORT_NAME) return dropped("it sent an overlong export name");
  if (!is_known(header.option)) return unsupported(header.option);
  return refused(header.option, NBD_REP_ERR_TOO_BIG, "the data of the option are too long");
}

// This option has no error reply: whoever is refused is disconnected.
Answer Negotiation::export_name(ConstByteSpan data, const Offer& offer) const {
  if (!is_name_of(as_text(data), offer)) return dropped("it asked for another export");
  if (!offer.volume) return dropped(std::string(offer.reason));
  Answer answer;
  answer.next = Next::transmission;
  append(answer.bytes, offer.volume->size_bytes);
  append(answer.bytes, transmission_flags(style_));
  if (!no_zeroes_) answer.bytes.resize(answer.bytes.size() + 124);
  return answer;
}

Answer Negotiation::list(ConstByteSpan data, const Offer& offer) const {
  if (!data.empty())
    return refused(NBD_OPT_LIST, NBD_REP_ERR_INVALID, "NBD_OPT_LIST must not have data");
  OptionReplies replies(NBD_OPT_LIST);
  replies.server(offer.name, offer.volume ? offer.description : offer.reason);
  replies.ack();
  return {Next::option, replies.take(), {}};
}

Answer Negotiation::info_or_go(OptionHeader header, ConstByteSpan data, const Offer& offer) const {
  const Result<ExportQuery> query = decode_export_query(data);
  if (!query) {
    return query.error().code == Errc::too_large
               ? refused(header.option, NBD_REP_ERR_TOO_BIG, "the export name is too long")
               : refused(header.option, NBD_REP_ERR_INVALID, "the option is malformed");
  }
  if (!is_name_of((*query).name, offer))
    return refused(header.option, NBD_REP_ERR_UNKNOWN,
                   fmt::format("the only export of this server is \"{}\"", offer.name));
  if (!offer.volume) return refused(header.option, NBD_REP_ERR_POLICY, std::string(offer.reason));

  OptionReplies replies(header.option);
  replies.info_export(offer.volume->size_bytes, transmission_flags(style_));
  if ((*query).wants_name) replies.info_text(NBD_INFO_NAME, offer.name);
  if ((*query).wants_description && !offer.description.empty())
    replies.info_text(NBD_INFO_DESCRIPTION, offer.description);
  // Unasked too: whoever knows it then keeps to it, everyone else ignores it.
  replies.info_block_size(offer.volume->sector_bytes);
  replies.ack();
  const Next next = header.option == NBD_OPT_GO ? Next::transmission : Next::option;
  return {next, replies.take(), {}};
}

Answer Negotiation::structured_reply(ConstByteSpan data) {
  if (!data.empty())
    return refused(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ERR_INVALID,
                   "NBD_OPT_STRUCTURED_REPLY must not have data");
  style_ = ReplyStyle::structured;
  return acknowledged(NBD_OPT_STRUCTURED_REPLY);
}

}  // namespace hast::adapter::nbd
