#include "hast/control/status.hpp"

namespace hast::control {

std::string_view to_string(Status status) {
  switch (status) {
    case Status::absent:
      return "absent";
    case Status::degraded:
      return "degraded";
    case Status::complete:
      return "complete";
  }
  return "absent";
}

std::optional<Status> parse_status(std::string_view word) {
  for (const Status status : {Status::absent, Status::degraded, Status::complete})
    if (word == to_string(status)) return status;
  return std::nullopt;
}

}  // namespace hast::control
