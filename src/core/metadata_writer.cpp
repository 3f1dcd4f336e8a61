#include "hast/core/metadata_writer.hpp"

#include <algorithm>

#include "hast/base/assert.hpp"

namespace hast::core {

MetadataWriter::MetadataWriter(const Component& component, Observer& observer)
    : disk_(*component.disk),
      second_copy_(component.layout.second_copy),
      metadata_(component.metadata),
      observer_(observer),
      block_(ondisk::kMetadataBytes),
      reversed_(second_copy_ && component.second_copy_stale),
      durable_sequence_(component.metadata.sequence) {
  completes_with<&MetadataWriter::step_done>(op_, this);
}

void MetadataWriter::continue_on(const Component& component) {
  HAST_ASSERT(idle() && component.layout.second_copy == second_copy_);
  reversed_ = second_copy_ && component.second_copy_stale;
  metadata_.sequence = std::max(metadata_.sequence, component.metadata.sequence);
}

Ticket MetadataWriter::commit() {
  if (running_) {
    again_ = true;
    return ticket_ + 1;
  }
  begin();
  return ticket_;
}

void MetadataWriter::begin() {
  running_ = true;
  again_ = false;
  ++ticket_;
  written_sequence_ = ++metadata_.sequence;
  // Our fields also in a component that an original made: it ignores them, and the checksum guards.
  const Result<void> encoded = ondisk::encode(metadata_, ondisk::Format::extended, block_.span());
  HAST_ASSERT(encoded.has_value());  // the fields were read from such a block or planned for one
  submit(Step::write_first);
}

void MetadataWriter::submit(Step step) {
  step_ = step;
  const bool writes = step == Step::write_first || step == Step::write_second;
  op_.kind = writes ? IoKind::write : IoKind::flush;
  const bool second = (step == Step::write_second) != reversed_;
  op_.offset_bytes = writes && second ? *second_copy_ : 0;
  op_.length_bytes = writes ? ondisk::kMetadataBytes : 0;
  op_.data = writes ? block_.data() : nullptr;
  op_.error = 0;
  disk_.submit(op_);
}

void MetadataWriter::step_done(port::DiskOp& op) {
  if (op.kind == IoKind::flush) op.error = port::flush_result(op.error);
  if (op.error != 0) return finish(op.error);
  switch (step_) {
    case Step::write_first:
      return submit(Step::flush_first);
    case Step::flush_first:
      return second_copy_ ? submit(Step::write_second) : finish(0);
    case Step::write_second:
      return submit(Step::flush_second);
    case Step::flush_second:
      return finish(0);
  }
}

void MetadataWriter::finish(int error) {
  running_ = false;
  if (error == 0) {
    reversed_ = false;
    durable_sequence_ = written_sequence_;
  } else if (step_ == Step::write_second || step_ == Step::flush_second) {
    // INV-10: only the other copy is good. It must not be touched before this one is.
    reversed_ = !reversed_;
  }
  const Ticket done = ticket_;
  if (again_) begin();  // first, so that the observer sees a consistent writer
  observer_.metadata_committed(done, error);
}

}  // namespace hast::core
