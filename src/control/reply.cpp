#include "hast/control/reply.hpp"

#include <boost/json/serialize.hpp>

#include "describe.hpp"
#include "object.hpp"

namespace hast::control {
namespace {

int rpc_code(Errc errc) {
  switch (errc) {
    case Errc::malformed:
      return -32700;
    case Errc::too_large:
    case Errc::wrong_type:
      return -32600;
    case Errc::unsupported:
      return -32601;
    case Errc::usage:
      return -32602;
    default:
      return -32000;
  }
}

json::object envelope(const RequestId& id) { return {{"jsonrpc", "2.0"}, {"id", id_to_json(id)}}; }

std::string result_line(const RequestId& id, json::object result) {
  json::object message = envelope(id);
  message["result"] = std::move(result);
  return to_line(message);
}

/// What is known of one resource, or why nothing is.
template <class T>
json::object entry(const std::string& name, const Result<T>& known) {
  ObjectWriter fields;
  fields.text("name", name);
  if (known)
    describe(fields, *known);
  else
    fields.object["error"] = error_to_json(known.error(), resource_code(known.error().code));
  return std::move(fields.object);
}

template <class Entry, class T>
json::object resources_object(const std::vector<Entry>& entries, Result<T> Entry::*known) {
  json::array resources;
  for (const Entry& one : entries) resources.push_back(entry(one.name, one.*known));
  return {{"resources", std::move(resources)}};
}

json::object status_object(const StatusReply& reply) {
  return resources_object(reply.resources, &StatusEntry::status);
}

/// The `result` of a reply to `id`, or the error it carries instead.
Result<json::value> open_reply(std::string_view line, const RequestId& id) {
  Result<json::object> message = parse_object(line, kMaxReplyBytes);
  if (!message) return std::move(message).error();
  if (const json::value* error = message->if_contains("error")) return error_from_json(*error);
  const json::value* answered = message->if_contains("id");
  if (!answered || *answered != id_to_json(id))
    return Error{Errc::wrong_type, 0, "the reply answers another request"};
  json::value* result = message->if_contains("result");
  if (!result) return Error{Errc::missing_field, 0, "result"};
  return std::move(*result);
}

template <class T>
Result<T> read_entry(const json::value& item) {
  if (const json::object* object = item.if_object())
    if (const json::value* error = object->if_contains("error")) return error_from_json(*error);
  T value;
  ObjectReader fields(&item);
  describe(fields, value);
  if (fields.problem()) return *fields.problem();
  return value;
}

/// `Entry` is a name with a Result<T>. A resource's own error stays with it; an entry that breaks
/// the schema fails the whole reply.
template <class Entry, class T>
Result<std::vector<Entry>> read_entries(const json::value& result) {
  ObjectReader reply(&result);
  std::vector<Entry> entries;
  for (const json::value& item : reply.list("resources")) {
    ObjectReader fields(&item);
    std::string name;
    fields.text("name", name);
    if (fields.problem()) return *fields.problem();
    Result<T> value = read_entry<T>(item);
    if (!value && !item.get_object().contains("error")) return std::move(value).error();
    entries.push_back({std::move(name), std::move(value)});
  }
  if (reply.problem()) return *reply.problem();
  return entries;
}

template <class Reply, class Entry, class T>
Result<Reply> decode_entries(std::string_view line, const RequestId& id) {
  Result<json::value> result = open_reply(line, id);
  if (!result) return std::move(result).error();
  Result<std::vector<Entry>> entries = read_entries<Entry, T>(*result);
  if (!entries) return std::move(entries).error();
  return Reply{*std::move(entries)};
}

}  // namespace

std::optional<SyncSource> parse_sync_source(std::string_view word) {
  for (const SyncSource source : {SyncSource::primary, SyncSource::secondary})
    if (word == to_string(source)) return source;
  return std::nullopt;
}

int resource_code(Errc errc) {
  switch (errc) {
    case Errc::no_such_resource:
      return 1;
    case Errc::usage:
      return 2;
    case Errc::unsupported:
      return 4;
    default:
      return 5;
  }
}

std::string encode_result(const RequestId& id, const PingReply&) { return result_line(id, {}); }

std::string encode_result(const RequestId& id, const VersionReply& reply) {
  ObjectWriter fields;
  describe(fields, reply);
  return result_line(id, std::move(fields.object));
}

std::string encode_result(const RequestId& id, const RoleReply& reply) {
  return result_line(id, resources_object(reply.resources, &RoleEntry::change));
}

std::string encode_result(const RequestId& id, const AttachReply& reply) {
  return result_line(id, resources_object(reply.resources, &AttachEntry::attached));
}

std::string encode_result(const RequestId& id, const ResolveReply& reply) {
  return result_line(id, resources_object(reply.resources, &ResolveEntry::resolved));
}

std::string encode_result(const RequestId& id, const StatusReply& reply) {
  return result_line(id, status_object(reply));
}

std::string encode_error(const RequestId& id, const Error& error) {
  json::object message = envelope(id);
  message["error"] = error_to_json(error, rpc_code(error.code));
  return to_line(message);
}

Result<PingReply> decode_ping_reply(std::string_view line, const RequestId& id) {
  Result<json::value> result = open_reply(line, id);
  if (!result) return std::move(result).error();
  return PingReply{};
}

Result<VersionReply> decode_version_reply(std::string_view line, const RequestId& id) {
  Result<json::value> result = open_reply(line, id);
  if (!result) return std::move(result).error();
  return read_entry<VersionReply>(*result);
}

Result<RoleReply> decode_role_reply(std::string_view line, const RequestId& id) {
  return decode_entries<RoleReply, RoleEntry, RoleChange>(line, id);
}

Result<StatusReply> decode_status_reply(std::string_view line, const RequestId& id) {
  return decode_entries<StatusReply, StatusEntry, ResourceStatus>(line, id);
}

Result<AttachReply> decode_attach_reply(std::string_view line, const RequestId& id) {
  return decode_entries<AttachReply, AttachEntry, Attachment>(line, id);
}

Result<ResolveReply> decode_resolve_reply(std::string_view line, const RequestId& id) {
  return decode_entries<ResolveReply, ResolveEntry, Resolution>(line, id);
}

std::string to_json(const StatusReply& reply) { return json::serialize(status_object(reply)); }

}  // namespace hast::control
