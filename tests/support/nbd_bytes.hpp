// What an NBD client writes and reads, as bytes: builders of options and requests, parsers of
// replies. Independent of the codec under test: numbers are written out from the protocol document.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "hast/base/bytes.hpp"

namespace hast::test {

/// Big-endian bytes in a row: Wire{}.u16(1).u64(2).text("x").
class Wire {
 public:
  Wire& u16(std::uint16_t value) { return number(value); }
  Wire& u32(std::uint32_t value) { return number(value); }
  Wire& u64(std::uint64_t value) { return number(value); }
  Wire& text(std::string_view text) {
    bytes_.append(text);
    return *this;
  }
  Wire& text(const Wire& other) { return text(other.bytes_); }
  Wire& fill(std::size_t count, char with) {
    bytes_.append(count, with);
    return *this;
  }

  const std::string& str() const { return bytes_; }
  ConstByteSpan span() const { return as_bytes(bytes_); }
  std::size_t size() const { return bytes_.size(); }

 private:
  template <class T>
  Wire& number(T value) {
    std::byte raw[sizeof value];
    store_be(raw, value);
    bytes_.append(as_text(raw));
    return *this;
  }
  std::string bytes_;
};

inline Wire nbd_option(std::uint32_t option, std::string_view data = {}) {
  return Wire{}
      .u64(0x49484156454f5054)
      .u32(option)
      .u32(static_cast<std::uint32_t>(data.size()))
      .text(data);
}

/// The data of INFO and GO.
inline std::string nbd_query(std::string_view name, const std::vector<std::uint16_t>& infos = {}) {
  Wire wire;
  wire.u32(static_cast<std::uint32_t>(name.size())).text(name);
  wire.u16(static_cast<std::uint16_t>(infos.size()));
  for (const std::uint16_t info : infos) wire.u16(info);
  return wire.str();
}

inline Wire nbd_request(std::uint16_t type, std::uint64_t cookie, std::uint64_t offset,
                        std::uint32_t length, std::uint16_t flags = 0) {
  return Wire{}.u32(0x25609513).u16(flags).u16(type).u64(cookie).u64(offset).u32(length);
}

inline Wire nbd_write(std::uint64_t cookie, std::uint64_t offset, std::string_view data,
                      std::uint16_t flags = 0) {
  return nbd_request(1, cookie, offset, static_cast<std::uint32_t>(data.size()), flags).text(data);
}

/// Bytes that differ from sector to sector and from seed to seed.
inline std::string nbd_pattern(std::size_t length, unsigned seed) {
  std::string data(length, '\0');
  for (std::size_t i = 0; i < length; ++i)
    data[i] = static_cast<char>((i * 7 + i / 512 * 13 + seed * 31) & 0xff);
  return data;
}

struct OptionReply {
  std::uint64_t magic = 0;
  std::uint32_t option = 0;
  std::uint32_t type = 0;
  std::string data;
};

struct Chunk {
  std::uint16_t flags = 0;
  std::uint16_t type = 0;
  std::uint64_t cookie = 0;
  std::uint64_t offset = 0;  // of OFFSET_DATA and ERROR_OFFSET
  std::uint32_t error = 0;
  std::string data;  // of OFFSET_DATA; text of errors
  bool is_simple = false;

  bool done() const { return is_simple || (flags & 1) != 0; }
};

/// Takes replies off the front of `bytes`; `valid` turns false at the first thing that is none.
class ReplyParser {
 public:
  explicit ReplyParser(std::string_view bytes) : in_(as_bytes(bytes)) {}

  bool valid() const { return valid_ && !in_.failed(); }
  bool at_end() const { return in_.remaining() == 0; }

  OptionReply option_reply() {
    OptionReply reply;
    reply.magic = in_.be<std::uint64_t>();
    reply.option = in_.be<std::uint32_t>();
    reply.type = in_.be<std::uint32_t>();
    reply.data = take(in_.be<std::uint32_t>());
    valid_ &= reply.magic == 0x3e889045565a9;
    return reply;
  }
  /// `data_bytes` follow if the error is 0.
  Chunk simple(std::size_t data_bytes = 0) {
    return simple_of([=](std::uint64_t) { return data_bytes; });
  }
  /// Only the one who asked knows how much data comes: `length_of(cookie)`.
  template <class LengthOf>
  Chunk simple_of(LengthOf length_of) {
    Chunk reply;
    reply.is_simple = true;
    valid_ &= in_.be<std::uint32_t>() == 0x67446698;
    reply.error = in_.be<std::uint32_t>();
    reply.cookie = in_.be<std::uint64_t>();
    if (reply.error == 0) reply.data = take(length_of(reply.cookie));
    return reply;
  }
  /// A chunk, or a simple reply without data, both legal when structured replies were agreed.
  Chunk chunk() {
    if (peek() == 0x67446698) return simple();
    Chunk chunk;
    valid_ &= in_.be<std::uint32_t>() == 0x668e33ef;
    chunk.flags = in_.be<std::uint16_t>();
    chunk.type = in_.be<std::uint16_t>();
    chunk.cookie = in_.be<std::uint64_t>();
    const std::string payload = take(in_.be<std::uint32_t>());
    ByteReader in(as_bytes(payload));
    if (chunk.type == 1) {
      chunk.offset = in.be<std::uint64_t>();
      chunk.data = payload.substr(std::min<std::size_t>(8, payload.size()));
      valid_ &= !in.failed() && !chunk.data.empty();
    } else if ((chunk.type & 0x8000) != 0) {
      chunk.error = in.be<std::uint32_t>();
      chunk.data = std::string(as_text(in.take(in.be<std::uint16_t>())));
      if (chunk.type == 0x8002) chunk.offset = in.be<std::uint64_t>();
      valid_ &= !in.failed() && in.remaining() == 0 && chunk.error != 0;
    } else {
      valid_ &= chunk.type == 0 && payload.empty() && chunk.done();
    }
    return chunk;
  }

 private:
  std::uint32_t peek() const {
    ByteReader copy = in_;
    return copy.be<std::uint32_t>();
  }
  std::string take(std::size_t count) {
    if (count > in_.remaining()) valid_ = false;
    return std::string(as_text(in_.take(count)));
  }

  ByteReader in_;
  bool valid_ = true;
};

}  // namespace hast::test
