#include "hast/engine/event_text.hpp"

#include <fmt/core.h>

#include "hast/base/units.hpp"

namespace hast::engine {

EventText describe(const core::Event& event) {
  using Kind = core::Event::Kind;
  const std::string bytes = humanize_bytes(event.bytes);
  const std::string io =
      event.io == IoKind::flush
          ? "a flush"
          : fmt::format("a {} at byte {}", to_string(event.io), event.offset_bytes);
  const std::string why = event.error != 0 ? errno_text(event.error) : "";
  switch (event.kind) {
    case Kind::sync_started:
      return {LogLevel::info,
              fmt::format("Synchronization started. {} to go, source {}.", bytes,
                          to_string(event.source)),
              "syncstart"};
    case Kind::sync_done:
      return {LogLevel::info,
              fmt::format("Synchronization complete. {} synchronized, source {}.", bytes,
                          to_string(event.source)),
              "syncdone"};
    case Kind::sync_interrupted:
      return {LogLevel::warning,
              fmt::format("Synchronization interrupted. {} synchronized so far; "
                          "the rest follows with the next connection.",
                          bytes),
              "syncintr"};
    case Kind::sync_incomplete:
      return {LogLevel::error,
              fmt::format("Synchronization incomplete: {} could not be copied and stay "
                          "marked. It is tried again every 30 seconds; look at the disks "
                          "of both nodes.",
                          bytes),
              "syncintr"};
    case Kind::in_sync:
      return {LogLevel::info, "Nodes are in sync.", ""};
    case Kind::local_io_failed:
      return {LogLevel::error,
              fmt::format("The local component failed {}: {}. The other "
                          "node stands in where it can; check the disk.",
                          io, why),
              ""};
    case Kind::local_lost:
      return {LogLevel::error,
              fmt::format("The local component is given up: {}. Everything is served by the peer "
                          "from now on. Repair or replace the disk (a new one: hastctl create), "
                          "then: hastctl attach.",
                          why),
              ""};
    case Kind::local_attached:
      return {LogLevel::info,
              fmt::format("The local component is in use again; {} of it are copied from the peer.",
                          bytes),
              ""};
    case Kind::read_repaired:
      return {LogLevel::warning,
              fmt::format("{} at byte {} could not be read here and were rewritten with the "
                          "peer's data. If this goes on, replace the disk.",
                          bytes, event.offset_bytes),
              ""};
    case Kind::map_failed:
      return {LogLevel::error,
              fmt::format("The activemap cannot be written: {}. Writes to extents that "
                          "are not marked yet fail until it can; check the disk.",
                          why),
              ""};
    case Kind::metadata_failed:
      return {LogLevel::error,
              fmt::format("The metadata cannot be written: {}. Changes that the peer "
                          "does not have are refused until it can; check the disk.",
                          why),
              ""};
    case Kind::peer_io_failed:
      return {LogLevel::error,
              fmt::format("The peer failed {}: {}. What it lacks stays "
                          "marked; check the disk of the peer.",
                          io, why),
              ""};
    case Kind::primary_left:
      return {LogLevel::info,
              "The primary left in an orderly way; this node has everything and may be promoted.",
              ""};
    case Kind::primary_left_ahead:
      return {
          LogLevel::warning,
          "The primary left in an orderly way, but this node lacks some of its changes: promote "
          "the other node, or let it come back and complete this one.",
          ""};
    case Kind::peer_restarted:
      return {
          LogLevel::error,
          "The peer alone had the newest data when its machine was started anew, or its disk "
          "failed a flush: what it had acknowledged and not flushed may be lost. The next flush "
          "fails so that clients learn of it; check the file system.",
          ""};
    case Kind::stale_discarded:
      return {LogLevel::error,
              fmt::format("The peer that held newer data was replaced by an empty one: "
                          "{} of this node are older than what was acknowledged.",
                          bytes),
              ""};
  }
  return {LogLevel::error, "unknown event", ""};
}

}  // namespace hast::engine
