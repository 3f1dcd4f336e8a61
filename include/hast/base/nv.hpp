// The name/value list: the encoding of every HAST message and of the metadata block
// (docs/protocol.md, "nv list"). It lives in base because both wire and ondisk speak it and those
// two rooms never meet.
//
// NvReader parses once, validates every element with 64-bit arithmetic and keeps views into the
// caller's bytes: no allocation, no copy, at most kNvMaxElements elements. NvWriter appends to a
// caller's buffer. Neither owns memory; the bytes must outlive the reader.
#pragma once

#include <cstdint>
#include <new>
#include <string_view>
#include <type_traits>

#include "hast/base/bytes.hpp"
#include "hast/base/result.hpp"

namespace hast {

enum class NvType : std::uint8_t {
  int8 = 1,
  uint8,
  int16,
  uint16,
  int32,
  uint32,
  int64,
  uint64,
  int8_array,
  uint8_array,
  int16_array,
  uint16_array,
  int32_array,
  uint32_array,
  int64_array,
  uint64_array,
  string,
};

/// Most legal messages have fewer than 16 elements; a longer list is refused as too_large (INV-9).
inline constexpr std::size_t kNvMaxElements = 64;

struct NvElement {
  NvType type{};
  std::string_view name;
  ConstByteSpan data;  // exactly dsize bytes, padding excluded; a string includes its NUL
};

class NvReader {
 public:
  /// Parses a whole block. A zero type byte ends it; what follows is ignored (this is how the
  /// 4096-byte metadata block is read). An element flagged as host order is malformed: nothing
  /// legal sends one. Errors: truncated, malformed, too_large.
  static Result<NvReader> parse(ConstByteSpan block);

  /// First element of that name, whatever its type (for fields whose existence counts).
  const NvElement* find(std::string_view name) const&;
  const NvElement* find(std::string_view name) const&& = delete;  // it points into the reader
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  /// Getters want the exact type: missing_field if the name is absent, wrong_type otherwise.
  Result<std::uint8_t> u8(std::string_view name) const;
  Result<std::int8_t> i8(std::string_view name) const;
  Result<std::int16_t> i16(std::string_view name) const;
  Result<std::uint32_t> u32(std::string_view name) const;
  Result<std::int32_t> i32(std::string_view name) const;
  Result<std::uint64_t> u64(std::string_view name) const;
  Result<std::int64_t> i64(std::string_view name) const;
  Result<std::string_view> string(std::string_view name) const;  // without the NUL
  Result<ConstByteSpan> u8_array(std::string_view name) const;

  std::span<const NvElement> elements() const {
    return {std::launder(reinterpret_cast<const NvElement*>(storage_)), count_};
  }

  NvReader(const NvReader& other) : count_(other.count_) { copy_elements(other); }
  NvReader& operator=(const NvReader& other) {
    if (this == &other) return *this;
    count_ = other.count_;
    copy_elements(other);
    return *this;
  }

 private:
  // Readers travel by value through coroutines, a few times a message. So only the elements there
  // are get constructed and copied, never all kNvMaxElements: half the cost of a message.
  static_assert(std::is_trivially_copyable_v<NvElement>);
  NvReader() {}
  void append(const NvElement& element) {
    ::new (storage_ + count_ * sizeof element) NvElement(element);
    ++count_;
  }
  void copy_elements(const NvReader& other) {
    std::memcpy(storage_, other.storage_, count_ * sizeof(NvElement));
  }

  alignas(NvElement) std::byte storage_[kNvMaxElements * sizeof(NvElement)];
  std::size_t count_ = 0;
};

/// Appends elements in network order with zeroed padding (the original leaks heap there).
class NvWriter {
 public:
  explicit NvWriter(ByteSpan buffer) : out_(buffer) {}

  void u8(std::string_view name, std::uint8_t value);
  void i8(std::string_view name, std::int8_t value);
  void i16(std::string_view name, std::int16_t value);
  void u32(std::string_view name, std::uint32_t value);
  void i32(std::string_view name, std::int32_t value);
  void u64(std::string_view name, std::uint64_t value);
  void i64(std::string_view name, std::int64_t value);
  void string(std::string_view name, std::string_view value);
  void u8_array(std::string_view name, ConstByteSpan value);

  /// True once an element did not fit, or a name or value cannot be represented.
  bool failed() const { return failed_ || out_.failed(); }
  std::size_t size() const { return out_.size(); }

 private:
  /// `data_size` counts a string's NUL, which `data` need not contain: the padding supplies it.
  void element(NvType type, std::string_view name, ConstByteSpan data, std::uint64_t data_size);

  ByteWriter out_;
  bool failed_ = false;
};

}  // namespace hast
