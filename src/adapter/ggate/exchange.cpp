#include "hast/adapter/ggate/exchange.hpp"

#include <new>

namespace hast::adapter::ggate {

bool Exchange::make_room(std::uint64_t bytes) {
  if (bytes <= capacity) return true;
  if (bytes > kMaxRequestBytes) return false;
  const std::size_t wanted = static_cast<std::size_t>(bytes);
  std::unique_ptr<std::byte[]> larger(new (std::nothrow) std::byte[wanted]);
  if (!larger) return false;
  memory = std::move(larger);
  capacity = wanted;
  return true;
}

}  // namespace hast::adapter::ggate
