#include "hast/core/barrier.hpp"

#include <utility>

#include "hast/base/assert.hpp"

namespace hast::core {

Barrier::Barrier(port::Disk& disk, Outbox& outbox, DirtyMap& map, const int& flush_lost)
    : disk_(disk), outbox_(outbox), map_(map), flush_lost_(flush_lost) {
  disk_op_.kind = IoKind::flush;
  remote_op_.kind = IoKind::flush;
  completes_with<&Barrier::local_done>(disk_op_, this);
  remote_op_.owner = this;
  remote_op_.completed = [](RemoteOp& op) { static_cast<Barrier*>(op.owner)->remote_done(op); };
  outbox_.enroll(remote_op_);
}

void Barrier::run(Done done) {
  HAST_ASSERT(idle());
  done_ = std::move(done);
  pending_ = 2;
  epoch_ = map_.begin_flush();
  disk_op_.error = 0;
  outbox_.send(remote_op_);
  disk_.submit(disk_op_);
}

void Barrier::local_done(port::DiskOp&) { one_done(); }
void Barrier::remote_done(RemoteOp&) { one_done(); }

void Barrier::one_done() {
  if (--pending_ > 0) return;
  const int error = port::flush_result(disk_op_.error);
  const int local_error = error != 0 ? error : flush_lost_;
  const int remote_error = port::flush_result(remote_op_.error);
  if (local_error == 0 && remote_error == 0) map_.flush_proven(epoch_);  // INV-2
  std::exchange(done_, nullptr)(local_error, remote_error);
}

}  // namespace hast::core
