// docs/protocol.md is held to the code: each of its golden blocks is one message that decodes,
// whose payload if it has one verifies, and that our encoder writes the same.
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "hast/wire/handshake.hpp"
#include "hast/wire/request.hpp"
#include "support/catch.hpp"
#include "support/hex.hpp"

using namespace hast;
using namespace hast::wire;

namespace {

using Bytes = std::vector<std::byte>;

struct Block {
  std::string kind;  // the word behind "golden"
  Bytes bytes;
};

std::vector<Block> blocks_of_document() {
  std::ifstream document(std::string(HAST_SOURCE_DIR) + "/docs/protocol.md");
  REQUIRE(document);
  std::vector<Block> blocks;
  const std::string opening = "```golden ";
  std::string line, hex;
  bool inside = false;
  while (std::getline(document, line)) {
    if (line.starts_with(opening)) {
      blocks.push_back({line.substr(opening.size()), {}});
      inside = true;
      hex.clear();
    } else if (inside && line == "```") {
      blocks.back().bytes = test::from_hex(hex);
      inside = false;
    } else if (inside) {
      hex += line + "\n";
    }
  }
  return blocks;
}

ConstByteSpan frame_of(const Block& block) {
  REQUIRE(block.bytes.size() > kFrameHeaderBytes);
  const auto header = decode_frame_header(ConstByteSpan(block.bytes).first(kFrameHeaderBytes));
  REQUIRE(header);
  REQUIRE(header->nv_bytes <= block.bytes.size() - kFrameHeaderBytes);
  return ConstByteSpan(block.bytes).first(kFrameHeaderBytes + header->nv_bytes);
}

template <class T>
void check_encodes(const T& message, const Block& block) {
  const ConstByteSpan frame = frame_of(block);
  Bytes out(kMaxEncodedBytes);
  const Result<std::size_t> size = encode(message, std::to_integer<std::uint8_t>(frame[0]), out);
  REQUIRE(size);
  out.resize(*size);
  CHECK(out == Bytes(frame.begin(), frame.end()));
}

void check_payload(const Request& request, ConstByteSpan payload) {
  REQUIRE(payload.size() == request.payload.size_bytes);
  if (!request.payload.present()) return;
  Bytes data(request.length_bytes);
  CHECK(decode_payload(request.payload, payload, data));
}

template <class T>
void check_decoded(const Result<T>& message, const Block& block) {
  REQUIRE(message);
  check_encodes(*message, block);
}

void check_block(const Block& block) {
  const ConstByteSpan frame = frame_of(block);
  const ConstByteSpan payload = ConstByteSpan(block.bytes).subspan(frame.size());
  const auto nv = NvReader::parse(frame.subspan(kFrameHeaderBytes));
  REQUIRE(nv);
  if (block.kind == "FirstHello") return check_decoded(decode_first_hello(*nv), block);
  if (block.kind == "FirstReply") return check_decoded(decode_first_reply(*nv), block);
  if (block.kind == "SecondHello") return check_decoded(decode_second_hello(*nv), block);
  if (block.kind == "SecondReply") return check_decoded(decode_second_reply(*nv), block);
  if (block.kind == "Reply") return check_decoded(decode_reply(*nv), block);
  if (block.kind == "Refusal")
    return check_encodes(Refusal{std::string(*nv->string("errmsg")), nv->contains("wait")}, block);
  REQUIRE(block.kind == "Request");
  const auto request = decode_request(*nv);
  check_decoded(request, block);
  check_payload(*request, payload);
}

}  // namespace

TEST_CASE("every golden block of docs/protocol.md is a message as we write it") {
  std::map<std::string, int> seen;
  for (const Block& block : blocks_of_document()) {
    INFO(block.kind << " of " << block.bytes.size() << " bytes");
    check_block(block);
    ++seen[block.kind];
  }
  CHECK(seen["FirstHello"] == 1);
  CHECK(seen["FirstReply"] == 1);
  CHECK(seen["Refusal"] == 1);
  CHECK(seen["SecondHello"] == 1);
  CHECK(seen["SecondReply"] == 2);
  CHECK(seen["Request"] == 4);
  CHECK(seen["Reply"] == 3);
}

TEST_CASE("the numbers of docs/protocol.md are those of the code") {
  std::ifstream file(std::string(HAST_SOURCE_DIR) + "/docs/protocol.md");
  std::stringstream whole;
  whole << file.rdbuf();
  const std::string document = whole.str();
  const auto says = [&](const std::string& text) {
    return document.find(text) != std::string::npos;
  };
  CHECK(says("1 to " + std::to_string(kMaxNvBytes) + " bytes"));
  CHECK(says("At most " + std::to_string(kNvMaxElements) + " elements"));
  CHECK(says("takes up to 1 MiB (" + std::to_string(kMaxIoBytes) + ")"));
  CHECK(says("1 to " + std::to_string(kMaxResourceName) + " bytes without control characters"));
  CHECK(says("at most " + std::to_string(kMaxText) + " bytes of an `errmsg`"));
  CHECK(says("at most " + std::to_string(kProtocolVersion)));
}
