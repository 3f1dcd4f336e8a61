#include "confine.hpp"

namespace hast::adapter {

void confine_component(int, Writing) {}
void confine_to_ioctls(int, std::span<const unsigned long>) {}

}  // namespace hast::adapter
