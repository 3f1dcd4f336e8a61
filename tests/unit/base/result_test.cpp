#include "hast/base/result.hpp"

#include <memory>
#include <string>

#include "support/catch.hpp"

using hast::Errc;
using hast::Error;
using hast::Result;

namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error{Errc::usage, 0, "odd"};
  return number / 2;
}

Result<void> only_positive(int number) {
  if (number <= 0) return Errc::usage;
  return {};
}

}  // namespace

TEST_CASE("a result holds its value") {
  const Result<int> four = half(8);
  REQUIRE(four);
  CHECK(four.has_value());
  CHECK(*four == 4);
  CHECK(four.value() == 4);
}

TEST_CASE("a result holds its error with all it knows") {
  const Result<int> none = half(7);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Errc::usage);
  CHECK(none.error().detail == "odd");
}

TEST_CASE("a result without a value is either done or an error") {
  CHECK(only_positive(1));
  const Result<void> refused = only_positive(0);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::usage);
}

TEST_CASE("a result gives its value away only once it is asked by move") {
  Result<std::unique_ptr<std::string>> made = std::make_unique<std::string>("text");
  CHECK((*made)->size() == 4);
  const std::unique_ptr<std::string> taken = *std::move(made);
  CHECK(*taken == "text");
}

TEST_CASE("a result of a value that is itself convertible to an error code stays a value") {
  const Result<bool> no = false;
  REQUIRE(no.has_value());
  CHECK_FALSE(*no);
}
