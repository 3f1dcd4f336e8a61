#include "hast/control/reply.hpp"

#include <fstream>
#include <limits>
#include <sstream>

#include "support/catch.hpp"

using namespace hast;
using namespace hast::control;

namespace {

const RequestId kId{std::int64_t{7}};

ResourceStatus primary() {
  ResourceStatus status;
  status.name = "shared";
  status.role = Role::primary;
  status.provname = "export";
  status.localpath = "/dev/ada0p4";
  status.remoteaddr = "tcp://10.0.0.233";
  status.sourceaddr = "tcp://10.0.0.231";
  status.replication = Replication::fullsync;
  status.checksum = Checksum::sha256;
  status.compression = Compression::lzf;
  status.workerpid = 1234;
  status.status = Status::degraded;
  status.reason = "the peer does not answer";
  status.split_brain = true;
  status.inconsistent = true;
  status.frontend = "unix:///var/run/hast/shared.sock";
  status.datasize_bytes = std::numeric_limits<std::uint64_t>::max();
  status.dirty_bytes = std::uint64_t{1} << 63;
  status.extentsize_bytes = 2097152;
  status.keepdirty = 64;
  status.counters = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  status.queues = {10, 11, 12, 13, 14};
  status.resync = Resync{SyncSource::secondary, 100, 200};
  return status;
}

}  // namespace

TEST_CASE("a status survives encoding and decoding, field by field") {
  ResourceStatus bare;
  bare.name = "tank";
  bare.remoteaddr = "none";
  StatusReply reply;
  reply.resources.push_back({"shared", primary()});
  reply.resources.push_back({"nosuch", Errc::no_such_resource});
  reply.resources.push_back({"tank", bare});

  const std::string line = encode_result(kId, reply);
  CHECK(line.find('\n') == line.size() - 1);
  const Result<StatusReply> decoded = decode_status_reply(line, kId);
  REQUIRE(decoded);
  REQUIRE(decoded->resources.size() == 3);
  REQUIRE(decoded->resources[0].status);
  CHECK(*decoded->resources[0].status == primary());
  CHECK(decoded->resources[1].name == "nosuch");
  REQUIRE_FALSE(decoded->resources[1].status);
  CHECK(decoded->resources[1].status.error().code == Errc::no_such_resource);
  REQUIRE(decoded->resources[2].status);
  CHECK(*decoded->resources[2].status == bare);
}

TEST_CASE("the JSON of a status is the documented one") {
  StatusReply reply;
  ResourceStatus status = primary();
  status.resync.reset();
  status.sourceaddr.clear();
  reply.resources.push_back({"shared", status});
  CHECK(
      to_json(reply) ==
      R"({"resources":[{"name":"shared","role":"primary","provname":"export",)"
      R"("localpath":"/dev/ada0p4","remoteaddr":"tcp://10.0.0.233","sourceaddr":null,)"
      R"("replication":"fullsync","checksum":"sha256","compression":"lzf","workerpid":1234,)"
      R"("status":"degraded","reason":"the peer does not answer","split_brain":true,)"
      R"("detached":false,"inconsistent":true,"outdated":false,"frontend":"unix:///var/run/hast/shared.sock",)"
      R"("datasize_bytes":18446744073709551615,"dirty_bytes":9223372036854775808,)"
      R"("extentsize_bytes":2097152,"keepdirty":64,"statistics":{"reads":1,"writes":2,)"
      R"("deletes":3,"flushes":4,"activemap_updates":5,"read_errors":6,"write_errors":7,)"
      R"("delete_errors":8,"flush_errors":9,"reads_repaired":0},)"
      R"("queues":{"local":10,"send":11,"recv":12,)"
      R"("done":13,"idle":14},"resync":null}]})");
}

TEST_CASE("a role reply says what was and what is, or why not") {
  RoleReply reply;
  reply.resources.push_back({"a", RoleChange{Role::init, Role::primary}});
  reply.resources.push_back({"b", Error{Errc::component_busy, 16, "/dev/b"}});
  const std::string line = encode_result(kId, reply);
  CHECK(line.starts_with(R"({"jsonrpc":"2.0","id":7,"result":{"resources":[)"
                         R"({"name":"a","previous_role":"init","role":"primary"},)"
                         R"({"name":"b","error":{"code":5,"message":")"));
  const Result<RoleReply> decoded = decode_role_reply(line, kId);
  REQUIRE(decoded);
  CHECK(*decoded->resources[0].change == RoleChange{Role::init, Role::primary});
  // The client prints the very sentence the daemon would.
  const Error& error = decoded->resources[1].change.error();
  CHECK(error.message() == Error{Errc::component_busy, 16, "/dev/b"}.message());
  CHECK(error.os_error == 16);
}

TEST_CASE("attach and resolve replies survive the way") {
  AttachReply attach;
  attach.resources.push_back({"a", Attachment{true, 7}});
  attach.resources.push_back({"b", Error{Errc::wrong_role, 0, "b is secondary here"}});
  const Result<AttachReply> attached = decode_attach_reply(encode_result(kId, attach), kId);
  REQUIRE(attached);
  CHECK(*attached->resources[0].attached == Attachment{true, 7});
  CHECK(attached->resources[1].attached.error().code == Errc::wrong_role);
  ResolveReply resolve;
  resolve.resources.push_back({"a", Resolution{3, 6, "/backup", true}});
  const Result<ResolveReply> resolved = decode_resolve_reply(encode_result(kId, resolve), kId);
  REQUIRE(resolved);
  CHECK(*resolved->resources[0].resolved == Resolution{3, 6, "/backup", true});
  // INV-9
  CHECK_FALSE(decode_resolve_reply(encode_result(kId, attach), kId));
}

TEST_CASE("version and ping replies survive the way") {
  const Result<VersionReply> version =
      decode_version_reply(encode_result(kId, VersionReply{"0.1.0", 99, 2}), kId);
  REQUIRE(version);
  CHECK(*version == VersionReply{"0.1.0", 99, 2});
  CHECK(encode_result(kId, PingReply{}) == "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n");
  CHECK(decode_ping_reply(encode_result(kId, PingReply{}), kId));
}

TEST_CASE("an error keeps its code, errno and detail across the socket") {
  for (const ErrcText& row : all_errors()) {
    const Error sent{row.code, 5, "the detail"};
    const Result<StatusReply> got = decode_status_reply(encode_error(RequestId{}, sent), kId);
    REQUIRE_FALSE(got);
    CHECK(got.error().code == sent.code);
    CHECK(got.error().os_error == sent.os_error);
    CHECK(got.error().detail == sent.detail);
  }
}

TEST_CASE("errors have the codes of JSON-RPC") {
  const auto code_of = [](Errc errc) {
    const std::string line = encode_error(RequestId{}, Error{errc});
    const std::size_t at = line.find("\"code\":") + 7;
    return std::stoi(line.substr(at));
  };
  CHECK(code_of(Errc::malformed) == -32700);
  CHECK(code_of(Errc::too_large) == -32600);
  CHECK(code_of(Errc::wrong_type) == -32600);
  CHECK(code_of(Errc::unsupported) == -32601);
  CHECK(code_of(Errc::usage) == -32602);
  CHECK(code_of(Errc::limit_reached) == -32000);
}

TEST_CASE("codes of a resource are the original's where it has one") {
  CHECK(resource_code(Errc::no_such_resource) == 1);
  CHECK(resource_code(Errc::usage) == 2);
  CHECK(resource_code(Errc::unsupported) == 4);
  CHECK(resource_code(Errc::component_busy) == 5);
}

TEST_CASE("an error of a newer daemon keeps at least its sentence") {
  const Result<PingReply> got = decode_ping_reply(
      R"({"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"Too hot.","data":)"
      R"({"errc":"overheated","errno":0,"detail":"","action":"Cool it."}}})",
      kId);
  REQUIRE_FALSE(got);
  CHECK(got.error().code == Errc::internal);
  CHECK(got.error().detail == "Too hot.");
}

TEST_CASE("text that is not UTF-8 is replaced, so that the reply stays JSON") {
  StatusReply reply;
  ResourceStatus status = primary();
  status.reason = "peer said \xff\xc3";
  reply.resources.push_back({"shared", status});
  const Result<StatusReply> decoded = decode_status_reply(encode_result(kId, reply), kId);
  REQUIRE(decoded);
  CHECK(decoded->resources[0].status->reason == "peer said \xef\xbf\xbd\xef\xbf\xbd");
}

TEST_CASE("an older daemon, which does not know the newest fields, is understood") {
  StatusReply reply;
  reply.resources.push_back({"shared", primary()});
  std::string line = encode_result(kId, reply);
  for (const std::string field :
       {R"("detached":false,)", R"("outdated":false,)", R"(,"reads_repaired":0)"}) {
    const std::size_t at = line.find(field);
    REQUIRE(at != std::string::npos);
    line.erase(at, field.size());
  }
  const Result<StatusReply> decoded = decode_status_reply(line, kId);
  REQUIRE(decoded);
  CHECK(*decoded->resources[0].status == primary());
}

TEST_CASE("lines that are no such reply are errors") {  // INV-9
  struct Row {
    std::string line;
    Errc code;
  };
  const std::string good = [] {
    StatusReply reply;
    reply.resources.push_back({"shared", primary()});
    return encode_result(kId, reply);
  }();
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string line = good;
    const std::size_t at = line.find(from);
    REQUIRE(at != std::string::npos);
    return line.replace(at, from.size(), to);
  };
  const Row rows[] = {
      {"", Errc::malformed},
      {"{", Errc::malformed},
      {"[]", Errc::wrong_type},
      {"{}", Errc::wrong_type},
      {R"({"jsonrpc":"2.0","id":7})", Errc::missing_field},
      {R"({"jsonrpc":"2.0","id":7,"result":[]})", Errc::wrong_type},
      {R"({"jsonrpc":"2.0","id":7,"result":{}})", Errc::missing_field},
      {R"({"jsonrpc":"2.0","id":7,"result":{"resources":{}}})", Errc::wrong_type},
      {R"({"jsonrpc":"2.0","id":7,"result":{"resources":[1]}})", Errc::wrong_type},
      {R"({"jsonrpc":"2.0","id":7,"result":{"resources":[{"name":"x"}]}})", Errc::missing_field},
      {with("\"id\":7", "\"id\":8"), Errc::wrong_type},
      {with("\"role\":\"primary\"", "\"role\":\"boss\""), Errc::wrong_type},
      {with("\"keepdirty\":64", "\"keepdirty\":4294967296"), Errc::wrong_type},
      {with("\"keepdirty\":64", "\"keepdirty\":-1"), Errc::wrong_type},
      {with("\"workerpid\":1234", "\"workerpid\":\"1234\""), Errc::wrong_type},
      {with("\"split_brain\":true", "\"split_brain\":1"), Errc::wrong_type},
      {with("\"reads\":1", "\"reads\":1.5"), Errc::wrong_type},
      {with("\"reads\":1,", ""), Errc::missing_field},
      {with("\"resync\":{", "\"resync\":{\"x\":[[[[[[[[[[[[]]]]]]]]]]]],"), Errc::malformed},
  };
  for (const Row& row : rows) {
    INFO(row.line);
    const Result<StatusReply> got = decode_status_reply(row.line, kId);
    REQUIRE_FALSE(got);
    CHECK(got.error().code == row.code);
  }
  CHECK(decode_status_reply(std::string(kMaxReplyBytes + 1, ' '), kId).error().code ==
        Errc::too_large);
}

TEST_CASE("the manual of the control socket names every field") {
  std::ifstream file(std::string(HAST_SOURCE_DIR) + "/docs/control-api.md");
  std::stringstream page;
  page << file.rdbuf();
  StatusReply reply;
  reply.resources.push_back({"shared", primary()});
  const std::string line = to_json(reply);
  std::size_t fields = 0;
  for (std::size_t at = line.find("\":"); at != std::string::npos; at = line.find("\":", at + 1)) {
    const std::size_t start = line.rfind('"', at - 1) + 1;
    const std::string field = line.substr(start, at - start);
    INFO(field);
    CHECK(page.str().find("`" + field + "`") != std::string::npos);
    ++fields;
  }
  CHECK(fields > 35);
}
