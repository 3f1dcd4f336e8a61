#include "hast/adapter/nbd_device/genl.hpp"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hast::adapter::nbd_device {

namespace {

constexpr std::size_t kAlignment = 4;
constexpr std::size_t kAnswerBytes = 16 * 1024;
constexpr int kMostAnswers = 64;  // before the kernel's yes or no
constexpr int kMostErrno = 4096;
constexpr timeval kPatience{10, 0};

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

template <class T>
T read_as(ConstByteSpan bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

Error failure(int error, const char* what) { return {Errc::io_failed, error, what}; }

/// One message of the kernel: is it the end, and how did it end?
struct Answer {
  bool ended = false;
  int error = 0;
  std::vector<std::byte> attributes{};
};

std::optional<Answer> decode(const nlmsghdr& header, ConstByteSpan payload) {
  Answer answer;
  if (header.nlmsg_type == NLMSG_ERROR) {
    if (payload.size() < sizeof(nlmsgerr)) return std::nullopt;
    answer.ended = true;
    const int error = read_as<nlmsgerr>(payload).error;
    answer.error = error <= 0 && error > -kMostErrno ? -error : EPROTO;
  } else if (header.nlmsg_type == NLMSG_DONE) {
    answer.ended = true;
  } else if (header.nlmsg_type >= NLMSG_MIN_TYPE) {
    if (payload.size() < GENL_HDRLEN) return std::nullopt;
    const ConstByteSpan attributes = payload.subspan(GENL_HDRLEN);
    answer.attributes.assign(attributes.begin(), attributes.end());
  }
  return answer;
}

}  // namespace

// Attributes --------------------------------------------------------------------------------------

std::byte* GenlAttributes::add(std::uint16_t type, std::size_t length) {
  const nlattr head{static_cast<std::uint16_t>(NLA_HDRLEN + length), type};
  const std::size_t at = bytes_.size();
  bytes_.resize(at + NLA_HDRLEN + aligned(length));
  std::memcpy(bytes_.data() + at, &head, sizeof head);
  return bytes_.data() + at + NLA_HDRLEN;
}

void GenlAttributes::u32(std::uint16_t type, std::uint32_t value) {
  std::memcpy(add(type, sizeof value), &value, sizeof value);
}

void GenlAttributes::u64(std::uint16_t type, std::uint64_t value) {
  std::memcpy(add(type, sizeof value), &value, sizeof value);
}

void GenlAttributes::text(std::uint16_t type, std::string_view value) {
  std::memcpy(add(type, value.size() + 1), value.data(), value.size());
}

std::size_t GenlAttributes::open(std::uint16_t type) {
  const std::size_t at = bytes_.size();
  add(static_cast<std::uint16_t>(type | NLA_F_NESTED), 0);
  return at;
}

void GenlAttributes::close(std::size_t opened) {
  const auto length = static_cast<std::uint16_t>(bytes_.size() - opened);
  std::memcpy(bytes_.data() + opened + offsetof(nlattr, nla_len), &length, sizeof length);
}

std::optional<ConstByteSpan> find_attribute(ConstByteSpan attributes, std::uint16_t type) {
  while (attributes.size() >= NLA_HDRLEN) {
    const auto head = read_as<nlattr>(attributes);
    if (head.nla_len < NLA_HDRLEN || head.nla_len > attributes.size()) return std::nullopt;
    if ((head.nla_type & NLA_TYPE_MASK) == type)
      return attributes.subspan(NLA_HDRLEN, head.nla_len - NLA_HDRLEN);
    attributes = attributes.subspan(std::min(aligned(head.nla_len), attributes.size()));
  }
  return std::nullopt;
}

// The socket --------------------------------------------------------------------------------------

Result<GenlSocket> GenlSocket::open() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (fd < 0) return Error{Errc::unsupported, errno, "generic netlink"};
  GenlSocket opened(fd);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  const sockaddr_nl kernel{AF_NETLINK, 0, 0, 0};
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) != 0)
    return Error{Errc::unsupported, errno, "generic netlink"};
  return opened;
}

GenlSocket::GenlSocket(GenlSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), sequence_(other.sequence_) {}

GenlSocket& GenlSocket::operator=(GenlSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  sequence_ = other.sequence_;
  return *this;
}

GenlSocket::~GenlSocket() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::uint16_t> GenlSocket::family(std::string_view name) {
  GenlAttributes attributes;
  attributes.text(CTRL_ATTR_FAMILY_NAME, name);
  Result<std::vector<std::byte>> answer =
      ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, attributes.bytes());
  if (!answer) return std::move(answer).error();
  const std::optional<ConstByteSpan> id = find_attribute(*answer, CTRL_ATTR_FAMILY_ID);
  if (!id || id->size() < sizeof(std::uint16_t))
    return failure(EPROTO, "the kernel named a family without a number");
  return read_as<std::uint16_t>(*id);
}

Result<std::vector<std::byte>> GenlSocket::ask(std::uint16_t family, std::uint8_t command,
                                               std::uint8_t version, ConstByteSpan attributes) {
  std::vector<std::byte> message(NLMSG_HDRLEN + GENL_HDRLEN);
  message.insert(message.end(), attributes.begin(), attributes.end());
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(message.size());
  header.nlmsg_type = family;
  header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  header.nlmsg_seq = ++sequence_;
  const genlmsghdr generic{command, version, 0};
  std::memcpy(message.data(), &header, sizeof header);
  std::memcpy(message.data() + NLMSG_HDRLEN, &generic, sizeof generic);
  if (::send(fd_, message.data(), message.size(), MSG_NOSIGNAL) < 0)
    return failure(errno, "the kernel was not asked");

  std::vector<std::byte> found;
  std::array<std::byte, kAnswerBytes> buffer;
  for (int answers = 0; answers < kMostAnswers; ++answers) {
    const ssize_t bytes = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == EAGAIN)
      return Error{Errc::timed_out, 0, "the kernel does not answer"};
    if (bytes <= 0) return failure(bytes < 0 ? errno : EPIPE, "no answer from the kernel");
    ConstByteSpan rest = ConstByteSpan(buffer).first(static_cast<std::size_t>(bytes));
    while (rest.size() >= NLMSG_HDRLEN) {
      const auto head = read_as<nlmsghdr>(rest);
      if (head.nlmsg_len < NLMSG_HDRLEN || head.nlmsg_len > rest.size()) break;
      if (head.nlmsg_seq == sequence_) {
        std::optional<Answer> answer =
            decode(head, rest.subspan(NLMSG_HDRLEN, head.nlmsg_len - NLMSG_HDRLEN));
        if (!answer) return failure(EPROTO, "the kernel's answer is cut off");
        if (answer->error != 0) return failure(answer->error, "the kernel refused");
        if (answer->ended) return found;
        found = std::move(answer->attributes);
      }
      rest = rest.subspan(std::min<std::size_t>(aligned(head.nlmsg_len), rest.size()));
    }
  }
  return failure(EPROTO, "the kernel's answer does not end");
}

}  // namespace hast::adapter::nbd_device
