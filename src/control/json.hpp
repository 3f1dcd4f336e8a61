// JSON for the codecs of this room: parse under bounds, write text that is always valid UTF-8, and
// errors as JSON. Boost.JSON is seen here and in the files beside it, nowhere else.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hast/base/result.hpp"
#include "hast/control/request.hpp"

namespace hast::control {

namespace json = boost::json;

/// Deeper than any message of the schema, shallow enough for every stack.
inline constexpr std::size_t kMaxJsonDepth = 12;

/// One object on one line. Errors: too_large, malformed (not JSON), wrong_type (JSON, no object).
Result<json::object> parse_object(std::string_view line, std::size_t most_bytes);

/// Bytes that are not UTF-8 become U+FFFD: names and reasons may quote a peer.
json::string utf8_text(std::string_view text);

json::value id_to_json(const RequestId& id);

/// One line, newline included.
std::string to_line(const json::object& message);

/// `error` as JSON and back: code, errno and detail survive; the sentence is for other clients.
json::object error_to_json(const Error& error, int code);
Error error_from_json(const json::value& error);

}  // namespace hast::control
