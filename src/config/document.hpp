// The configuration file as written, for every node: what was given, where, and nothing about what
// it means for this one. schema.cpp fills it from YAML, resolve.cpp makes a Config of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hast/config/config.hpp"
#include "yaml.hpp"

namespace hast::config {

/// A value with the place it was written at.
template <class T>
struct Placed {
  T value{};
  yaml::Mark mark;
};
template <class T>
using Given = std::optional<Placed<T>>;

/// The keys a resource may take from `defaults`.
struct Settings {
  Given<Replication> replication;
  Given<Checksum> checksum;
  Given<Compression> compression;
  Given<std::uint32_t> timeout;
  Given<std::uint32_t> heartbeat;
  Given<bool> metaflush;
  Given<IoMode> io;
  Given<OnLocalError> on_local_error;
  Given<OnPeerLoss> on_peer_loss;
  Given<std::string> fence;  // empty: none
  Given<std::uint32_t> fence_timeout;
  Given<std::string> exec;  // empty: none
};

struct FrontendKeys {
  Given<FrontendType> type;
  Given<ConfiguredAddress> listen;
  Given<std::uint32_t> device;  // N of /dev/nbdN
  Given<std::uint32_t> connections;
  Given<std::uint32_t> dead_timeout;
  Given<bool> direct_reads;
};

struct RemoteAddress {
  std::optional<ConfiguredAddress> peer;  // nullopt: `none`
};

struct ResourceNode {
  Given<RemoteAddress> remote;
  Given<std::string> local;
  Given<ConfiguredAddress> source;
  Given<std::string> name;
  Given<bool> metaflush;
  Given<IoMode> io;
  FrontendKeys frontend;
};

template <class T>
struct Named {
  std::string name;
  yaml::Mark mark;  // of the name
  T value;
};

struct Resource : Settings {
  Given<std::string> local;
  Given<std::string> name;
  FrontendKeys frontend;
  std::vector<Named<ResourceNode>> nodes;
};

/// The keys of a node's daemon; at the top level they hold for all nodes.
struct DaemonKeys {
  Given<ConfiguredAddress> control;
  Given<std::string> pidfile;
  Given<std::vector<ConfiguredAddress>> listen;
};

struct Document : DaemonKeys {
  Given<std::uint32_t> threads;
  Given<std::uint32_t> busy_poll;
  std::vector<Named<DaemonKeys>> nodes;
  Settings defaults;
  std::vector<Named<Resource>> resources;
};

}  // namespace hast::config
