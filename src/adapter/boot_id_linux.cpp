#include <charconv>
#include <fstream>
#include <string>

#include "hast/adapter/boot_id.hpp"

namespace hast::adapter {

// A random UUID: its last twelve digits are enough.
std::uint64_t boot_id() {
  std::string uuid;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> uuid;
  std::uint64_t id = 0;
  const char* const end = uuid.data() + uuid.size();
  std::from_chars(uuid.data() + uuid.rfind('-') + 1, end, id, 16);
  return id;
}

}  // namespace hast::adapter
