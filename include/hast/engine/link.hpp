// The primary's side of a connection: dial twice, shake hands, move the outbox until something
// breaks, back off, again. It decides nothing: core::Primary does, told through link_up(), reply()
// and link_down(). Owned by Resource; every coroutine is in its task group.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hast/base/log.hpp"
#include "hast/core/primary.hpp"
#include "hast/engine/frame_reader.hpp"
#include "hast/engine/frame_writer.hpp"
#include "hast/engine/ports.hpp"
#include "hast/engine/repeat_filter.hpp"
#include "hast/engine/settings.hpp"
#include "hast/engine/task_group.hpp"
#include "hast/engine/turn_end.hpp"
#include "hast/wire/handshake.hpp"

namespace hast::engine {

class LinkObserver {
 public:
  virtual void link_connected() = 0;
  virtual void link_disconnected() = 0;
  virtual void link_split_brain() = 0;

 protected:
  ~LinkObserver() = default;
};

class Link {
 public:
  Link(Executor executor, const ResourceSettings& settings, Ports ports, core::Primary& primary,
       LinkObserver& observer, TurnEnd& turn_end, Log log);
  ~Link();

  void start();
  /// Closes the connection, if there is one; the link dials again.
  void drop(Error why);
  /// Ends everything; the primary has had its link_down() when it returns.
  Awaitable<void> stop();

  /// The end of a turn: what the outbox holds leaves at once if the stream takes it.
  void flush();
  void identity_changed() { identity_.notify(); }
  /// Takes effect with the next batch; a changed address with the next connection.
  void set_settings(const ResourceSettings& settings);

  bool connected() const { return connected_; }
  /// Why there is no connection, one sentence; empty when there is one.
  const std::string& trouble() const { return trouble_; }
  bool split_brain() const { return split_brain_; }

 private:
  struct Connection {
    std::unique_ptr<port::Stream> requests;  // C1 of the wire specification
    std::unique_ptr<port::Stream> replies;   // C2
    std::uint8_t version = 1;
    port::Duration heartbeat{};  // agreed on; 0: an original, which sends none
  };

  Awaitable<void> run();
  Awaitable<Result<void>> connect();
  Awaitable<Result<wire::FirstReply>> first_step(FrameReader* reader);
  Awaitable<Result<void>> second_step(FrameReader* reader, wire::FirstReply first);
  Result<core::PeerAnswer> check_answer(const wire::SecondReply& reply) const;
  void judge_silence(port::TimePoint now);
  Awaitable<Result<void>> send_frame(port::Stream* stream, std::vector<std::byte> frame);
  Awaitable<void> serve();
  Awaitable<void> read_replies();
  Result<void> check_reply(const core::RemoteOp& op, const wire::Reply& reply) const;
  std::optional<Result<void>> take_at_once(FrameReader& reader, const wire::Reply& reply);
  Awaitable<Result<void>> take_reply(FrameReader* reader, wire::Reply reply);
  Awaitable<void> write_requests();
  void fill(FrameWriter& writer);
  Awaitable<void> watch();
  void check_deadlines();
  Awaitable<void> back_off();
  void close();
  /// Ends an attempt to connect, wherever it waits.
  void abandon(Error why);
  void failed(const Error& error);
  wire::PayloadOptions payload_options() const {
    return wire::options_for(connection_.version, {settings_.checksum, settings_.compression});
  }

  ResourceSettings settings_;
  Ports ports_;
  core::Primary& primary_;
  LinkObserver& observer_;
  TurnEnd& turn_end_;
  Log log_;
  TaskGroup tasks_;    // run() and watch()
  TaskGroup traffic_;  // reader and writer of the present connection
  std::unique_ptr<port::Dialer> dialer_;
  std::unique_ptr<port::Timer> back_off_timer_;
  std::unique_ptr<port::Timer> watch_timer_;
  Connection connection_;
  FrameWriter* writer_ = nullptr;  // write_requests()' own; usable while that waits
  port::Wakeup outgoing_;
  port::Wakeup identity_;

  bool stopping_ = false;
  bool connected_ = false;  // handshake done, traffic flows
  bool closed_ = false;     // the present connection was closed on purpose
  bool keepalive_due_ = false;
  bool split_brain_ = false;
  std::uint8_t last_version_ = 1;  // header version of the next handshake (wire-protocol §3)
  std::optional<port::TimePoint> handshake_deadline_;
  port::TimePoint last_reply_{};
  port::TimePoint last_heard_{};  // anything at all
  port::TimePoint last_sent_{};
  port::Duration delay_{};
  std::optional<Error> reason_;  // why the present connection ends
  std::string trouble_;
  RepeatFilter complaints_;
};

}  // namespace hast::engine
