#include "object.hpp"

#include <limits>

namespace hast::control {

void ObjectReader::wrong(std::string_view name) {
  if (!problem_) problem_ = Error{Errc::wrong_type, 0, std::string(name)};
}

const json::value* ObjectReader::find(std::string_view name) {
  if (problem_) return nullptr;
  const json::value* value = object_->if_contains(name);
  if (!value) problem_ = Error{Errc::missing_field, 0, std::string(name)};
  return value;
}

const json::array& ObjectReader::list(std::string_view name) {
  static const json::array kNone;
  const json::value* field = find(name);
  if (!field) return kNone;
  if (const json::array* items = field->if_array()) return *items;
  wrong(name);
  return kNone;
}

void ObjectReader::flag(std::string_view name, bool& value) {
  const json::value* field = find(name);
  if (!field) return;
  if (const bool* truth = field->if_bool())
    value = *truth;
  else
    wrong(name);
}

void ObjectReader::number(std::string_view name, std::uint64_t& value) {
  const json::value* field = find(name);
  if (!field) return;
  const std::uint64_t* big = field->if_uint64();  // only what does not fit an int64
  const std::int64_t* small = field->if_int64();
  if (big)
    value = *big;
  else if (small && *small >= 0)
    value = static_cast<std::uint64_t>(*small);
  else
    wrong(name);
}

void ObjectReader::number(std::string_view name, std::uint32_t& value) {
  std::uint64_t wide = 0;
  number(name, wide);
  if (wide > std::numeric_limits<std::uint32_t>::max()) return wrong(name);
  if (!problem_) value = static_cast<std::uint32_t>(wide);
}

void ObjectReader::number(std::string_view name, std::int64_t& value) {
  const json::value* field = find(name);
  if (!field) return;
  if (const std::int64_t* number = field->if_int64())
    value = *number;
  else
    wrong(name);
}

void ObjectReader::text(std::string_view name, std::string& value) {
  const json::value* field = find(name);
  if (!field) return;
  if (const json::string* words = field->if_string())
    value.assign(words->data(), words->size());
  else
    wrong(name);
}

void ObjectReader::text_or_null(std::string_view name, std::string& value) {
  const json::value* field = find(name);
  if (field && !field->is_null()) text(name, value);
}

}  // namespace hast::control
