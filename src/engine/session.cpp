#include "hast/engine/session.hpp"

#include "hast/engine/heartbeat.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

namespace hast::engine {

namespace {

using namespace std::chrono_literals;

constexpr port::Duration kHandshakeTime = 20s;
constexpr port::Duration kSilence = 20s;  // two keepalive intervals (wire-protocol §4)

IoKind kind_of(wire::Command command) {
  switch (command) {
    case wire::Command::read:
      return IoKind::read;
    case wire::Command::write:
      return IoKind::write;
    case wire::Command::discard:
      return IoKind::discard;
    case wire::Command::write_zeroes:
      return IoKind::write_zeroes;
    default:
      return IoKind::flush;
  }
}

core::PeerOrder::Kind order_of(wire::Command command) {
  switch (command) {
    case wire::Command::sync_begin:
      return core::PeerOrder::Kind::sync_begin;
    case wire::Command::sync_end:
      return core::PeerOrder::Kind::sync_end;
    case wire::Command::alone:
      return core::PeerOrder::Kind::alone;
    case wire::Command::goodbye:
      return core::PeerOrder::Kind::goodbye;
    default:
      return core::PeerOrder::Kind::none;
  }
}

}  // namespace

Session::Session(Executor executor, const ResourceSettings& settings, Ports ports,
                 core::Secondary& secondary, SessionObserver& observer, TurnEnd& turn_end, Log log)
    : settings_(settings),
      ports_(ports),
      secondary_(secondary),
      observer_(observer),
      turn_end_(turn_end),
      log_(std::move(log)),
      tasks_(executor),
      traffic_(executor),
      watch_timer_(ports.clock.make_timer(executor)) {}

Session::~Session() { HAST_ASSERT(!connected_); }

void Session::start() {
  tasks_.spawn(run());
  tasks_.spawn(watch());
}

Awaitable<void> Session::stop() {
  stopping_ = true;
  watch_timer_->cancel();
  close();
  co_await tasks_.join();
}

void Session::close() {
  closed_ = true;
  token_valid_ = false;
  if (requests_) requests_->close();
  if (replies_) replies_->close();
  arrival_.notify();
  outgoing_.notify();
  freed_.notify();
  identity_.notify();
}

void Session::fail(Error error) {
  if (!reason_) reason_ = std::move(error);
  close();
}

void Session::adopt_first(Arrival arrival) {
  if (requests_) fail(Error{Errc::cancelled, 0, "the primary connects anew"});
  next_first_ = std::move(arrival);
  arrival_.notify();
}

std::optional<wire::Refusal> Session::adopt_second(Arrival& arrival, wire::SecondHello hello) {
  // A token is valid only between step 1 and step 2: all-zero ones of nobody are refused too.
  if (!token_valid_ || hello.token != token_ || second_)
    return wire::Refusal{"Token doesn't match.", false};
  token_valid_ = false;
  second_ = Second{std::move(arrival.stream), std::move(hello)};
  arrival_.notify();
  return std::nullopt;
}

/// One session after the other until stop().
Awaitable<void> Session::run() {
  while (!stopping_) {
    if (!next_first_) {
      co_await arrival_.wait();
      continue;
    }
    closed_ = false;
    reason_.reset();
    version_ = std::min(next_first_->version, settings_.protocol);
    heartbeat_ = {};
    requests_ = std::move(next_first_->stream);
    next_first_.reset();
    deadline_ = ports_.clock.now() + kHandshakeTime;
    Result<void> ready = co_await greet();
    if (ready) ready = co_await answer();
    if (ready) {
      co_await serve();
    } else if (!stopping_) {
      const std::string why = (reason_ ? *reason_ : ready.error()).message();
      if (complaints_.passes(why, ports_.clock.now()))
        log_.warning("Handshake with {} failed: {}", requests_->peer(), why);
    }
    deadline_.reset();
    token_valid_ = false;
    second_.reset();
    requests_.reset();
    replies_.reset();
  }
}

// Handshake ---------------------------------------------------------------------------------------

/// Step 1, and waiting for step 2.
Awaitable<Result<void>> Session::greet() {
  ports_.random.fill(token_);
  wire::FirstReply reply;
  reply.version = version_;
  reply.token = token_;
  std::vector<std::byte> frame(wire::kMaxEncodedBytes);
  Result<std::size_t> size = wire::encode(reply, version_, frame);
  if (!size) co_return std::move(size).error();
  token_valid_ = true;  // before the answer leaves: step 2 may arrive at once
  std::vector<boost::asio::const_buffer> buffers{boost::asio::const_buffer(frame.data(), *size)};
  Result<void> sent = co_await write_all(requests_.get(), &buffers);
  if (!sent) co_return sent;
  while (!second_ && !closed_) co_await arrival_.wait();
  if (closed_ || !second_) co_return Errc::cancelled;
  replies_ = std::move(second_->stream);
  co_return Result<void>{};
}

/// Step 2: decide, make a new identity durable, tell the primary.
Awaitable<Result<void>> Session::answer() {
  const wire::SecondHello hello = second_->hello;
  const core::PrimaryFacts facts{hello.resuid,
                                 hello.virgin,
                                 {hello.localcnt, hello.remotecnt},
                                 hello.native.generations,
                                 hello.native.inconsistent};
  const bool native = version_ >= wire::kNativeVersion;
  if (native) heartbeat_ = agreed_heartbeat(settings_.heartbeat, hello.native.heartbeat_ms);
  wire::SecondReply reply;
  reply.datasize = static_cast<std::int64_t>(secondary_.layout().data_bytes);
  reply.extentsize = static_cast<std::int32_t>(secondary_.layout().extent_bytes);
  reply.remotecnt = secondary_.metadata().remotecnt;
  reply.native.generations = secondary_.metadata().generations;
  reply.native.sector_bytes = secondary_.sector_bytes();
  reply.native.max_io_bytes = wire::kMaxIoBytes;
  reply.native.heartbeat_ms = static_cast<std::uint32_t>(settings_.heartbeat.count());
  reply.native.boot = ports_.boot;
  const std::uint64_t own_resuid = secondary_.metadata().resuid;

  // Two steps at once would decide on old facts: the former identity is durable first.
  while (!secondary_.identity_durable() && !closed_) co_await identity_.wait();
  Result<core::SyncDecision> decision = secondary_.decide(facts);
  while (!secondary_.identity_durable() && !closed_) co_await identity_.wait();
  if (closed_) co_return Errc::cancelled;
  if (secondary_.identity_failed())
    decision = Error{Errc::io_failed, 0,
                     "what the handshake decided cannot be stored on the secondary's component"};
  // As decided.
  reply.localcnt = secondary_.metadata().localcnt;
  reply.native.inconsistent = secondary_.metadata().inconsistent;
  reply.native.outdated = secondary_.metadata().outdated;

  std::vector<std::byte> map;
  Result<void> outcome;
  if (decision) {
    split_brain_ = false;
    const bool regular = decision->kind == core::SyncKind::regular;
    if (regular && ports_.random.rarely()) decision->kind = core::SyncKind::full;
    map = secondary_.map_for(*decision);
    reply.virgin = decision->virgin;
    reply.source = decision->source;
    reply.mapsize = static_cast<std::uint32_t>(map.size());
  } else if (decision.error().code == Errc::split_brain) {
    reply.errmsg = "Split-brain condition!";
    outcome = Errc::split_brain;
    if (!split_brain_) observer_.session_split_brain();
    split_brain_ = true;
  } else if (decision.error().code != Errc::resuid_mismatch) {
    reply.errmsg = decision.error().message();
    outcome = decision.error();
  } else {
    reply.errmsg = fmt::format("Resource unique ID mismatch (primary={}, secondary={}).",
                               hello.resuid, own_resuid);
    outcome = decision.error();
  }
  Result<void> sent = co_await send_answer(std::move(reply), std::move(map));
  if (!sent) co_return sent;
  co_return outcome;
}

Awaitable<Result<void>> Session::send_answer(wire::SecondReply reply, std::vector<std::byte> map) {
  std::vector<std::byte> scratch(map.size() + 64);
  ConstByteSpan payload;
  if (!map.empty()) {
    const wire::EncodedPayload encoded = wire::encode_payload(map, payload_options(), scratch);
    reply.payload = encoded.info;
    payload = encoded.bytes;
  }
  std::vector<std::byte> frame(wire::kMaxEncodedBytes);
  Result<std::size_t> size = wire::encode(reply, version_, frame);
  if (!size) co_return std::move(size).error();
  std::vector<boost::asio::const_buffer> buffers{
      boost::asio::const_buffer(frame.data(), *size),
      boost::asio::const_buffer(payload.data(), payload.size())};
  if (payload.empty()) buffers.pop_back();
  co_return co_await write_all(requests_.get(), &buffers);
}

// Traffic -----------------------------------------------------------------------------------------

Awaitable<void> Session::serve() {
  connected_ = true;
  waiting_for_slot_ = heartbeat_due_ = false;
  complaints_.forget();
  last_sent_ = ports_.clock.now();
  deadline_ = last_sent_ + silence();
  secondary_.session_started(version_ >= wire::kNativeVersion ? core::Secondary::Dialect::native
                                                              : core::Secondary::Dialect::original);
  log_.info("Primary {} connected (protocol version {}).", requests_->peer(), version_);
  observer_.session_connected();
  traffic_.spawn(read_requests());
  traffic_.spawn(write_replies());
  co_await traffic_.join();
  secondary_.session_ended();
  connected_ = false;
  sending_since_.reset();
  if (!stopping_) {
    const Error error = reason_.value_or(Error{Errc::connection_closed});
    log_.warning("Primary {} disconnected: {}", requests_->peer(), error.message());
  }
  observer_.session_disconnected();
}

Awaitable<void> Session::read_requests() {
  FrameReader reader(*requests_, turn_end_);
  Result<void> taken;
  turn_end_.open();
  while (taken && !closed_) {
    std::optional<Result<Frame>> frame = reader.buffered_frame();
    if (!frame) {
      taken = co_await reader.more();
    } else if (!*frame) {
      taken = std::move(*frame).error();
    } else if (Result<wire::Request> request = wire::decode_request((*frame)->nv); !request) {
      taken = std::move(request).error();
    } else if (std::optional<Result<void>> at_once = take_at_once(reader, *request)) {
      taken = *std::move(at_once);
    } else {
      taken = co_await take_request(&reader, *request);
    }
  }
  turn_end_.close();
  if (!taken) fail(taken.error());
}

void Session::take_up(core::PeerRequest& request, const wire::Request& message) const {
  request.kind = kind_of(message.command);
  request.order = {order_of(message.command), message.current, message.generations};
  request.seq = message.seq;
  request.offset_bytes = message.offset_bytes;
  request.length_bytes = message.length_bytes;
  request.memsync = message.memsync;
  request.fua = message.fua;
}

/// Nothing when there is something to wait for: a slot, or the rest of the payload.
std::optional<Result<void>> Session::take_at_once(FrameReader& reader,
                                                  const wire::Request& message) {
  deadline_ = ports_.clock.now() + silence();
  if (message.command == wire::Command::keepalive) return Result<void>{};
  const bool is_unknown = message.command == wire::Command::unknown;
  if ((is_unknown || message.command > wire::Command::keepalive) && version_ < wire::kNativeVersion)
    return Error{Errc::malformed, 0, "a command that version 2 does not know"};
  if (is_unknown) return std::nullopt;
  const bool is_write = message.command == wire::Command::write;
  if (is_write && (message.length_bytes > core::kMaxPeerIoBytes ||
                   !reader.has_buffered(message.payload.size_bytes)))
    return std::nullopt;
  core::PeerRequest* request = secondary_.acquire();
  if (request == nullptr) return std::nullopt;
  take_up(*request, message);
  if (is_write) {
    Result<void> got =
        reader.buffered_payload(message.payload, ByteSpan(request->buffer, message.length_bytes));
    if (!got) {
      secondary_.abandon(*request);  // INV-8: what is not whole and verified reaches no disk
      return got;
    }
  }
  secondary_.submit(*request);
  return Result<void>{};
}

/// nullptr when the session ends while it waits.
Awaitable<core::PeerRequest*> Session::free_request() {
  for (;;) {
    if (closed_) co_return nullptr;
    if (core::PeerRequest* request = secondary_.acquire()) {
      if (std::exchange(waiting_for_slot_, false)) deadline_ = ports_.clock.now() + silence();
      co_return request;
    }
    waiting_for_slot_ = true;
    turn_end_.close();
    co_await freed_.wait();
    turn_end_.open();
  }
}

/// Longer than that without a request or keepalive and the primary is dead.
port::Duration Session::silence() const {
  return heartbeat_ > port::Duration{} ? kHeartbeatsMissed * heartbeat_ : kSilence;
}

Awaitable<Result<void>> Session::take_request(FrameReader* reader, wire::Request message) {
  core::PeerRequest* request = co_await free_request();
  if (request == nullptr) co_return Errc::cancelled;
  take_up(*request, message);
  if (message.command == wire::Command::unknown) {
    // Of a later version: refused, and the stream goes on.
    Result<void> skipped = co_await reader->drain(message.payload.size_bytes);
    if (skipped) {
      secondary_.refuse(*request, EOPNOTSUPP);
    } else {
      secondary_.abandon(*request);
    }
    co_return skipped;
  }
  if (request->kind == IoKind::write) co_return co_await take_write(reader, message, request);
  secondary_.submit(*request);
  co_return Result<void>{};
}

Awaitable<Result<void>> Session::take_write(FrameReader* reader, wire::Request message,
                                            core::PeerRequest* request) {
  if (message.length_bytes > core::kMaxPeerIoBytes) {
    // Refused, but the stream goes on: the payload is skipped (the original loses its framing
    // here).
    Result<void> skipped = co_await reader->drain(message.payload.size_bytes);
    if (skipped) {
      secondary_.refuse(*request, EINVAL);
    } else {
      secondary_.abandon(*request);
    }
    co_return skipped;
  }
  Result<void> got =
      co_await reader->payload(message.payload, ByteSpan(request->buffer, message.length_bytes));
  if (!got) {
    secondary_.abandon(*request);  // INV-8: what is not whole and verified reaches no disk
    co_return got;
  }
  secondary_.submit(*request);
  co_return Result<void>{};
}

void Session::fill(FrameWriter& writer) {
  writer.set_options(payload_options());
  while (writer.has_room()) {
    core::PeerReply* reply = secondary_.next_reply();
    if (reply == nullptr) break;
    const core::PeerRequest& request = *reply->request;
    batch_.push_back(reply);
    wire::Reply message;
    message.seq = request.seq;
    message.received = reply->received;
    message.error = reply->received ? 0 : request.error;
    const bool has_data = !reply->received && request.kind == IoKind::read && request.error == 0;
    writer.add(message,
               has_data ? ConstByteSpan(request.buffer, request.length_bytes) : ConstByteSpan{});
  }
  if (std::exchange(heartbeat_due_, false) && writer.empty()) {
    wire::Reply alive;
    alive.heartbeat = true;
    writer.add(alive, {});
  }
}

void Session::batch_left() {
  for (core::PeerReply* reply : batch_) secondary_.reply_sent(*reply);
  batch_.clear();
}

/// Sends what flush() could not, see Link::write_requests().
Awaitable<void> Session::write_replies() {
  FrameWriter writer(*replies_, payload_options(), version_, core::kMaxPeerIoBytes);
  batch_.reserve(FrameWriter::kMaxFrames);
  writer_ = &writer;
  while (!closed_) {
    if (writer.empty()) fill(writer);
    if (writer.empty()) {
      co_await outgoing_.wait();
      continue;
    }
    last_sent_ = ports_.clock.now();
    sending_since_ = last_sent_;
    Result<void> sent = co_await writer.send();
    sending_since_.reset();
    batch_left();
    if (!sent) fail(sent.error());
  }
  writer_ = nullptr;
  batch_left();
}

void Session::flush() {
  if (closed_ || writer_ == nullptr || !outgoing_.has_waiter()) return;
  for (;;) {
    fill(*writer_);
    if (writer_->empty()) return;
    if (Result<void> sent = writer_->try_send(); !sent) return fail(sent.error());
    if (!writer_->empty()) return outgoing_.notify();
    batch_left();
  }
}

Awaitable<void> Session::watch() {
  while (!stopping_) {
    co_await watch_timer_->wait_for(watch_interval(heartbeat_));
    if (!closed_ && !stopping_) check_deadlines(ports_.clock.now());
  }
}

void Session::check_deadlines(port::TimePoint now) {
  if (deadline_ && now > *deadline_ && !waiting_for_slot_)
    return fail(Error{Errc::timed_out, 0,
                      connected_ ? "nothing was heard from the primary"
                                 : "the primary did not finish the handshake"});
  if (sending_since_ && now - *sending_since_ > settings_.timeout)
    return fail(Error{Errc::timed_out, 0, "the primary does not take replies"});
  const bool native = connected_ && heartbeat_ > port::Duration{};
  if (!native || now - last_sent_ < heartbeat_) return;
  heartbeat_due_ = true;
  outgoing_.notify();
}

}  // namespace hast::engine
