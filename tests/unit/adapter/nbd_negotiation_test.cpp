#include "hast/adapter/nbd/negotiation.hpp"

#include <algorithm>

#include "support/catch.hpp"
#include "support/nbd_bytes.hpp"

namespace nbd = hast::adapter::nbd;
using hast::test::nbd_query;
using hast::test::OptionReply;
using hast::test::ReplyParser;
using hast::test::Wire;
using Next = nbd::Negotiation::Next;

namespace {

nbd::Offer open_offer() {
  nbd::Offer offer;
  offer.name = "shared";
  offer.description = "a replicated disk";
  offer.volume = hast::port::VolumeInfo{1 << 20, 512};
  return offer;
}

nbd::Offer closed_offer() {
  nbd::Offer offer = open_offer();
  offer.volume.reset();
  offer.reason = "resource shared is secondary on this node";
  return offer;
}

nbd::Negotiation::Answer ask(nbd::Negotiation& negotiation, std::uint32_t option,
                             std::string_view data, const nbd::Offer& offer = open_offer()) {
  const nbd::OptionHeader header{option, static_cast<std::uint32_t>(data.size())};
  return negotiation.accept_option(header, hast::as_bytes(data), offer);
}

std::vector<OptionReply> replies(const nbd::Negotiation::Answer& answer, std::uint32_t option) {
  ReplyParser parser(hast::as_text(answer.bytes));
  std::vector<OptionReply> list;
  while (!parser.at_end() && parser.valid()) {
    list.push_back(parser.option_reply());
    CHECK(list.back().option == option);
  }
  REQUIRE(parser.valid());
  REQUIRE_FALSE(list.empty());
  return list;
}

OptionReply only_reply(const nbd::Negotiation::Answer& answer, std::uint32_t option) {
  const auto list = replies(answer, option);
  REQUIRE(list.size() == 1);
  return list.front();
}

/// The INFO replies by type; checks that the last reply is an ACK and nothing is repeated.
std::vector<std::pair<std::uint16_t, std::string>> infos(const nbd::Negotiation::Answer& answer,
                                                         std::uint32_t option) {
  auto list = replies(answer, option);
  REQUIRE(list.back().type == nbd::NBD_REP_ACK);
  REQUIRE(list.back().data.empty());
  list.pop_back();
  std::vector<std::pair<std::uint16_t, std::string>> found;
  for (const OptionReply& reply : list) {
    REQUIRE(reply.type == nbd::NBD_REP_INFO);
    REQUIRE(reply.data.size() >= 2);
    found.emplace_back(hast::load_be<std::uint16_t>(hast::as_bytes(reply.data).data()),
                       reply.data.substr(2));
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

TEST_CASE("The greeting offers fixed newstyle without zeroes") {
  const auto bytes = nbd::Negotiation::greeting();
  CHECK(std::string(hast::as_text(bytes)) == Wire{}.text("NBDMAGICIHAVEOPT").u16(3).str());
}

TEST_CASE("Client flags that were not offered end the connection") {
  for (const std::uint32_t flags : {0u, 1u, 2u, 3u}) {
    nbd::Negotiation negotiation;
    CHECK(negotiation.accept_flags(flags).next == Next::option);
  }
  for (const std::uint32_t flags : {4u, 7u, 0x80000000u, 0xffffffffu}) {
    nbd::Negotiation negotiation;
    const auto answer = negotiation.accept_flags(flags);
    CHECK(answer.next == Next::close);
    CHECK(answer.bytes.empty());
    CHECK_FALSE(answer.note.empty());
  }
}

TEST_CASE("EXPORT_NAME starts the transmission, with zeroes unless they were declined") {
  const std::string_view name = GENERATE(std::string_view("shared"), std::string_view(""));
  const std::string head = Wire{}.u64(1 << 20).u16(0x016d).str();
  nbd::Negotiation old;
  CHECK(old.accept_flags(0).next == Next::option);
  const auto padded = ask(old, nbd::NBD_OPT_EXPORT_NAME, name);
  CHECK(padded.next == Next::transmission);
  CHECK(std::string(hast::as_text(padded.bytes)) == head + std::string(124, '\0'));

  nbd::Negotiation modern;
  CHECK(modern.accept_flags(3).next == Next::option);
  const auto bare = ask(modern, nbd::NBD_OPT_EXPORT_NAME, name);
  CHECK(bare.next == Next::transmission);
  CHECK(std::string(hast::as_text(bare.bytes)) == head);
}

TEST_CASE("EXPORT_NAME of another or a closed export ends the connection without a word") {
  nbd::Negotiation negotiation;
  const auto other = ask(negotiation, nbd::NBD_OPT_EXPORT_NAME, "elsewhere");
  CHECK(other.next == Next::close);
  CHECK(other.bytes.empty());
  const auto closed = ask(negotiation, nbd::NBD_OPT_EXPORT_NAME, "shared", closed_offer());
  CHECK(closed.next == Next::close);
  CHECK(closed.bytes.empty());
  CHECK(closed.note == "resource shared is secondary on this node");
}

TEST_CASE("ABORT is acknowledged, whatever data it carries, and ends the connection") {
  for (const char* data : {"", "bye"}) {
    nbd::Negotiation negotiation;
    const auto answer = ask(negotiation, nbd::NBD_OPT_ABORT, data);
    CHECK(answer.next == Next::close);
    CHECK(only_reply(answer, nbd::NBD_OPT_ABORT).type == nbd::NBD_REP_ACK);
  }
}

TEST_CASE("LIST names the export with its description, or the reason why it is closed") {
  nbd::Negotiation negotiation;
  auto list = replies(ask(negotiation, nbd::NBD_OPT_LIST, ""), nbd::NBD_OPT_LIST);
  REQUIRE(list.size() == 2);
  CHECK(list[0].type == nbd::NBD_REP_SERVER);
  CHECK(list[0].data == Wire{}.u32(6).text("shareda replicated disk").str());
  CHECK(list[1].type == nbd::NBD_REP_ACK);

  list = replies(ask(negotiation, nbd::NBD_OPT_LIST, "", closed_offer()), nbd::NBD_OPT_LIST);
  REQUIRE(list.size() == 2);
  CHECK(list[0].data ==
        Wire{}.u32(6).text("sharedresource shared is secondary on this node").str());
}

TEST_CASE("LIST with data is invalid") {
  nbd::Negotiation negotiation;
  const auto answer = ask(negotiation, nbd::NBD_OPT_LIST, "x");
  CHECK(answer.next == Next::option);
  CHECK(only_reply(answer, nbd::NBD_OPT_LIST).type == nbd::NBD_REP_ERR_INVALID);
}

TEST_CASE("INFO tells size, flags and block sizes, and name and description when asked") {
  nbd::Negotiation negotiation;
  const auto few = ask(negotiation, nbd::NBD_OPT_INFO, nbd_query("shared"));
  CHECK(few.next == Next::option);
  auto found = infos(few, nbd::NBD_OPT_INFO);
  REQUIRE(found.size() == 2);
  CHECK(found[0].first == nbd::NBD_INFO_EXPORT);
  CHECK(found[0].second == Wire{}.u64(1 << 20).u16(0x016d).str());
  CHECK(found[1].first == nbd::NBD_INFO_BLOCK_SIZE);
  CHECK(found[1].second == Wire{}.u32(512).u32(4096).u32(32 << 20).str());

  const auto all = ask(negotiation, nbd::NBD_OPT_INFO, nbd_query("", {0, 1, 2, 3, 77}));
  found = infos(all, nbd::NBD_OPT_INFO);
  REQUIRE(found.size() == 4);
  CHECK(found[1] == std::make_pair(nbd::NBD_INFO_NAME, std::string("shared")));
  CHECK(found[2] == std::make_pair(nbd::NBD_INFO_DESCRIPTION, std::string("a replicated disk")));
}

TEST_CASE("The preferred block size is never less than the sector") {
  nbd::Offer offer = open_offer();
  offer.volume->sector_bytes = 16384;
  nbd::Negotiation negotiation;
  const auto found =
      infos(ask(negotiation, nbd::NBD_OPT_INFO, nbd_query("shared"), offer), nbd::NBD_OPT_INFO);
  CHECK(found.back().second == Wire{}.u32(16384).u32(16384).u32(32 << 20).str());
}

TEST_CASE("GO answers like INFO and starts the transmission") {
  nbd::Negotiation negotiation;
  const auto info = ask(negotiation, nbd::NBD_OPT_INFO, nbd_query("shared", {1, 2, 3}));
  const auto go = ask(negotiation, nbd::NBD_OPT_GO, nbd_query("shared", {1, 2, 3}));
  CHECK(go.next == Next::transmission);
  CHECK(infos(go, nbd::NBD_OPT_GO) == infos(info, nbd::NBD_OPT_INFO));
}

TEST_CASE("A closed export is refused with the reason in words") {
  for (const std::uint32_t option : {nbd::NBD_OPT_INFO, nbd::NBD_OPT_GO}) {
    nbd::Negotiation negotiation;
    const auto answer = ask(negotiation, option, nbd_query("shared", {3}), closed_offer());
    CHECK(answer.next == Next::option);
    const OptionReply reply = only_reply(answer, option);
    CHECK(reply.type == nbd::NBD_REP_ERR_POLICY);
    CHECK(reply.data == "resource shared is secondary on this node");
  }
}

TEST_CASE("Another export's name is unknown, and the answer names the one there is") {
  nbd::Negotiation negotiation;
  const auto answer = ask(negotiation, nbd::NBD_OPT_GO, nbd_query("elsewhere"));
  CHECK(answer.next == Next::option);
  const OptionReply reply = only_reply(answer, nbd::NBD_OPT_GO);
  CHECK(reply.type == nbd::NBD_REP_ERR_UNKNOWN);
  CHECK(reply.data.find("\"shared\"") != std::string::npos);
}

TEST_CASE("GO with data cut anywhere, or too many, is invalid and does not start anything") {
  const std::string data = nbd_query("shared", {1, 3});
  for (std::size_t length = 0; length <= data.size() + 1; ++length) {
    if (length == data.size()) continue;
    nbd::Negotiation negotiation;
    std::string wrong = data + "x";
    wrong.resize(length);
    const auto answer = ask(negotiation, nbd::NBD_OPT_GO, wrong);
    CHECK(answer.next == Next::option);
    CHECK(only_reply(answer, nbd::NBD_OPT_GO).type == nbd::NBD_REP_ERR_INVALID);
  }
}

TEST_CASE("STRUCTURED_REPLY switches the style, announces DF, and takes no data") {
  nbd::Negotiation negotiation;
  CHECK(negotiation.reply_style() == nbd::ReplyStyle::simple);
  const auto wrong = ask(negotiation, nbd::NBD_OPT_STRUCTURED_REPLY, "x");
  CHECK(only_reply(wrong, nbd::NBD_OPT_STRUCTURED_REPLY).type == nbd::NBD_REP_ERR_INVALID);
  CHECK(negotiation.reply_style() == nbd::ReplyStyle::simple);

  const auto right = ask(negotiation, nbd::NBD_OPT_STRUCTURED_REPLY, "");
  CHECK(only_reply(right, nbd::NBD_OPT_STRUCTURED_REPLY).type == nbd::NBD_REP_ACK);
  CHECK(negotiation.reply_style() == nbd::ReplyStyle::structured);
  const auto found = infos(ask(negotiation, nbd::NBD_OPT_INFO, nbd_query("")), nbd::NBD_OPT_INFO);
  CHECK(found[0].second == Wire{}.u64(1 << 20).u16(0x01ed).str());
}

TEST_CASE("Options this server does not have are unsupported and haggling goes on") {
  for (const std::uint32_t option : {nbd::NBD_OPT_STARTTLS, nbd::NBD_OPT_LIST_META_CONTEXT,
                                     nbd::NBD_OPT_SET_META_CONTEXT, 4u, 11u, 0u, 0xffffffffu}) {
    nbd::Negotiation negotiation;
    const auto answer = ask(negotiation, option, "data");
    CHECK(answer.next == Next::option);
    CHECK(only_reply(answer, option).type == nbd::NBD_REP_ERR_UNSUP);
    const auto skipped = negotiation.accept_skipped_option({option, 0xffffffff});
    CHECK(only_reply(skipped, option).type == nbd::NBD_REP_ERR_UNSUP);
    CHECK(ask(negotiation, nbd::NBD_OPT_GO, nbd_query("")).next == Next::transmission);
  }
}

TEST_CASE("Known options with overlong data are too big, EXPORT_NAME cannot even say so") {
  for (const std::uint32_t option :
       {nbd::NBD_OPT_LIST, nbd::NBD_OPT_INFO, nbd::NBD_OPT_GO, nbd::NBD_OPT_STRUCTURED_REPLY}) {
    nbd::Negotiation negotiation;
    const auto answer = negotiation.accept_skipped_option({option, 1 << 20});
    CHECK(answer.next == Next::option);
    CHECK(only_reply(answer, option).type == nbd::NBD_REP_ERR_TOO_BIG);
  }
  nbd::Negotiation negotiation;
  const auto answer = negotiation.accept_skipped_option({nbd::NBD_OPT_EXPORT_NAME, 1 << 20});
  CHECK(answer.next == Next::close);
  CHECK(answer.bytes.empty());
  const std::string long_name = nbd_query(std::string(4097, 'n'));
  CHECK(only_reply(ask(negotiation, nbd::NBD_OPT_GO, long_name), nbd::NBD_OPT_GO).type ==
        nbd::NBD_REP_ERR_TOO_BIG);
}

TEST_CASE("Haggling has an end") {
  nbd::Negotiation negotiation;
  for (int i = 0; i < nbd::kMaxOptions; ++i)
    REQUIRE(ask(negotiation, nbd::NBD_OPT_LIST, "").next == Next::option);
  const auto answer = ask(negotiation, nbd::NBD_OPT_LIST, "");
  CHECK(answer.next == Next::close);
  CHECK_FALSE(answer.note.empty());
}

TEST_CASE("Texts of ours are cut to the protocol's limit") {
  const std::string long_reason(5000, 'r');
  nbd::Offer offer = closed_offer();
  offer.reason = long_reason;
  nbd::Negotiation negotiation;
  const auto answer = ask(negotiation, nbd::NBD_OPT_GO, nbd_query(""), offer);
  CHECK(only_reply(answer, nbd::NBD_OPT_GO).data.size() == nbd::kMaxStringBytes);
}
