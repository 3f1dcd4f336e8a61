#include "hast/control/request.hpp"

#include "support/catch.hpp"

using namespace hast;
using namespace hast::control;

namespace {

template <class T>
T accepted(std::string_view line) {
  const Request request = decode_request(line);
  INFO((request.command ? "" : request.command.error().detail));
  REQUIRE(request.command);
  REQUIRE(std::holds_alternative<T>(*request.command));
  return std::get<T>(*request.command);
}

Error refused(std::string_view line) {
  const Request request = decode_request(line);
  REQUIRE_FALSE(request.command);
  return request.command.error();
}

std::string call(std::string_view rest) {
  return R"({"jsonrpc":"2.0","id":7,)" + std::string(rest) + "}";
}

}  // namespace

TEST_CASE("every request survives encoding and decoding") {
  const Command commands[] = {
      PingRequest{},
      VersionRequest{},
      RoleRequest{Role::primary, {false, {"shared", "tank"}}},
      RoleRequest{Role::init, {true, {}}},
      StatusRequest{{true, {}}},
      StatusRequest{{false, {"caf\xc3\xa9 \"quoted\""}}},
      AttachRequest{{false, {"shared"}}},
      AttachRequest{{true, {}}},
      ResolveRequest{"shared", true, true, ""},
      ResolveRequest{"shared", false, false, ""},
      ResolveRequest{"shared", false, true, "/root/shared.img"},
  };
  const RequestId ids[] = {std::monostate{}, std::int64_t{-1}, std::string("x")};
  for (const RequestId& id : ids) {
    for (const Command& command : commands) {
      const std::string line = encode_request(id, command);
      CHECK(line.find('\n') == line.size() - 1);
      const Request decoded = decode_request(line);
      REQUIRE(decoded.command);
      CHECK(decoded.id == id);
      CHECK(*decoded.command == command);
    }
  }
}

TEST_CASE("requests written by hand mean what the manual says") {
  CHECK(accepted<RoleRequest>(
            call(R"("method":"role","params":{"role":"secondary","resources":["a","b"]})")) ==
        RoleRequest{Role::secondary, {false, {"a", "b"}}});
  CHECK(accepted<StatusRequest>(call(R"("method":"status")")) == StatusRequest{{true, {}}});
  CHECK(accepted<StatusRequest>(call(R"("method":"status","params":{})")) ==
        StatusRequest{{true, {}}});
  CHECK(accepted<StatusRequest>(call(R"("method":"status","params":{"resources":"all"})")) ==
        StatusRequest{{true, {}}});
  CHECK(accepted<ResolveRequest>(call(
            R"("method":"resolve","params":{"resource":"a","discard":"local","backup":true})")) ==
        ResolveRequest{"a", false, true, ""});
  accepted<PingRequest>(call(R"("method":"ping")"));
  accepted<VersionRequest>("  " + call(R"("method":"version","params":{})") + "\r\n");
}

TEST_CASE("a line that is not JSON is malformed and has no id") {
  for (const char* line : {"", "{", "hello", "{\"a\":}", "{}{}", "{\"id\":1,}", "\xff"}) {
    CHECK(refused(line).code == Errc::malformed);
    CHECK(decode_request(line).id == RequestId{});
  }
}

TEST_CASE("JSON that is no request is refused as such") {
  for (const char* line :
       {"[]", "1", "null", "{}", R"([{"jsonrpc":"2.0","id":1,"method":"ping"}])",
        R"({"jsonrpc":"2.0","method":"ping"})", R"({"jsonrpc":"2.0","id":1.5,"method":"ping"})",
        R"({"jsonrpc":"2.0","id":[],"method":"ping"})",
        R"({"jsonrpc":"2.0","id":18446744073709551615,"method":"ping"})",
        R"({"id":1,"method":"ping"})", R"({"jsonrpc":"1.0","id":1,"method":"ping"})",
        R"({"jsonrpc":"2.0","id":1})", R"({"jsonrpc":"2.0","id":1,"method":2})"})
    CHECK(refused(line).code == Errc::wrong_type);
}

TEST_CASE("the id comes back even when the request is refused") {
  const Request request = decode_request(R"({"jsonrpc":"2.0","id":"abc","method":"fly"})");
  REQUIRE_FALSE(request.command);
  CHECK(request.command.error().code == Errc::unsupported);
  CHECK(request.id == RequestId{std::string("abc")});
}

TEST_CASE("wrong parameters are refused in words") {
  const char* const rows[] = {
      R"("method":"role")",
      R"("method":"role","params":[])",
      R"("method":"role","params":null)",
      R"("method":"role","params":{"role":"master","resources":"all"})",
      R"("method":"role","params":{"role":1,"resources":"all"})",
      R"("method":"role","params":{"role":"init"})",
      R"("method":"role","params":{"role":"init","resources":"some"})",
      R"("method":"role","params":{"role":"init","resources":[]})",
      R"("method":"role","params":{"role":"init","resources":[1]})",
      R"("method":"role","params":{"role":"init","resources":[""]})",
      R"("method":"role","params":{"role":"init","resources":{}})",
      R"("method":"role","params":{"role":"init","resources":"all","force":true})",
      R"("method":"status","params":{"resource":"all"})",
      R"("method":"attach")",
      R"("method":"attach","params":{"resources":"some"})",
      R"("method":"attach","params":{"resources":"all","force":true})",
      R"("method":"resolve","params":{"discard":"local"})",
      R"("method":"resolve","params":{"resource":"","discard":"local"})",
      R"("method":"resolve","params":{"resource":"a"})",
      R"("method":"resolve","params":{"resource":"a","discard":"remote"})",
      R"("method":"resolve","params":{"resource":"a","discard":"local","dry_run":1})",
      R"("method":"resolve","params":{"resource":"a","discard":"local","backup":1})",
      R"("method":"resolve","params":{"resource":"a","discard":"local","backup":"relative"})",
      R"("method":"ping","params":{"a":1})",
  };
  for (const char* row : rows) {
    INFO(row);
    const Error error = refused(call(row));
    CHECK(error.code == Errc::usage);
    CHECK_FALSE(error.detail.empty());
  }
}

TEST_CASE("requests are bounded") {  // INV-9
  const auto names = [](std::size_t count, std::size_t bytes) {
    std::string list;
    for (std::size_t i = 0; i < count; ++i)
      list += (i ? ",\"" : "\"") + std::string(bytes, 'n') + '"';
    return call(R"("method":"status","params":{"resources":[)" + list + "]}");
  };
  CHECK(accepted<StatusRequest>(names(1, 254)).resources.names[0].size() == 254);
  CHECK(refused(names(1, 255)).code == Errc::usage);
  CHECK(accepted<StatusRequest>(names(1024, 1)).resources.names.size() == 1024);
  CHECK(refused(names(1025, 1)).code == Errc::usage);
  CHECK(refused(std::string(kMaxRequestBytes + 1, ' ')).code == Errc::too_large);
  CHECK(refused(std::string(kMaxRequestBytes, '[')).code == Errc::malformed);
  CHECK(refused(R"({"a":)" + std::string(20, '[') + std::string(20, ']') + "}").code ==
        Errc::malformed);
  CHECK(refused(R"({"jsonrpc":"2.0","id":")" + std::string(129, 'i') + R"(","method":"ping"})")
            .code == Errc::wrong_type);
}
