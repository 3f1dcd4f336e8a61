// Reading and writing the fields of one JSON object with the same description: a function
// describe(fields, value) names each field once, and works with ObjectWriter as well as with
// ObjectReader, so the two directions cannot differ.
#pragma once

#include <string>
#include <string_view>

#include "json.hpp"

namespace hast::control {

class ObjectWriter {
 public:
  json::object object;

  void flag(std::string_view name, bool value) { object[name] = value; }
  void number(std::string_view name, std::uint32_t value) { object[name] = value; }
  void number(std::string_view name, std::uint64_t value) { object[name] = value; }
  void number(std::string_view name, std::int64_t value) { object[name] = value; }
  void text(std::string_view name, const std::string& value) { object[name] = utf8_text(value); }
  // Fields that were added later.
  void later_flag(std::string_view name, bool value) { flag(name, value); }
  void later_number(std::string_view name, std::uint64_t value) { number(name, value); }
  /// "" is null.
  void text_or_null(std::string_view name, const std::string& value) {
    if (value.empty())
      object[name] = nullptr;
    else
      text(name, value);
  }
  template <class T, class Parse>
  void word(std::string_view name, T value, Parse) {
    object[name] = to_string(value);
  }
  template <class T>
  void nested(std::string_view name, const T& value) {
    ObjectWriter inner;
    describe(inner, value);
    object[name] = std::move(inner.object);
  }
  template <class T>
  void nested_or_null(std::string_view name, const std::optional<T>& value) {
    if (value)
      nested(name, *value);
    else
      object[name] = nullptr;
  }
};

/// The first problem sticks and later reads do nothing: a decoder reads everything and asks once.
class ObjectReader {
 public:
  explicit ObjectReader(const json::value* object)
      : object_(object ? object->if_object() : nullptr) {
    if (!object_) problem_ = Error{Errc::wrong_type, 0, "an object is expected"};
  }

  const std::optional<Error>& problem() const { return problem_; }
  /// Null, and a problem, if there is no such field.
  const json::value* find(std::string_view name);
  const json::array& list(std::string_view name);

  void flag(std::string_view name, bool& value);
  void number(std::string_view name, std::uint32_t& value);
  void number(std::string_view name, std::uint64_t& value);
  void number(std::string_view name, std::int64_t& value);
  void text(std::string_view name, std::string& value);
  void text_or_null(std::string_view name, std::string& value);
  // Fields that were added later: an older hastd does not send them.
  void later_flag(std::string_view name, bool& value) {
    if (has(name)) flag(name, value);
  }
  void later_number(std::string_view name, std::uint64_t& value) {
    if (has(name)) number(name, value);
  }

  template <class T, class Parse>
  void word(std::string_view name, T& value, Parse parse) {
    std::string word;
    text(name, word);
    if (problem_) return;
    if (const std::optional<T> known = parse(word))
      value = *known;
    else
      wrong(name);
  }
  template <class T>
  void nested(std::string_view name, T& value) {
    const json::value* field = find(name);
    if (!field) return;
    ObjectReader inner(field);
    describe(inner, value);
    if (inner.problem_) problem_ = inner.problem_;
  }
  template <class T>
  void nested_or_null(std::string_view name, std::optional<T>& value) {
    const json::value* field = find(name);
    if (field && !field->is_null()) nested(name, value.emplace());
  }

 private:
  void wrong(std::string_view name);
  bool has(std::string_view name) const { return object_ && object_->contains(name); }

  const json::object* object_;
  std::optional<Error> problem_;
};

}  // namespace hast::control
