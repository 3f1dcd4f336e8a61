// A scripted peer: a host of the world that runs no hastd. Tests send bytes from it, well-formed or
// not, and look at what comes back. Nothing here is clever: what a frame is, the test says.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "hast/wire/handshake.hpp"
#include "hast/wire/request.hpp"
#include "world.hpp"

namespace hast::sim {

/// One end of a connection in the test's hand.
class RawEnd {
 public:
  RawEnd(std::shared_ptr<Connection> connection, int end);
  ~RawEnd() { connection_->close(end_); }

  void send_bytes(ConstByteSpan bytes);
  template <class Message>
  void send(const Message& message, std::uint8_t version = wire::kProtocolVersion) {
    send_bytes(framed(wire::encode(message, version, scratch_)));
  }
  void close() { connection_->close(end_); }
  /// The other side is gone.
  bool closed() const { return connection_->finished(end_); }

  /// Everything received and not taken yet.
  const std::vector<std::byte>& received();
  void take(std::size_t bytes);
  /// Takes one whole frame, without its payload, if there is one; its list stays valid until the
  /// next call.
  std::optional<NvReader> take_frame();

 private:
  ConstByteSpan framed(std::size_t bytes) const { return ConstByteSpan(scratch_).first(bytes); }
  ConstByteSpan framed(const Result<std::size_t>& bytes) const {
    HAST_ASSERT(bytes.has_value());
    return framed(*bytes);
  }

  std::shared_ptr<Connection> connection_;
  int end_;
  std::vector<std::byte> scratch_;
  std::vector<std::byte> received_;
  std::vector<std::byte> frame_;
};

class RawPeer final : private Door {
 public:
  RawPeer(World& world, std::string host);
  ~RawPeer();

  /// Takes connections at the default port.
  void listen();
  /// Runs the world until the other side accepted; nullptr if it did not.
  std::unique_ptr<RawEnd> dial(const std::string& host);
  /// Runs the world until somebody dialled; nullptr if nobody did.
  std::unique_ptr<RawEnd> accept(port::Duration limit = std::chrono::seconds(30));
  /// Runs the world until a frame arrived on `end`.
  std::optional<NvReader> next_frame(RawEnd& end, port::Duration limit = std::chrono::seconds(30));
  bool wait_closed(RawEnd& end, port::Duration limit = std::chrono::seconds(30));

 private:
  void arrived(std::shared_ptr<Connection> connection) override;

  World& world_;
  std::string host_;
  std::deque<std::shared_ptr<Connection>> waiting_;
  bool listening_ = false;
};

/// Both connections of a session, with the handshake behind them.
struct RawSession {
  std::unique_ptr<RawEnd> requests;  // C1 of the wire specification
  std::unique_ptr<RawEnd> replies;   // C2
  std::vector<std::byte> map;        // what a secondary sent of it, as it is on disk
};

/// Plays a primary towards a hastd that is secondary. Null ends if it refused.
RawSession connect_as_primary(RawPeer& peer, World& world, Machine& secondary,
                              const wire::SecondHello& facts, std::uint8_t version = 2);
/// Plays a secondary towards a hastd that is primary and dials; `answer` as its second reply.
RawSession answer_as_secondary(RawPeer& peer, const wire::SecondReply& answer,
                               std::uint8_t version = 2);

}  // namespace hast::sim
