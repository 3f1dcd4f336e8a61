// Result<T>: a value or an Error, shaped like std::expected (which arrives with C++23).
#pragma once

#include <optional>
#include <utility>
#include <variant>

#include "hast/base/assert.hpp"
#include "hast/base/error.hpp"

namespace hast {

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  Result(Errc code) : Result(Error{code}) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & {
    HAST_ASSERT(has_value());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    HAST_ASSERT(has_value());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    HAST_ASSERT(has_value());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  T value_or(T otherwise) const { return has_value() ? value() : std::move(otherwise); }

  const Error& error() const& {
    HAST_ASSERT(!has_value());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    HAST_ASSERT(!has_value());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  Result(Errc code) : Result(Error{code}) {}

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  const Error& error() const& {
    HAST_ASSERT(error_.has_value());
    return *error_;
  }
  Error&& error() && {
    HAST_ASSERT(error_.has_value());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace hast
