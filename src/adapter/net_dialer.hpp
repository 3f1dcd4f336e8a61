// Private to the net adapter: names resolved and connections made, with one deadline over both.
#pragma once

#include "hast/port/net.hpp"

namespace hast::adapter {

std::unique_ptr<port::Dialer> make_dialer(port::Executor executor);

}  // namespace hast::adapter
