// One YAML scalar as one value of the configuration, or an error that says where, what and what
// would be right. Each function is a column of the schema in schema.cpp.
#pragma once

#include <string>
#include <vector>

#include "document.hpp"

namespace hast::config::value {

Result<std::string> path(const yaml::Node& node);
Result<std::string> hook(const yaml::Node& node);  // a path, or `none`: empty
Result<std::string> name(const yaml::Node& node);
Result<bool> flag(const yaml::Node& node);
Result<std::uint32_t> timeout(const yaml::Node& node);
Result<std::uint32_t> heartbeat(const yaml::Node& node);
Result<std::uint32_t> threads(const yaml::Node& node);
Result<std::uint32_t> busy_poll(const yaml::Node& node);
Result<std::uint32_t> connections(const yaml::Node& node);
Result<std::uint32_t> nbd_device(const yaml::Node& node);  // N of /dev/nbdN

Result<Replication> replication(const yaml::Node& node);
Result<Checksum> checksum(const yaml::Node& node);
Result<IoMode> io_mode(const yaml::Node& node);
Result<OnLocalError> on_local_error(const yaml::Node& node);
Result<OnPeerLoss> on_peer_loss(const yaml::Node& node);
Result<std::uint32_t> fence_timeout(const yaml::Node& node);
Result<Compression> compression(const yaml::Node& node);
Result<FrontendType> frontend_type(const yaml::Node& node);

Result<ConfiguredAddress> control(const yaml::Node& node);
Result<std::vector<ConfiguredAddress>> listen(const yaml::Node& node);  // one or a list
Result<RemoteAddress> remote(const yaml::Node& node);                   // an address or `none`
Result<ConfiguredAddress> source(const yaml::Node& node);
Result<ConfiguredAddress> frontend_listen(const yaml::Node& node);

/// The rules for resource and provider names; `what` begins the message.
Result<void> check_name(std::string_view what, std::string_view name, yaml::Mark mark);

}  // namespace hast::config::value
