#ifdef __linux__
#include "hast/adapter/nbd_device/genl.hpp"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "support/catch.hpp"

using hast::ByteSpan;
using hast::ConstByteSpan;
using hast::adapter::nbd_device::find_attribute;
using hast::adapter::nbd_device::GenlAttributes;
using hast::adapter::nbd_device::GenlSocket;

namespace {

/// A kernel whose answers were written before it was asked: the first question is number 1.
struct Kernel {
  Kernel() { REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0); }
  ~Kernel() { ::close(fds[1]); }
  GenlSocket socket() { return GenlSocket(fds[0]); }

  static std::string message(std::uint16_t type, std::string_view payload, std::uint32_t sequence) {
    nlmsghdr head{};
    head.nlmsg_len = static_cast<std::uint32_t>(NLMSG_HDRLEN + payload.size());
    head.nlmsg_type = type;
    head.nlmsg_seq = sequence;
    std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
    bytes.append(payload);
    bytes.resize((bytes.size() + 3) / 4 * 4);
    return bytes;
  }
  static std::string verdict(int error, std::uint32_t sequence = 1) {
    nlmsgerr body{};
    body.error = error;
    return message(NLMSG_ERROR, {reinterpret_cast<const char*>(&body), sizeof body}, sequence);
  }
  static std::string reply(const GenlAttributes& attributes, std::uint32_t sequence = 1) {
    std::string payload(GENL_HDRLEN, '\0');
    payload.append(hast::as_text(attributes.bytes()));
    return message(0x21, payload, sequence);
  }
  void says(const std::string& packet) {
    REQUIRE(::send(fds[1], packet.data(), packet.size(), 0) == ssize_t(packet.size()));
  }
  std::string asked() {
    std::string bytes(4096, '\0');
    bytes.resize(static_cast<std::size_t>(::recv(fds[1], bytes.data(), bytes.size(), 0)));
    return bytes;
  }

  int fds[2]{};
};

}  // namespace

TEST_CASE("attributes are found again, nested ones too, padded to four bytes") {
  GenlAttributes attributes;
  attributes.text(1, "ab");
  attributes.u64(2, 0x0123456789abcdef);
  const std::size_t list = attributes.open(3);
  attributes.u32(7, 42);
  attributes.close(list);
  CHECK(attributes.bytes().size() == 8 + 12 + 4 + 8);
  CHECK(hast::as_text(*find_attribute(attributes.bytes(), 1)) == std::string_view("ab\0", 3));
  REQUIRE(find_attribute(attributes.bytes(), 3));
  const auto inner = find_attribute(*find_attribute(attributes.bytes(), 3), 7);
  REQUIRE(inner);
  CHECK(hast::load<std::uint32_t, std::endian::native>(inner->data()) == 42);
  CHECK_FALSE(find_attribute(attributes.bytes(), 7));
}

TEST_CASE("attributes whose lengths do not add up are none") {  // INV-9
  GenlAttributes attributes;
  attributes.u32(1, 5);
  std::vector<std::byte> bytes(attributes.bytes().begin(), attributes.bytes().end());
  for (const std::uint8_t length : {0, 3, 9, 255}) {
    bytes[0] = std::byte{length};
    CHECK_FALSE(find_attribute(bytes, 1));
    CHECK_FALSE(find_attribute(bytes, 2));
  }
  CHECK_FALSE(find_attribute(ConstByteSpan(bytes).first(3), 1));
}

TEST_CASE("a family is asked for by its name") {
  Kernel kernel;
  GenlAttributes attributes;
  attributes.u32(CTRL_ATTR_FAMILY_ID, 0x23);
  kernel.says(Kernel::reply(attributes));
  kernel.says(Kernel::verdict(0));
  GenlSocket socket = kernel.socket();
  const auto family = socket.family("nbd");
  REQUIRE(family);
  CHECK(*family == 0x23);
  const std::string asked = kernel.asked();
  REQUIRE(asked.size() == NLMSG_HDRLEN + GENL_HDRLEN + 8);
  CHECK(asked.substr(NLMSG_HDRLEN + GENL_HDRLEN + 4, 4) == std::string("nbd\0", 4));
}

TEST_CASE("what the kernel refuses is an error with its number") {
  Kernel kernel;
  kernel.says(Kernel::verdict(-ENOENT));
  GenlSocket socket = kernel.socket();
  const auto family = socket.family("nbd");
  REQUIRE_FALSE(family);
  CHECK(family.error().os_error == ENOENT);
}

TEST_CASE("answers to other questions are passed over") {
  Kernel kernel;
  kernel.says(Kernel::verdict(-EIO, 7));
  kernel.says(Kernel::verdict(0, 1));
  GenlSocket socket = kernel.socket();
  CHECK(socket.ask(0x21, 1, 1, {}));
}

TEST_CASE("an answer that makes no sense is an error") {  // INV-9
  Kernel kernel;
  SECTION("a verdict that is cut off") { kernel.says(Kernel::message(NLMSG_ERROR, "abc", 1)); }
  SECTION("a reply without a head") { kernel.says(Kernel::message(0x21, "", 1)); }
  SECTION("an error that is no errno") { kernel.says(Kernel::verdict(-2147483647 - 1)); }
  SECTION("a positive error") { kernel.says(Kernel::verdict(5)); }
  SECTION("a family without a number") {
    kernel.says(Kernel::reply({}));
    kernel.says(Kernel::verdict(0));
  }
  SECTION("no end") {
    for (int i = 0; i < 64; ++i) kernel.says(Kernel::message(NLMSG_NOOP, "", 9));
  }
  SECTION("the end of the conversation") { ::shutdown(kernel.fds[1], SHUT_WR); }
  GenlSocket socket = kernel.socket();
  CHECK_FALSE(socket.family("nbd"));
}
#endif
