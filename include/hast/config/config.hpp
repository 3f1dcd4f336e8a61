// The configuration of one node as plain values: what hast.yaml(5) says, already resolved for the
// node hast runs on. parse.hpp makes it from text, diff.hpp compares two of them. Values only: no
// YAML, no files, no names to resolve; free to copy and to move between threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hast/base/address.hpp"
#include "hast/base/types.hpp"

namespace hast::config {

/// An address with the words the operator wrote: status and logs print the words.
struct ConfiguredAddress {
  std::string text;  // "tcp://10.0.0.233"
  Address address;   // with the default port filled in

  bool operator==(const ConfiguredAddress&) const = default;
};

enum class FrontendType : std::uint8_t { nbd, ggate, nbd_device, ublk };
std::string_view to_string(FrontendType type);
std::optional<FrontendType> parse_frontend_type(std::string_view word);

/// The IANA port of NBD, for `frontend: {listen: tcp://host}` without a port.
inline constexpr std::uint16_t kNbdPort = 10809;

// Defaults that depend on the platform.
#ifdef __FreeBSD__
inline constexpr std::string_view kDefaultPath = "/usr/local/etc/hast.yaml";
inline constexpr FrontendType kDefaultFrontend = FrontendType::ggate;
inline constexpr std::uint32_t kDefaultBusyPollUs = 0;  // nothing gained: docs/decisions/012
#else
inline constexpr std::string_view kDefaultPath = "/etc/hast.yaml";
inline constexpr FrontendType kDefaultFrontend = FrontendType::nbd;
inline constexpr std::uint32_t kDefaultBusyPollUs = 100;
#endif

struct FrontendConfig {
  FrontendType type = FrontendType::nbd;
  std::optional<ConfiguredAddress> listen{};  // always there for nbd, never for the others
  // Of nbd_device.
  std::optional<std::uint32_t> device{};  // N of /dev/nbdN; nullopt: any that is free
  std::uint32_t connections = 1;          // 1..kMaxConnections
  std::uint32_t dead_timeout_s = 300;     // 1..kMaxTimeoutSeconds
  // Of ggate.
  bool direct_reads = false;  // by the kernel, from the component: docs/decisions/006

  bool operator==(const FrontendConfig&) const = default;
};

struct ResourceConfig {
  std::string name;                         // 1..254 bytes, no '/', no control characters
  std::string provider_name;                // the name of the device or export; the same rules
  std::string local;                        // path of the local component
  std::optional<ConfiguredAddress> remote;  // nullopt: `none`, there is no peer yet
  std::optional<ConfiguredAddress> source;  // bound before connecting; port 0 unless given
  Replication replication = Replication::memsync;
  Checksum checksum = Checksum::none;
  Compression compression = Compression::hole;
  std::uint32_t timeout_s = 20;   // 1..kMaxTimeoutSeconds
  std::uint32_t heartbeat_s = 1;  // 1..kMaxHeartbeatSeconds
  bool metaflush = true;
  IoMode io = IoMode::automatic;
  OnLocalError on_local_error = OnLocalError::detach;
  OnPeerLoss on_peer_loss = OnPeerLoss::go_on;
  std::string fence;  // hook, empty: none
  std::uint32_t fence_timeout_s = 60;
  std::string exec;  // path of the hook, empty: none
  FrontendConfig frontend;

  bool operator==(const ResourceConfig&) const = default;
};

/// `remote` as the original prints it: the configured words, or "none".
std::string remote_text(const ResourceConfig& resource);

struct Config {
  ConfiguredAddress control;  // always a UNIX socket
  std::string pidfile;
  std::vector<ConfiguredAddress> listen;
  /// Nothing was configured: tcp4 and tcp6 wildcards, of which the second is best effort.
  bool listen_is_default = false;
  std::uint32_t threads = 1;
  std::uint32_t busy_poll_us = kDefaultBusyPollUs;  // before a sleep; with one thread only
  std::vector<ResourceConfig> resources;            // in file order: the meaning of `all`

  bool operator==(const Config&) const = default;

  const ResourceConfig* find(std::string_view name) const;
};

// Bounds on what a configuration may say (INV-9).
inline constexpr std::size_t kMaxConfigBytes = 1024 * 1024;
inline constexpr std::size_t kMaxNameBytes = 254;
inline constexpr std::size_t kMaxPathBytes = 1023;
inline constexpr std::size_t kMaxUnixPathBytes = 103;
inline constexpr std::uint32_t kMaxTimeoutSeconds = 24 * 60 * 60;
inline constexpr std::uint32_t kMaxHeartbeatSeconds = 60;
inline constexpr std::uint32_t kMaxFenceSeconds = 3600;
inline constexpr std::uint32_t kMaxThreads = 64;
inline constexpr std::uint32_t kMaxBusyPollMicroseconds = 1000;
inline constexpr std::uint32_t kMaxConnections = 16;
inline constexpr std::uint32_t kMaxDeviceIndex = 4095;
inline constexpr std::size_t kMaxResources = 1024;

}  // namespace hast::config
