// Memory that disks can transfer to and from directly: aligned, zeroed, fixed for its life. Large
// pools cost address space only: pages become resident when first touched.
#pragma once

#include <cstddef>
#include <memory>

#include "hast/base/bytes.hpp"

namespace hast::core {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size_bytes);

  std::byte* data() const { return memory_.get(); }
  std::size_t size() const { return size_; }
  ByteSpan span() const { return {data(), size_}; }

 private:
  struct Free {
    std::size_t mapped;
    void operator()(std::byte* memory) const;
  };
  std::size_t size_ = 0;
  std::unique_ptr<std::byte[], Free> memory_;
};

}  // namespace hast::core
