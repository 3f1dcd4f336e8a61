// Private to the disks: one operation as a blocking call.
#pragma once

#include <cerrno>
#include <cstddef>

#include "hast/adapter/component.hpp"
#include "hast/port/disk.hpp"

namespace hast::adapter {

/// errno of this host, 0 for success.
inline int perform(Component& component, const port::DiskOp& op) {
  const std::size_t length = static_cast<std::size_t>(op.length_bytes);
  switch (op.kind) {
    case IoKind::read:
      return component.read(op.offset_bytes, ByteSpan(op.data, length));
    case IoKind::write:
      return op.durable ? component.write_durably(op.offset_bytes, ConstByteSpan(op.data, length))
                        : component.write(op.offset_bytes, ConstByteSpan(op.data, length));
    case IoKind::discard:
      return component.discard(op.offset_bytes, op.length_bytes);
    case IoKind::write_zeroes:
      return component.write_zeroes(op.offset_bytes, op.length_bytes);
    case IoKind::flush:
      return component.flush();
  }
  return EINVAL;
}

}  // namespace hast::adapter
