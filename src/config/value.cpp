#include "value.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "nearest.hpp"

namespace hast::config::value {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::array<std::string_view, 3> kReplications{"fullsync", "memsync", "async"};
constexpr std::array<std::string_view, 3> kChecksums{"none", "crc32", "sha256"};
constexpr std::array<std::string_view, 4> kCompressions{"none", "hole", "lzf", "lz4"};
constexpr std::array<std::string_view, 2> kPeerLossPolicies{"continue", "freeze"};
constexpr std::array<std::string_view, 2> kLocalErrorPolicies{"detach", "pass"};
constexpr std::array<std::string_view, 3> kIoModes{"auto", "buffered", "direct"};
constexpr std::array<std::string_view, 4> kFrontendTypes{"nbd", "ggate", "nbd-device", "ublk"};
constexpr std::array<std::string_view, 6> kFlags{"true", "on", "yes", "false", "off", "no"};

std::string kind_text(const yaml::Node& node) {
  switch (node.kind) {
    case yaml::Node::Kind::null:
      return "nothing";
    case yaml::Node::Kind::list:
      return "a list";
    case yaml::Node::Kind::map:
      return "a map";
    case yaml::Node::Kind::scalar:
      break;
  }
  return fmt::format("\"{}\"", node.text);
}

Error wants(const yaml::Node& node, std::string_view what, std::string_view hint = {}) {
  return yaml::error_at(node.mark, fmt::format("{} is expected here, not {}{}{}", what,
                                               kind_text(node), hint.empty() ? "" : ": ", hint));
}

bool is_number(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Text, and not a number or a truth value that merely looks like it.
Result<std::string> text(const yaml::Node& node, std::string_view what) {
  if (node.kind != yaml::Node::Kind::scalar) return wants(node, what);
  if (!node.quoted && (is_number(node.text) || node.text == "true" || node.text == "false"))
    return wants(node, what, "put it in quotes if it is meant as text");
  if (node.text.empty()) return wants(node, what);
  return node.text;
}

template <class T, class Parse>
Result<T> word(const yaml::Node& node, std::string_view what, Words words, Parse parse) {
  if (node.kind != yaml::Node::Kind::scalar) return wants(node, what);
  if (const std::optional<T> value = parse(node.text)) return *value;
  return wants(node, what, hint_for(node.text, words));
}

Result<std::uint32_t> number(const yaml::Node& node, std::string_view what, std::uint32_t last,
                             std::uint32_t first = 1) {
  if (node.kind != yaml::Node::Kind::scalar || node.quoted || !is_number(node.text))
    return wants(node, what);
  std::uint32_t value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, error] = std::from_chars(node.text.data(), end, value);
  if (error != std::errc{} || stop != end || value < first || value > last)
    return yaml::error_at(
        node.mark, fmt::format("{} is out of range: {} to {} is allowed", node.text, first, last));
  return value;
}

Result<ConfiguredAddress> address(const yaml::Node& node, std::uint16_t default_port) {
  Result<std::string> words = text(node, "an address");
  if (!words) return std::move(words).error();
  Result<Address> parsed = Address::parse(*words, default_port);
  if (!parsed)
    return yaml::error_at(node.mark, fmt::format("invalid address {}", parsed.error().detail));
  return ConfiguredAddress{*std::move(words), *std::move(parsed)};
}

}  // namespace

Result<std::string> path(const yaml::Node& node) {
  Result<std::string> value = text(node, "a path");
  if (value && value->size() > kMaxPathBytes)
    return yaml::error_at(node.mark,
                          fmt::format("the path is longer than {} bytes", kMaxPathBytes));
  return value;
}

Result<std::string> hook(const yaml::Node& node) {
  Result<std::string> value = path(node);
  if (value && *value == "none") return std::string{};
  return value;
}

Result<void> check_name(std::string_view what, std::string_view name, yaml::Mark mark) {
  std::string wrong;
  if (name.empty()) wrong = "is empty";
  if (name.size() > kMaxNameBytes) wrong = fmt::format("is longer than {} bytes", kMaxNameBytes);
  if (name.find('/') != name.npos) wrong = "contains a '/'";
  if (name == "." || name == "..") wrong = "means a folder";
  if (wrong.empty()) return {};
  return yaml::error_at(mark, fmt::format("{} \"{}\" {}", what, name.substr(0, 40), wrong));
}

Result<std::string> name(const yaml::Node& node) {
  Result<std::string> value = text(node, "a name");
  if (!value) return value;
  if (Result<void> checked = check_name("the name", *value, node.mark); !checked)
    return std::move(checked).error();
  return value;
}

Result<bool> flag(const yaml::Node& node) {
  if (node.kind != yaml::Node::Kind::scalar || node.quoted) return wants(node, "true or false");
  const auto* found = std::find(kFlags.begin(), kFlags.end(), node.text);
  if (found == kFlags.end()) return wants(node, "true or false", hint_for(node.text, kFlags));
  return found - kFlags.begin() < 3;
}

Result<std::uint32_t> timeout(const yaml::Node& node) {
  return number(node, "a number of seconds", kMaxTimeoutSeconds);
}
Result<std::uint32_t> heartbeat(const yaml::Node& node) {
  return number(node, "a number of seconds", kMaxHeartbeatSeconds);
}
Result<std::uint32_t> fence_timeout(const yaml::Node& node) {
  return number(node, "a number of seconds", kMaxFenceSeconds);
}
Result<std::uint32_t> threads(const yaml::Node& node) {
  return number(node, "a number of threads", kMaxThreads);
}
Result<std::uint32_t> busy_poll(const yaml::Node& node) {
  return number(node, "a number of microseconds", kMaxBusyPollMicroseconds, 0);
}
Result<std::uint32_t> connections(const yaml::Node& node) {
  return number(node, "a number of connections", kMaxConnections);
}

Result<std::uint32_t> nbd_device(const yaml::Node& node) {
  constexpr std::string_view what = "an NBD device such as /dev/nbd0";
  if (node.kind != yaml::Node::Kind::scalar) return wants(node, what);
  std::string_view text = node.text;
  if (text.starts_with("/dev/")) text.remove_prefix(5);
  if (!text.starts_with("nbd")) return wants(node, what);
  text.remove_prefix(3);
  std::uint32_t index = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc{} || stop != text.data() + text.size() || index > kMaxDeviceIndex)
    return wants(node, what);
  return index;
}

Result<Replication> replication(const yaml::Node& node) {
  return word<Replication>(node, "a replication mode", kReplications, parse_replication);
}
Result<Checksum> checksum(const yaml::Node& node) {
  return word<Checksum>(node, "a checksum", kChecksums, parse_checksum);
}
Result<OnPeerLoss> on_peer_loss(const yaml::Node& node) {
  return word<OnPeerLoss>(node, "a policy for the loss of the peer", kPeerLossPolicies,
                          parse_on_peer_loss);
}
Result<OnLocalError> on_local_error(const yaml::Node& node) {
  return word<OnLocalError>(node, "a policy for local errors", kLocalErrorPolicies,
                            parse_on_local_error);
}

Result<IoMode> io_mode(const yaml::Node& node) {
  return word<IoMode>(node, "a way of I/O", kIoModes, parse_io_mode);
}
Result<Compression> compression(const yaml::Node& node) {
  return word<Compression>(node, "a compression", kCompressions, parse_compression);
}
Result<FrontendType> frontend_type(const yaml::Node& node) {
  return word<FrontendType>(node, "a front-end type", kFrontendTypes, parse_frontend_type);
}

Result<ConfiguredAddress> control(const yaml::Node& node) {
  Result<ConfiguredAddress> value = address(node, 0);
  if (value && value->address.family != Address::Family::unix_socket)
    return wants(node, "the path of a UNIX socket");
  return value;
}

Result<std::vector<ConfiguredAddress>> listen(const yaml::Node& node) {
  constexpr std::size_t kMost = 64;
  const bool one = node.kind != yaml::Node::Kind::list;
  if (!one && (node.items.empty() || node.items.size() > kMost))
    return yaml::error_at(node.mark, fmt::format("a list of 1 to {} addresses is expected", kMost));
  std::vector<ConfiguredAddress> all;
  for (const yaml::Node& item : one ? std::span(&node, 1) : std::span(node.items)) {
    Result<ConfiguredAddress> value = address(item, kDefaultPort);
    if (!value) return std::move(value).error();
    for (const ConfiguredAddress& earlier : all)
      if (earlier.address == value->address)
        return yaml::error_at(item.mark, fmt::format("\"{}\" is listed twice", value->text));
    all.push_back(*std::move(value));
  }
  return all;
}

Result<RemoteAddress> remote(const yaml::Node& node) {
  if (node.kind == yaml::Node::Kind::scalar && node.text == "none") return RemoteAddress{};
  Result<ConfiguredAddress> value = address(node, kDefaultPort);
  if (!value) return std::move(value).error();
  return RemoteAddress{*std::move(value)};
}

Result<ConfiguredAddress> source(const yaml::Node& node) {
  Result<ConfiguredAddress> value = address(node, 0);
  if (value && value->address.family == Address::Family::unix_socket)
    return wants(node, "a TCP address");
  return value;
}

Result<ConfiguredAddress> frontend_listen(const yaml::Node& node) {
  return address(node, kNbdPort);
}

}  // namespace hast::config::value
