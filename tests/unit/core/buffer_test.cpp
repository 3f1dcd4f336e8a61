#include "hast/core/buffer.hpp"

#include <cstdint>
#include <utility>

#include "hast/port/disk.hpp"
#include "support/catch.hpp"
#include "support/disk_media.hpp"

using namespace hast;
using namespace hast::core;

TEST_CASE("a buffer is aligned for disks and zeroed, of exactly the size that was asked for") {
  const AlignedBuffer buffer(port::kBufferAlignment + 1);
  CHECK(buffer.size() == port::kBufferAlignment + 1);
  CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % port::kBufferAlignment == 0);
  CHECK(test::filled_with(buffer.span(), 0));
}

TEST_CASE("a buffer of nothing has no memory") {
  const AlignedBuffer buffer(0);
  CHECK(buffer.data() == nullptr);
  CHECK(buffer.span().empty());
}

TEST_CASE("a buffer that moves keeps its place in memory") {
  AlignedBuffer one(512);
  std::byte* const data = one.data();
  data[0] = std::byte{7};
  const AlignedBuffer two = std::move(one);
  CHECK(two.data() == data);
  CHECK(two.data()[0] == std::byte{7});
}
