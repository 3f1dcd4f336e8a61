#include "hast/control/request.hpp"

#include "json.hpp"

namespace hast::control {
namespace {

constexpr std::size_t kMaxIdBytes = 128;
constexpr std::size_t kMaxNameBytes = 254;
constexpr std::size_t kMaxNames = 1024;
constexpr std::size_t kMaxPathBytes = 4095;

Error bad_params(std::string what) { return {Errc::usage, 0, std::move(what)}; }

Result<void> check_id(const json::value* id) {
  if (!id) return Error{Errc::wrong_type, 0, "no \"id\": notifications are not served"};
  const json::string* text = id->if_string();
  if (id->is_null() || id->is_int64() || (text && text->size() <= kMaxIdBytes)) return {};
  return Error{Errc::wrong_type, 0, "\"id\" is neither a whole number, a short string nor null"};
}

RequestId id_from_json(const json::value& id) {
  if (const std::int64_t* number = id.if_int64()) return *number;
  if (const json::string* text = id.if_string()) return std::string(text->data(), text->size());
  return {};
}

Result<Selection> decode_names(const json::array& items) {
  Selection selection;
  if (items.empty() || items.size() > kMaxNames)
    return bad_params("\"resources\" names 1 to " + std::to_string(kMaxNames) + " resources");
  for (const json::value& item : items) {
    const json::string* name = item.if_string();
    if (!name || name->empty() || name->size() > kMaxNameBytes)
      return bad_params("a resource name is a string of 1 to 254 bytes");
    selection.names.emplace_back(name->data(), name->size());
  }
  return selection;
}

Result<Selection> decode_selection(const json::object& params) {
  const json::value* resources = params.if_contains("resources");
  if (!resources) return bad_params("\"resources\" is missing");
  if (const json::string* word = resources->if_string(); word && *word == "all")
    return Selection{true, {}};
  if (const json::array* items = resources->if_array()) return decode_names(*items);
  return bad_params("\"resources\" is \"all\" or a list of names");
}

Result<void> decode_flag(const json::object& params, std::string_view name, bool& flag) {
  const json::value* value = params.if_contains(name);
  if (value && !value->is_bool())
    return bad_params('"' + std::string(name) + "\" is true or false");
  if (value) flag = value->get_bool();
  return {};
}

/// What is not understood is refused: ignored, it would be a command without effect.
Result<void> only(const json::object& params, std::initializer_list<std::string_view> known) {
  for (const auto& member : params) {
    bool found = false;
    for (const std::string_view name : known) found = found || member.key() == name;
    if (!found) return bad_params("unknown parameter \"" + std::string(member.key()) + '"');
  }
  return {};
}

Result<Command> decode_role(const json::object& params) {
  if (Result<void> ok = only(params, {"role", "resources", "force"}); !ok)
    return std::move(ok).error();
  const json::value* word = params.if_contains("role");
  const json::string* text = word ? word->if_string() : nullptr;
  const std::optional<Role> role = text ? parse_role({text->data(), text->size()}) : std::nullopt;
  if (!role) return bad_params("\"role\" is \"init\", \"primary\" or \"secondary\"");
  Result<Selection> selection = decode_selection(params);
  if (!selection) return std::move(selection).error();
  RoleRequest request{*role, *std::move(selection)};
  if (Result<void> ok = decode_flag(params, "force", request.force); !ok)
    return std::move(ok).error();
  if (request.force && *role != Role::primary)
    return bad_params("only the role primary can be forced");
  return Command{std::move(request)};
}

/// A request that says only which resources.
template <class T>
Result<Command> decode_selected(const json::object& params) {
  if (Result<void> ok = only(params, {"resources"}); !ok) return std::move(ok).error();
  Result<Selection> selection = decode_selection(params);
  if (!selection) return std::move(selection).error();
  return Command{T{*std::move(selection)}};
}

/// `backup` is false, or the path of a file; absent: hastd chooses one.
Result<void> decode_backup(const json::value* backup, ResolveRequest& request) {
  if (!backup || (backup->is_bool() && backup->get_bool())) return {};
  if (backup->is_bool()) {
    request.save = false;
    return {};
  }
  const json::string* path = backup->if_string();
  if (!path || path->size() > kMaxPathBytes || !path->starts_with('/'))
    return bad_params("\"backup\" is true, false or an absolute path");
  request.backup.assign(path->data(), path->size());
  return {};
}

Result<Command> decode_resolve(const json::object& params) {
  if (Result<void> ok = only(params, {"resource", "discard", "dry_run", "backup"}); !ok)
    return std::move(ok).error();
  ResolveRequest request;
  const json::value* name = params.if_contains("resource");
  const json::string* text = name ? name->if_string() : nullptr;
  if (!text || text->empty() || text->size() > kMaxNameBytes)
    return bad_params("\"resource\" is a name of 1 to 254 bytes");
  request.resource.assign(text->data(), text->size());
  const json::value* discard = params.if_contains("discard");
  if (!discard || *discard != "local")
    return bad_params(
        "\"discard\" is \"local\": the changes of this node are what can be given up");
  Result<void> ok = decode_flag(params, "dry_run", request.dry_run);
  if (ok) ok = decode_backup(params.if_contains("backup"), request);
  if (!ok) return std::move(ok).error();
  return Command{std::move(request)};
}

Result<Command> decode_command(const json::object& object) {
  const json::value* version = object.if_contains("jsonrpc");
  if (!version || *version != "2.0")
    return Error{Errc::wrong_type, 0, "\"jsonrpc\" is not \"2.0\""};
  const json::value* method = object.if_contains("method");
  if (!method || !method->is_string())
    return Error{Errc::wrong_type, 0, "\"method\" is not a string"};
  static const json::object kNone;
  const json::value* given = object.if_contains("params");
  if (given && !given->is_object()) return bad_params("\"params\" is not an object");
  const json::object& params = given ? given->get_object() : kNone;

  if (*method == "role") return decode_role(params);
  if (*method == "status" && params.empty()) return Command{StatusRequest{{true, {}}}};
  if (*method == "status") return decode_selected<StatusRequest>(params);
  if (*method == "attach") return decode_selected<AttachRequest>(params);
  if (*method == "resolve") return decode_resolve(params);
  const bool ping = *method == "ping";
  if (!ping && *method != "version")
    return Error{Errc::unsupported, 0,
                 "unknown method; role, status, attach, resolve, ping and version are known"};
  if (Result<void> ok = only(params, {}); !ok) return std::move(ok).error();
  if (ping) return Command{PingRequest{}};
  return Command{VersionRequest{}};
}

json::value encode_selection(const Selection& selection) {
  if (selection.all) return "all";
  json::array names;
  for (const std::string& name : selection.names) names.push_back(utf8_text(name));
  return names;
}

struct MethodAndParams {
  json::object operator()(const PingRequest&) const { return {{"method", "ping"}}; }
  json::object operator()(const VersionRequest&) const { return {{"method", "version"}}; }
  json::object operator()(const RoleRequest& request) const {
    json::object params{{"role", to_string(request.role)},
                        {"resources", encode_selection(request.resources)}};
    if (request.force) params["force"] = true;
    return {{"method", "role"}, {"params", std::move(params)}};
  }
  json::object operator()(const AttachRequest& request) const {
    return {{"method", "attach"}, {"params", {{"resources", encode_selection(request.resources)}}}};
  }
  json::object operator()(const ResolveRequest& request) const {
    json::object params{{"resource", utf8_text(request.resource)}, {"discard", "local"}};
    if (request.dry_run) params["dry_run"] = true;
    if (!request.save) params["backup"] = false;
    if (!request.backup.empty()) params["backup"] = utf8_text(request.backup);
    return {{"method", "resolve"}, {"params", std::move(params)}};
  }
  json::object operator()(const StatusRequest& request) const {
    return {{"method", "status"}, {"params", {{"resources", encode_selection(request.resources)}}}};
  }
};

}  // namespace

Request decode_request(std::string_view line) {
  Result<json::object> object = parse_object(line, kMaxRequestBytes);
  if (!object) return {RequestId{}, std::move(object).error()};
  const json::value* id = object->if_contains("id");
  if (Result<void> ok = check_id(id); !ok) return {RequestId{}, std::move(ok).error()};
  return {id_from_json(*id), decode_command(*object)};
}

std::string encode_request(const RequestId& id, const Command& command) {
  json::object message = std::visit(MethodAndParams{}, command);
  message["jsonrpc"] = "2.0";
  message["id"] = id_to_json(id);
  return to_line(message);
}

}  // namespace hast::control
