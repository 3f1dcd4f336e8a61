// Lines on the control socket from anyone, at either end: a message or an error, and every message
// that is read can be written and read again unchanged (INV-9).
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hast/control/reply.hpp"

namespace {

using namespace hast::control;

const RequestId kId{std::int64_t{1}};

void require(bool holds) {
  if (!holds) std::abort();
}

void check_request(std::string_view line) {
  const Request request = decode_request(line);
  require(!encode_error(request.id, hast::Error{hast::Errc::usage, 0, std::string(line)}).empty());
  if (!request.command) return;
  const Request again = decode_request(encode_request(request.id, *request.command));
  require(again.command && *again.command == *request.command && again.id == request.id);
}

void check_status(std::string_view line) {
  const hast::Result<StatusReply> reply = decode_status_reply(line, kId);
  if (!reply) return;
  const hast::Result<StatusReply> again = decode_status_reply(encode_result(kId, *reply), kId);
  require(again && again->resources.size() == reply->resources.size());
  for (std::size_t i = 0; i < reply->resources.size(); ++i) {
    const hast::Result<ResourceStatus>& one = reply->resources[i].status;
    const hast::Result<ResourceStatus>& two = again->resources[i].status;
    require(one.has_value() == two.has_value());
    require(one ? *one == *two : one.error().code == two.error().code);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  check_request(line);
  check_status(line);
  const auto role = decode_role_reply(line, kId);
  if (role) require(decode_role_reply(encode_result(kId, *role), kId).has_value());
  const auto version = decode_version_reply(line, kId);
  if (version) require(*decode_version_reply(encode_result(kId, *version), kId) == *version);
  return 0;
}
