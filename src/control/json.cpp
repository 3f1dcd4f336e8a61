#include "json.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <exception>
#include <limits>

#include "hast/base/utf8.hpp"
#include "object.hpp"

namespace hast::control {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

std::optional<Errc> parse_errc(std::string_view name) {
  for (const ErrcText& row : all_errors())
    if (row.name == name) return row.code;
  return std::nullopt;
}

}  // namespace

Result<json::object> parse_object(std::string_view line, std::size_t most_bytes) {
  if (line.size() > most_bytes)
    return Error{Errc::too_large, 0,
                 "a line of more than " + std::to_string(most_bytes) + " bytes"};
  try {
    json::parse_options options;
    options.max_depth = kMaxJsonDepth;
    json::error_code failed;
    json::value value = json::parse(line, failed, {}, options);
    if (failed) return Error{Errc::malformed, 0, "not JSON: " + failed.message()};
    if (!value.is_object()) return Error{Errc::wrong_type, 0, "the line is no JSON object"};
    return std::move(value.get_object());
  } catch (const std::exception& thrown) {
    return Error{Errc::malformed, 0, std::string("not JSON: ") + thrown.what()};
  }
}

json::string utf8_text(std::string_view text) {
  json::string clean;
  while (!text.empty()) {
    const std::size_t bytes = utf8_sequence_bytes(text);
    clean.append(bytes != 0 ? text.substr(0, bytes) : kReplacement);
    text.remove_prefix(bytes != 0 ? bytes : 1);
  }
  return clean;
}

json::value id_to_json(const RequestId& id) {
  if (const std::int64_t* number = std::get_if<std::int64_t>(&id)) return *number;
  if (const std::string* text = std::get_if<std::string>(&id)) return utf8_text(*text);
  return nullptr;
}

std::string to_line(const json::object& message) { return json::serialize(message) + '\n'; }

json::object error_to_json(const Error& error, int code) {
  const ErrcText& text = text_of(error.code);
  return {{"code", code},
          {"message", utf8_text(error.message())},
          {"data",
           {{"errc", text.name},
            {"errno", error.os_error},
            {"detail", utf8_text(error.detail)},
            {"action", text.action}}}};
}

Error error_from_json(const json::value& error) {
  ObjectReader fields(&error);
  std::string message;
  fields.text("message", message);
  ObjectReader data(fields.find("data"));
  std::string name, detail;
  std::int64_t os_error = 0;
  data.text("errc", name);
  data.number("errno", os_error);
  data.text("detail", detail);
  const std::optional<Errc> code = parse_errc(name);
  const bool bounded = os_error >= 0 && os_error <= std::numeric_limits<int>::max();
  // A daemon of another version may know errors this one does not: its sentence still helps.
  if (fields.problem() || data.problem() || !code || !bounded) return {Errc::internal, 0, message};
  return {*code, static_cast<int>(os_error), std::move(detail)};
}

}  // namespace hast::control
