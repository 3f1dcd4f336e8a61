#include "hast/core/buffer.hpp"

#include <sys/mman.h>

#include "hast/base/assert.hpp"
#include "hast/base/units.hpp"
#include "hast/port/disk.hpp"

namespace hast::core {

AlignedBuffer::AlignedBuffer(std::size_t size_bytes) : size_(size_bytes) {
  if (size_bytes == 0) return;
  const std::size_t mapped = round_up(size_bytes, port::kBufferAlignment);
  void* memory =
      ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  HAST_ASSERT(memory != MAP_FAILED);  // sizes are fixed at start; nothing can go on without them
  memory_ = {static_cast<std::byte*>(memory), Free{mapped}};
}

void AlignedBuffer::Free::operator()(std::byte* memory) const { ::munmap(memory, mapped); }

}  // namespace hast::core
