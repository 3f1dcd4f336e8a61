// A disk from an opener, waited for.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "awaiting.hpp"
#include "hast/port/disk.hpp"

namespace hast::adapter::test {

inline Result<std::unique_ptr<port::Disk>> opened_by(port::DiskOpener& opener,
                                                     boost::asio::io_context& io,
                                                     const std::string& path) {
  std::optional<Result<std::unique_ptr<port::Disk>>> disk;
  opener.open(path,
              [&](Result<std::unique_ptr<port::Disk>> opened) { disk.emplace(std::move(opened)); });
  run_until(io, [&] { return disk.has_value(); });
  return std::move(*disk);
}

}  // namespace hast::adapter::test
