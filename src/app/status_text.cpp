#include "hast/app/status_text.hpp"

namespace hast::app {

namespace {

control::Counters counters(const core::IoStatistics& io) {
  control::Counters counters;
  counters.reads = io.reads;
  counters.writes = io.writes;
  counters.deletes = io.deletes;
  counters.flushes = io.flushes;
  counters.activemap_updates = io.activemap_updates;
  counters.read_errors = io.read_errors;
  counters.write_errors = io.write_errors;
  counters.delete_errors = io.delete_errors;
  counters.flush_errors = io.flush_errors;
  counters.reads_repaired = io.reads_repaired;
  return counters;
}

}  // namespace

control::ResourceStatus control_status(const config::ResourceConfig& config,
                                       const engine::ResourceStatus& status, std::int64_t pid) {
  control::ResourceStatus out;
  out.name = config.name;
  out.role = status.role;
  out.provname = config.provider_name;
  out.localpath = config.local;
  out.remoteaddr = config::remote_text(config);
  out.sourceaddr = config.source ? config.source->text : "";
  out.replication = config.replication;
  out.checksum = config.checksum;
  out.compression = config.compression;
  out.frontend = status.frontend;
  out.split_brain = status.split_brain;
  out.inconsistent = status.inconsistent;
  out.outdated = status.outdated;
  if (status.role != Role::init && !status.connected) out.reason = status.trouble;
  if (status.io.frozen) out.reason += "; requests wait until it is certain that it serves nobody";
  if (!status.working) return out;  // as the original without a worker

  out.workerpid = pid;
  const bool both_copies = status.connected && !status.io.local_lost;
  out.status = both_copies ? control::Status::complete : control::Status::degraded;
  if (status.connected && status.io.local_lost)
    out.reason = "the local component failed and was given up; the peer serves everything";
  if (status.io.flush_lost) {
    out.status = control::Status::degraded;
    if (!out.reason.empty()) out.reason += "; ";
    out.reason +=
        "the local component failed a flush, so every flush fails until the peer has everything, "
        "or until the role is given up (init) and taken again (primary)";
  }
  out.datasize_bytes = status.datasize_bytes;
  out.extentsize_bytes = status.extentsize_bytes;
  out.keepdirty = status.keepdirty;
  out.dirty_bytes = status.io.dirty_bytes;
  out.detached = status.io.local_lost;
  out.counters = counters(status.io.io);
  out.queues.local = status.io.local_queue;
  out.queues.send = status.io.send_queue;
  out.queues.recv = status.io.receive_queue;
  out.queues.idle = status.io.slots_free;
  if (status.io.syncing) {
    control::Resync resync;
    resync.source = status.io.sync_source;
    resync.done_bytes = status.io.sync_copied_bytes;
    resync.left_bytes = status.io.sync_total_bytes - status.io.sync_copied_bytes;
    out.resync = resync;
  }
  return out;
}

}  // namespace hast::app
