#include "hast/base/nv.hpp"

#include <algorithm>
#include <array>
#include <concepts>
#include <string>
#include <type_traits>

#include "hast/base/units.hpp"

namespace hast {
namespace {

constexpr std::uint64_t kUnit = 8;  // names and data are padded to multiples of this
constexpr std::size_t kMaxNameLength = 254;

/// Width of one value of a type, 0 for a string. The arrays repeat the widths of the scalars.
constexpr std::size_t width_of(NvType type) {
  constexpr std::uint8_t widths[] = {1, 1, 2, 2, 4, 4, 8, 8};
  return type == NvType::string ? 0 : widths[(static_cast<unsigned>(type) - 1) % std::size(widths)];
}

constexpr bool is_array(NvType type) {
  return type >= NvType::int8_array && type <= NvType::uint64_array;
}

/// A name or a string with its NUL: ends in one and has no other.
bool is_terminated_text(ConstByteSpan bytes) {
  return as_text(bytes).find('\0') == bytes.size() - 1;
}

bool is_valid_data(NvType type, ConstByteSpan data) {
  if (data.empty()) return false;
  if (type == NvType::string) return is_terminated_text(data);
  const std::size_t width = width_of(type);
  return is_array(type) ? data.size() % width == 0 : data.size() == width;
}

/// Takes `size` bytes and their padding, returns them without it. `size` comes from the peer: 64
/// bits are needed to round it up, 32 wrap to zero, a 32-bit host's size_t included (INV-9).
ConstByteSpan take_padded(ByteReader& in, std::uint64_t size) {
  const std::uint64_t whole = std::min<std::uint64_t>(round_up(size, kUnit), SIZE_MAX);
  const ConstByteSpan padded = in.take(static_cast<std::size_t>(whole));
  return in.failed() ? ConstByteSpan{} : padded.first(size);
}

Error malformed(const char* what) { return Error{.code = Errc::malformed, .detail = what}; }

Result<NvElement> read_element(ByteReader& in) {
  const auto type = in.le<std::uint8_t>();
  const auto name_size = in.le<std::uint8_t>();
  const auto data_size = in.le<std::uint32_t>();
  const ConstByteSpan name = take_padded(in, name_size);
  const ConstByteSpan data = take_padded(in, data_size);
  if (in.failed()) return Errc::truncated;
  // A type flagged as host order (0x80) is none either: only an original's memory holds those.
  if (type == 0 || type > static_cast<std::uint8_t>(NvType::string))
    return malformed("element of an unknown type");
  if (name.size() < 2 || !is_terminated_text(name)) return malformed("element name");
  const NvElement element{static_cast<NvType>(type), as_text(name.first(name.size() - 1)), data};
  if (!is_valid_data(element.type, data)) return malformed("element data does not fit its type");
  return element;
}

Result<ConstByteSpan> data_of(const NvReader& nv, NvType type, std::string_view name) {
  const NvElement* element = nv.find(name);
  if (element == nullptr) return Error{.code = Errc::missing_field, .detail = std::string(name)};
  if (element->type != type) return Error{.code = Errc::wrong_type, .detail = std::string(name)};
  return element->data;
}

template <std::integral T>
Result<T> number(const NvReader& nv, NvType type, std::string_view name) {
  const Result<ConstByteSpan> data = data_of(nv, type, name);
  if (!data) return data.error();
  return static_cast<T>(load_le<std::make_unsigned_t<T>>(data->data()));
}

/// The little-endian image of a number, alive as long as the object.
template <std::integral T>
struct Image {
  explicit Image(T value) { store_le(bytes.data(), static_cast<std::make_unsigned_t<T>>(value)); }
  std::array<std::byte, sizeof(T)> bytes;
};

}  // namespace

Result<NvReader> NvReader::parse(ConstByteSpan block) {
  NvReader reader;
  ByteReader in(block);
  while (in.remaining() > 0 && block[block.size() - in.remaining()] != std::byte{0}) {
    if (reader.count_ == kNvMaxElements) return Errc::too_large;
    Result<NvElement> element = read_element(in);
    if (!element) return std::move(element).error();
    reader.append(*element);
  }
  return reader;
}

const NvElement* NvReader::find(std::string_view name) const& {
  for (const NvElement& element : elements())
    if (element.name == name) return &element;
  return nullptr;
}

Result<std::uint8_t> NvReader::u8(std::string_view name) const {
  return number<std::uint8_t>(*this, NvType::uint8, name);
}
Result<std::int8_t> NvReader::i8(std::string_view name) const {
  return number<std::int8_t>(*this, NvType::int8, name);
}
Result<std::int16_t> NvReader::i16(std::string_view name) const {
  return number<std::int16_t>(*this, NvType::int16, name);
}
Result<std::uint32_t> NvReader::u32(std::string_view name) const {
  return number<std::uint32_t>(*this, NvType::uint32, name);
}
Result<std::int32_t> NvReader::i32(std::string_view name) const {
  return number<std::int32_t>(*this, NvType::int32, name);
}
Result<std::uint64_t> NvReader::u64(std::string_view name) const {
  return number<std::uint64_t>(*this, NvType::uint64, name);
}
Result<std::int64_t> NvReader::i64(std::string_view name) const {
  return number<std::int64_t>(*this, NvType::int64, name);
}

Result<std::string_view> NvReader::string(std::string_view name) const {
  const Result<ConstByteSpan> data = data_of(*this, NvType::string, name);
  if (!data) return data.error();
  return as_text(data->first(data->size() - 1));
}

Result<ConstByteSpan> NvReader::u8_array(std::string_view name) const {
  return data_of(*this, NvType::uint8_array, name);
}

void NvWriter::element(NvType type, std::string_view name, ConstByteSpan data,
                       std::uint64_t data_size) {
  const bool nameable =
      !name.empty() && name.size() <= kMaxNameLength && name.find('\0') == std::string_view::npos;
  if (!nameable || data_size == 0 || data_size > UINT32_MAX) {
    failed_ = true;
    return;
  }
  out_.le(static_cast<std::uint8_t>(type));
  out_.le(static_cast<std::uint8_t>(name.size() + 1));
  out_.le(static_cast<std::uint32_t>(data_size));
  out_.put(as_bytes(name));
  out_.zeros(round_up(name.size() + 1, kUnit) - name.size());
  out_.put(data);
  out_.zeros(round_up(data_size, kUnit) - data.size());
}

void NvWriter::u8(std::string_view name, std::uint8_t value) {
  element(NvType::uint8, name, Image(value).bytes, sizeof value);
}
void NvWriter::i8(std::string_view name, std::int8_t value) {
  element(NvType::int8, name, Image(value).bytes, sizeof value);
}
void NvWriter::i16(std::string_view name, std::int16_t value) {
  element(NvType::int16, name, Image(value).bytes, sizeof value);
}
void NvWriter::u32(std::string_view name, std::uint32_t value) {
  element(NvType::uint32, name, Image(value).bytes, sizeof value);
}
void NvWriter::i32(std::string_view name, std::int32_t value) {
  element(NvType::int32, name, Image(value).bytes, sizeof value);
}
void NvWriter::u64(std::string_view name, std::uint64_t value) {
  element(NvType::uint64, name, Image(value).bytes, sizeof value);
}
void NvWriter::i64(std::string_view name, std::int64_t value) {
  element(NvType::int64, name, Image(value).bytes, sizeof value);
}

void NvWriter::string(std::string_view name, std::string_view value) {
  if (value.find('\0') != std::string_view::npos) failed_ = true;
  element(NvType::string, name, as_bytes(value), value.size() + 1);
}
void NvWriter::u8_array(std::string_view name, ConstByteSpan value) {
  element(NvType::uint8_array, name, value, value.size());
}

}  // namespace hast
