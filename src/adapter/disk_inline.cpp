#include "hast/adapter/disk_inline.hpp"

#include <utility>

#include "hast/base/assert.hpp"
#include "memory_backed.hpp"
#include "perform.hpp"

namespace hast::adapter {

bool InlineDisk::suits(const Component& component) {
  return component.kind() == ComponentKind::file && is_memory_backed(component.fd());
}

InlineDisk::InlineDisk(std::unique_ptr<Component> component) : component_(std::move(component)) {}

InlineDisk::~InlineDisk() { HAST_ASSERT(in_flight_ == 0); }

void InlineDisk::submit(port::DiskOp& op) {
  HAST_ASSERT(op.completed != nullptr);
  ++in_flight_;
  submitted_.push_back(op);
}

void InlineDisk::kick() {
  // What completions submit waits for the next turn. The last one may destroy this object:
  // afterwards only the local list is touched.
  IntrusiveList<port::DiskOp, port::DiskOp> batch;
  batch.splice_back(submitted_);
  while (port::DiskOp* op = batch.pop_front()) {
    op->error = perform(*component_, *op);
    --in_flight_;
    op->completed(*op);
  }
}

}  // namespace hast::adapter
