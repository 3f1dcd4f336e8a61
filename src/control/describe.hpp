// The fields of the status, each named once for both directions (object.hpp).
#pragma once

#include <concepts>
#include <optional>
#include <type_traits>

#include "hast/control/reply.hpp"

namespace hast::control {

std::optional<SyncSource> parse_sync_source(std::string_view word);

/// A `T` to read into or a `const T` to write.
template <class Value, class T>
concept Describes = std::same_as<std::remove_const_t<Value>, T>;

template <class Fields, Describes<Counters> Value>
void describe(Fields& fields, Value& counters) {
  fields.number("reads", counters.reads);
  fields.number("writes", counters.writes);
  fields.number("deletes", counters.deletes);
  fields.number("flushes", counters.flushes);
  fields.number("activemap_updates", counters.activemap_updates);
  fields.number("read_errors", counters.read_errors);
  fields.number("write_errors", counters.write_errors);
  fields.number("delete_errors", counters.delete_errors);
  fields.number("flush_errors", counters.flush_errors);
  fields.later_number("reads_repaired", counters.reads_repaired);
}

template <class Fields, Describes<Queues> Value>
void describe(Fields& fields, Value& queues) {
  fields.number("local", queues.local);
  fields.number("send", queues.send);
  fields.number("recv", queues.recv);
  fields.number("done", queues.done);
  fields.number("idle", queues.idle);
}

template <class Fields, Describes<Resync> Value>
void describe(Fields& fields, Value& resync) {
  fields.word("source", resync.source, parse_sync_source);
  fields.number("done_bytes", resync.done_bytes);
  fields.number("left_bytes", resync.left_bytes);
}

template <class Fields, Describes<ResourceStatus> Value>
void describe(Fields& fields, Value& resource) {
  fields.text("name", resource.name);
  fields.word("role", resource.role, parse_role);
  fields.text("provname", resource.provname);
  fields.text("localpath", resource.localpath);
  fields.text("remoteaddr", resource.remoteaddr);
  fields.text_or_null("sourceaddr", resource.sourceaddr);
  fields.word("replication", resource.replication, parse_replication);
  fields.word("checksum", resource.checksum, parse_checksum);
  fields.word("compression", resource.compression, parse_compression);
  fields.number("workerpid", resource.workerpid);
  fields.word("status", resource.status, parse_status);
  fields.text_or_null("reason", resource.reason);
  fields.flag("split_brain", resource.split_brain);
  fields.later_flag("detached", resource.detached);
  fields.flag("inconsistent", resource.inconsistent);
  fields.later_flag("outdated", resource.outdated);
  fields.text_or_null("frontend", resource.frontend);
  fields.number("datasize_bytes", resource.datasize_bytes);
  fields.number("dirty_bytes", resource.dirty_bytes);
  fields.number("extentsize_bytes", resource.extentsize_bytes);
  fields.number("keepdirty", resource.keepdirty);
  fields.nested("statistics", resource.counters);
  fields.nested("queues", resource.queues);
  fields.nested_or_null("resync", resource.resync);
}

template <class Fields, Describes<VersionReply> Value>
void describe(Fields& fields, Value& reply) {
  fields.text("version", reply.version);
  fields.number("pid", reply.pid);
  fields.number("peer_protocol", reply.peer_protocol);
}

template <class Fields, Describes<RoleChange> Value>
void describe(Fields& fields, Value& change) {
  fields.word("previous_role", change.previous, parse_role);
  fields.word("role", change.in_force, parse_role);
}

template <class Fields, Describes<Attachment> Value>
void describe(Fields& fields, Value& attachment) {
  fields.flag("was_lost", attachment.was_lost);
  fields.number("to_copy_bytes", attachment.to_copy_bytes);
}

template <class Fields, Describes<Resolution> Value>
void describe(Fields& fields, Value& resolution) {
  fields.number("extents", resolution.extents);
  fields.number("bytes", resolution.bytes);
  fields.text_or_null("backup", resolution.backup);
  fields.flag("discarded", resolution.discarded);
}

}  // namespace hast::control
