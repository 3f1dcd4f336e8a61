// Anything a client may say in the transmission phase, received in any pieces, completed by the
// sink in any order, with errors. Nothing may reach the sink against its rules (it would answer
// EINVAL), and in the end every slot is back.
#include <algorithm>

#include "../support/transmission_rig.hpp"
#include "hast/adapter/nbd/protocol.hpp"

namespace nbd = hast::adapter::nbd;
using hast::test::RamSink;
using hast::test::TransmissionRig;

namespace {

constexpr std::uint64_t kSize = 300 * 1024;  // two blocks and a bit
constexpr std::size_t kMaxInput = 1024;      // a short request can ask for all of it

void settle(RamSink& sink, TransmissionRig& client, std::uint32_t& random) {
  for (;;) {
    sink.turn();
    if (client.step()) continue;
    if (sink.submitted() == 0) return;
    random = random * 1664525 + 1013904223;
    sink.complete_at((random >> 16) % sink.submitted());
  }
}

}  // namespace

// Input: eight bytes of settings, then what the client sends.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  size = std::min(size, kMaxInput);
  nbd::TransmissionLimits limits;
  limits.commands = 1 + data[0] % 8;
  limits.pieces = 1 + data[1] % 8;
  limits.window = 1 + data[2] % 4;
  limits.input_bytes = 28 + data[3] * 16;
  const auto style = (data[4] & 1) != 0 ? nbd::ReplyStyle::structured : nbd::ReplyStyle::simple;
  std::uint32_t random = data[7];

  RamSink sink({kSize, 512, 1 + std::size_t{data[5]} % 4});
  sink.hold();
  if ((data[4] & 2) != 0) sink.fail(hast::IoKind::read, data[6] * 1024u, 512, EIO);
  if ((data[4] & 4) != 0) sink.fail(hast::IoKind::write, data[6] * 1024u, 512, ENOSPC);
  if ((data[4] & 8) != 0) sink.fail(hast::IoKind::flush, 0, 1, EIO);
  {
    TransmissionRig client(sink, style, limits);
    client.receive_step = 1 + data[7] * 16u;
    client.send_step = 16 + data[6] * 1024u;
    client.send({reinterpret_cast<const char*>(data) + 8, size - 8});
    settle(sink, client, random);
    if ((data[4] & 16) != 0) client.transmission.withdraw();
    client.end_input();
    settle(sink, client, random);
    HAST_ASSERT(client.transmission.is_quiet());
  }
  HAST_ASSERT(sink.all_free());
  HAST_ASSERT(sink.refused() == 0);
  return 0;
}
