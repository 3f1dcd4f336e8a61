// The secondary's side of a connection: answer the two handshakes, feed requests to
// core::Secondary, send its replies. A newer first connection replaces the session that runs, so a
// restarted primary takes over at once. Owned by Resource; every coroutine is in its task group.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hast/base/log.hpp"
#include "hast/core/secondary.hpp"
#include "hast/engine/frame_reader.hpp"
#include "hast/engine/frame_writer.hpp"
#include "hast/engine/ports.hpp"
#include "hast/engine/repeat_filter.hpp"
#include "hast/engine/settings.hpp"
#include "hast/engine/task_group.hpp"
#include "hast/engine/turn_end.hpp"
#include "hast/wire/handshake.hpp"
#include "hast/wire/request.hpp"

namespace hast::engine {

class SessionObserver {
 public:
  virtual void session_connected() = 0;
  virtual void session_disconnected() = 0;
  virtual void session_split_brain() = 0;

 protected:
  ~SessionObserver() = default;
};

/// A connection that sent its first message, on its way to the resource it named.
struct Arrival {
  std::unique_ptr<port::Stream> stream;
  std::uint8_t version = 1;  // step 1: what the primary offers
};

class Session {
 public:
  Session(Executor executor, const ResourceSettings& settings, Ports ports,
          core::Secondary& secondary, SessionObserver& observer, TurnEnd& turn_end, Log log);
  ~Session();

  void start();
  Awaitable<void> stop();

  /// Step 1: replaces whatever session there is.
  void adopt_first(Arrival arrival);
  /// Step 2, when the token is that of the session that waits for it; a refusal otherwise.
  std::optional<wire::Refusal> adopt_second(Arrival& arrival, wire::SecondHello hello);

  void set_settings(const ResourceSettings& settings) { settings_ = settings; }
  /// The end of a turn: replies leave at once if the stream takes them.
  void flush();
  void request_freed() { freed_.notify(); }
  void identity_changed() { identity_.notify(); }

  bool connected() const { return connected_; }
  bool split_brain() const { return split_brain_; }

 private:
  struct Second {
    std::unique_ptr<port::Stream> stream;
    wire::SecondHello hello;
  };

  Awaitable<void> run();
  Awaitable<Result<void>> greet();
  Awaitable<Result<void>> answer();
  Awaitable<Result<void>> send_answer(wire::SecondReply reply, std::vector<std::byte> map);
  Awaitable<void> serve();
  Awaitable<void> read_requests();
  void take_up(core::PeerRequest& request, const wire::Request& message) const;
  std::optional<Result<void>> take_at_once(FrameReader& reader, const wire::Request& message);
  Awaitable<Result<void>> take_request(FrameReader* reader, wire::Request message);
  Awaitable<Result<void>> take_write(FrameReader* reader, wire::Request message,
                                     core::PeerRequest* request);
  Awaitable<core::PeerRequest*> free_request();
  Awaitable<void> write_replies();
  void fill(FrameWriter& writer);
  void batch_left();
  Awaitable<void> watch();
  void close();
  void fail(Error error);
  void check_deadlines(port::TimePoint now);
  port::Duration silence() const;
  wire::PayloadOptions payload_options() const {
    return wire::options_for(version_, {settings_.checksum, settings_.compression});
  }

  ResourceSettings settings_;
  Ports ports_;
  core::Secondary& secondary_;
  SessionObserver& observer_;
  TurnEnd& turn_end_;
  Log log_;
  TaskGroup tasks_;    // run() and watch()
  TaskGroup traffic_;  // reader and writer of the present session
  std::unique_ptr<port::Timer> watch_timer_;
  port::Wakeup arrival_;
  FrameWriter* writer_ = nullptr;        // write_replies()' own; usable while that waits
  std::vector<core::PeerReply*> batch_;  // what it holds
  port::Wakeup outgoing_;
  port::Wakeup freed_;
  port::Wakeup identity_;

  std::optional<Arrival> next_first_;  // the newest step 1, not taken up yet
  std::optional<Second> second_;
  std::unique_ptr<port::Stream> requests_;  // C1 of the wire specification
  std::unique_ptr<port::Stream> replies_;   // C2
  wire::Token token_{};
  std::uint8_t version_ = 1;
  bool token_valid_ = false;
  bool stopping_ = false;
  bool connected_ = false;
  bool closed_ = false;
  bool split_brain_ = false;
  std::optional<port::TimePoint> deadline_;  // of the handshake, or of the next request
  std::optional<port::TimePoint> sending_since_;
  port::Duration heartbeat_{};  // agreed on; 0: an original
  port::TimePoint last_sent_{};
  bool heartbeat_due_ = false;
  bool waiting_for_slot_ = false;  // then the silence is ours
  std::optional<Error> reason_;
  RepeatFilter complaints_;
};

}  // namespace hast::engine
