// What the engine needs to know of a resource: the part of the configuration that is not the
// front-end's. A plain value; app fills it from hast.yaml.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "hast/base/address.hpp"
#include "hast/base/types.hpp"
#include "hast/wire/frame.hpp"

namespace hast::engine {

struct ResourceSettings {
  std::string name;
  std::string local;
  std::optional<Address> remote;  // none: there is no peer yet
  std::optional<Address> source;
  Replication replication = Replication::memsync;
  Checksum checksum = Checksum::none;
  Compression compression = Compression::hole;
  std::chrono::seconds timeout{20};
  /// How often each node says that it is alive; three times as long without a word and it is dead.
  std::chrono::milliseconds heartbeat{1000};
  std::uint8_t protocol = wire::kProtocolVersion;  // the highest to offer and to accept
  bool metaflush = true;
  IoMode io = IoMode::automatic;  // the disk opener's business: a change opens the component anew
  OnLocalError on_local_error = OnLocalError::detach;
  OnPeerLoss on_peer_loss = OnPeerLoss::go_on;
  std::string fence;  // hook, empty: none
  std::chrono::seconds fence_timeout{60};
  std::string exec;  // hook, empty: none

  bool operator==(const ResourceSettings&) const = default;
};

}  // namespace hast::engine
