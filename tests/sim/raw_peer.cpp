#include "raw_peer.hpp"

namespace hast::sim {

RawEnd::RawEnd(std::shared_ptr<Connection> connection, int end)
    : connection_(std::move(connection)), end_(end), scratch_(wire::kMaxEncodedBytes) {}

void RawEnd::send_bytes(ConstByteSpan bytes) {
  while (!bytes.empty() && !connection_->broken(end_)) {
    const boost::asio::const_buffer buffer(bytes.data(), bytes.size());
    const std::size_t sent = connection_->write(end_, {&buffer, 1});
    HAST_ASSERT(sent > 0);  // a test that fills the window has lost its way
    bytes = bytes.subspan(sent);
  }
}

const std::vector<std::byte>& RawEnd::received() {
  std::byte piece[4096];
  while (const std::size_t count = connection_->read(end_, piece))
    received_.insert(received_.end(), piece, piece + count);
  return received_;
}

void RawEnd::take(std::size_t bytes) {
  HAST_ASSERT(bytes <= received().size());
  received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(bytes));
}

std::optional<NvReader> RawEnd::take_frame() {
  const std::vector<std::byte>& bytes = received();
  if (bytes.size() < wire::kFrameHeaderBytes) return std::nullopt;
  const Result<wire::FrameHeader> header =
      wire::decode_frame_header(ConstByteSpan(bytes).first(wire::kFrameHeaderBytes));
  HAST_ASSERT(header.has_value());
  const std::size_t whole = wire::kFrameHeaderBytes + header->nv_bytes;
  if (bytes.size() < whole) return std::nullopt;
  frame_.assign(bytes.begin() + wire::kFrameHeaderBytes,
                bytes.begin() + static_cast<std::ptrdiff_t>(whole));
  take(whole);
  const Result<NvReader> nv = NvReader::parse(frame_);
  HAST_ASSERT(nv.has_value());
  return *nv;
}

RawPeer::RawPeer(World& world, std::string host) : world_(world), host_(std::move(host)) {}

RawPeer::~RawPeer() {
  if (listening_) world_.network().close({host_, kDefaultPort});
}

void RawPeer::listen() {
  listening_ = world_.network().open({host_, kDefaultPort}, *this);
  HAST_ASSERT(listening_);
}

void RawPeer::arrived(std::shared_ptr<Connection> connection) {
  waiting_.push_back(std::move(connection));
}

std::unique_ptr<RawEnd> RawPeer::dial(const std::string& host) {
  struct Outcome {
    bool known = false;
    std::shared_ptr<Connection> connection;
  };
  const auto outcome = std::make_shared<Outcome>();
  world_.network().dial(host_, {host, kDefaultPort},
                        [outcome](Network::Dialled, std::shared_ptr<Connection> connection) {
                          outcome->known = true;
                          outcome->connection = std::move(connection);
                        });
  world_.run_until([&] { return outcome->known; }, std::chrono::seconds(5));
  if (!outcome->connection) return nullptr;
  return std::make_unique<RawEnd>(outcome->connection, 0);
}

std::unique_ptr<RawEnd> RawPeer::accept(port::Duration limit) {
  world_.run_until([this] { return !waiting_.empty(); }, limit);
  if (waiting_.empty()) return nullptr;
  std::shared_ptr<Connection> connection = std::move(waiting_.front());
  waiting_.pop_front();
  return std::make_unique<RawEnd>(std::move(connection), 1);
}

std::optional<NvReader> RawPeer::next_frame(RawEnd& end, port::Duration limit) {
  std::optional<NvReader> frame;
  world_.run_until(
      [&] {
        frame = end.take_frame();
        return frame.has_value() || end.closed();
      },
      limit);
  return frame;
}

bool RawPeer::wait_closed(RawEnd& end, port::Duration limit) {
  return world_.run_until(
      [&] {
        (void)end.received();
        return end.closed();
      },
      limit);
}

RawSession connect_as_primary(RawPeer& peer, World& world, Machine& secondary,
                              const wire::SecondHello& facts, std::uint8_t version) {
  RawSession session;
  session.requests = peer.dial(secondary.host());
  if (!session.requests) return {};
  wire::FirstHello hello;
  hello.resource = facts.resource;
  hello.version = version;
  session.requests->send(hello, 1);
  const std::optional<NvReader> answer = peer.next_frame(*session.requests);
  if (!answer) return {};
  const Result<wire::FirstReply> first = wire::decode_first_reply(*answer);
  if (!first) return {};
  session.replies = peer.dial(secondary.host());
  if (!session.replies) return {};
  wire::SecondHello second = facts;
  second.token = first->token;
  session.replies->send(second, first->version);
  const std::optional<NvReader> decided = peer.next_frame(*session.requests);
  if (!decided) return {};
  const Result<wire::SecondReply> reply = wire::decode_second_reply(*decided);
  if (!reply || !reply->errmsg.empty()) return {};
  const std::size_t map = reply->payload.size_bytes;
  world.run_until([&] { return session.requests->received().size() >= map; },
                  std::chrono::seconds(5));
  const std::vector<std::byte>& bytes = session.requests->received();
  session.map.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(map));
  session.requests->take(map);
  return session;
}

RawSession answer_as_secondary(RawPeer& peer, const wire::SecondReply& answer,
                               std::uint8_t version) {
  RawSession session;
  session.requests = peer.accept();
  if (!session.requests || !peer.next_frame(*session.requests)) return {};
  wire::FirstReply first;
  first.version = version;
  first.token.fill(std::byte{0x5a});
  session.requests->send(first, version);
  session.replies = peer.accept();
  if (!session.replies || !peer.next_frame(*session.replies)) return {};
  session.requests->send(answer, version);
  return session;
}

}  // namespace hast::sim
