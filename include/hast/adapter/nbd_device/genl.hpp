// Generic netlink, as much of it as an NBD device needs: attributes to send and to find, and a
// socket that asks one question at a time and waits for the kernel's answer, which comes at once.
// Linux only. Owned by the kernel's side of a device; any one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "hast/base/bytes.hpp"
#include "hast/base/result.hpp"

namespace hast::adapter::nbd_device {

/// Attributes of a message, one after the other; nested ones between open() and close().
class GenlAttributes {
 public:
  void u32(std::uint16_t type, std::uint32_t value);
  void u64(std::uint16_t type, std::uint64_t value);
  void text(std::uint16_t type, std::string_view value);  // with its end of string
  std::size_t open(std::uint16_t type);
  void close(std::size_t opened);

  ConstByteSpan bytes() const { return bytes_; }

 private:
  std::byte* add(std::uint16_t type, std::size_t length);

  std::vector<std::byte> bytes_;
};

/// The payload of the first attribute of that type; nullopt if there is none, or they are no
/// attributes.
std::optional<ConstByteSpan> find_attribute(ConstByteSpan attributes, std::uint16_t type);

class GenlSocket {
 public:
  /// Errors: unsupported (a kernel without generic netlink).
  static Result<GenlSocket> open();
  /// Takes over a socket that is connected to somebody who answers as a kernel would.
  explicit GenlSocket(int fd) : fd_(fd) {}
  GenlSocket(GenlSocket&& other) noexcept;
  GenlSocket& operator=(GenlSocket&& other) noexcept;
  ~GenlSocket();

  /// The number of a family of messages. Errors: io_failed, with ENOENT if there is none.
  Result<std::uint16_t> family(std::string_view name);
  /// The attributes of the answer, if there was one before the kernel's yes. Errors: io_failed with
  /// the kernel's errno, timed_out.
  Result<std::vector<std::byte>> ask(std::uint16_t family, std::uint8_t command,
                                     std::uint8_t version, ConstByteSpan attributes);

 private:
  int fd_ = -1;
  std::uint32_t sequence_ = 0;
};

}  // namespace hast::adapter::nbd_device
