#include "hast/adapter/ggate/gate_device.hpp"

namespace hast::adapter::ggate {

Result<std::unique_ptr<GateDevice>> kernel_gate(std::string name) {
  return Error{Errc::unsupported, 0,
               "no GEOM gate for /dev/" + name + " on Linux; set frontend: {type: nbd}"};
}

}  // namespace hast::adapter::ggate
