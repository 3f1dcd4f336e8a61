// Cursors over bytes with explicit byte order. A reader never steps past its end: a failed read
// leaves the cursor failed and returns zero, so a decoder may check once at its end. A writer
// appends to a caller's fixed buffer and fails instead of overflowing.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace hast {

using ByteSpan = std::span<std::byte>;
using ConstByteSpan = std::span<const std::byte>;

template <std::unsigned_integral T>
constexpr T byte_swap(T value) {
  if constexpr (sizeof(T) == 1) {
    return value;
  } else {
    T swapped = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      swapped = static_cast<T>(swapped << 8) | static_cast<T>(value & 0xff);
      value = static_cast<T>(value >> 8);
    }
    return swapped;
  }
}

template <std::unsigned_integral T, std::endian order>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return order == std::endian::native ? value : byte_swap(value);
}

template <std::endian order, std::unsigned_integral T>
void store(std::byte* to, T value) {
  if (order != std::endian::native) value = byte_swap(value);
  std::memcpy(to, &value, sizeof value);
}

template <std::unsigned_integral T>
T load_le(const std::byte* from) {
  return load<T, std::endian::little>(from);
}
template <std::unsigned_integral T>
T load_be(const std::byte* from) {
  return load<T, std::endian::big>(from);
}
template <std::unsigned_integral T>
void store_le(std::byte* to, T value) {
  store<std::endian::little>(to, value);
}
template <std::unsigned_integral T>
void store_be(std::byte* to, T value) {
  store<std::endian::big>(to, value);
}

inline std::string_view as_text(ConstByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline ConstByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

class ByteReader {
 public:
  explicit ByteReader(ConstByteSpan bytes) : bytes_(bytes) {}

  template <std::unsigned_integral T>
  T le() {
    return number<T, std::endian::little>();
  }
  template <std::unsigned_integral T>
  T be() {
    return number<T, std::endian::big>();
  }

  /// The next `count` bytes in place; empty and failed if there are fewer.
  ConstByteSpan take(std::size_t count) {
    if (failed_ || count > bytes_.size()) {
      failed_ = true;
      return {};
    }
    ConstByteSpan taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }

  bool failed() const { return failed_; }
  std::size_t remaining() const { return bytes_.size(); }

 private:
  template <std::unsigned_integral T, std::endian order>
  T number() {
    ConstByteSpan raw = take(sizeof(T));
    return raw.empty() ? T{0} : load<T, order>(raw.data());
  }

  ConstByteSpan bytes_;
  bool failed_ = false;
};

class ByteWriter {
 public:
  explicit ByteWriter(ByteSpan buffer) : buffer_(buffer) {}

  template <std::unsigned_integral T>
  void le(T value) {
    number<std::endian::little>(value);
  }
  template <std::unsigned_integral T>
  void be(T value) {
    number<std::endian::big>(value);
  }

  void put(ConstByteSpan bytes) {
    if (ByteSpan room = claim(bytes.size()); !room.empty())
      std::memcpy(room.data(), bytes.data(), bytes.size());
  }
  void zeros(std::size_t count) {
    if (ByteSpan room = claim(count); !room.empty()) std::memset(room.data(), 0, count);
  }

  bool failed() const { return failed_; }
  std::size_t size() const { return used_; }
  ConstByteSpan written() const { return buffer_.first(used_); }

 private:
  template <std::endian order, std::unsigned_integral T>
  void number(T value) {
    if (ByteSpan room = claim(sizeof value); !room.empty()) store<order>(room.data(), value);
  }
  ByteSpan claim(std::size_t count) {
    if (failed_ || count > buffer_.size() - used_) {
      failed_ = true;
      return {};
    }
    ByteSpan room = buffer_.subspan(used_, count);
    used_ += count;
    return room;
  }

  ByteSpan buffer_;
  std::size_t used_ = 0;
  bool failed_ = false;
};

}  // namespace hast
