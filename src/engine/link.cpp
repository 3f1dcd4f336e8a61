#include "hast/engine/link.hpp"

#include "hast/engine/heartbeat.hpp"

#include <algorithm>
#include <cerrno>

namespace hast::engine {

namespace {

using namespace std::chrono_literals;

constexpr port::Duration kFirstDelay = 500ms;
constexpr port::Duration kLastDelay = 5s;      // INV-13: a healed network is found within seconds
constexpr port::Duration kRefusedDelay = 10s;  // nothing but an operator can change it
constexpr port::Duration kKeepaliveInterval = 10s;                      // wire-protocol §6.2
constexpr std::string_view kSplitBrainText = "Split-brain condition!";  // wire-protocol §5.3

bool needs_operator(Errc code) {
  return code == Errc::split_brain || code == Errc::resuid_mismatch || code == Errc::size_mismatch;
}

wire::Command command_of(core::PeerOrder::Kind kind) {
  switch (kind) {
    case core::PeerOrder::Kind::sync_begin:
      return wire::Command::sync_begin;
    case core::PeerOrder::Kind::sync_end:
      return wire::Command::sync_end;
    case core::PeerOrder::Kind::alone:
      return wire::Command::alone;
    case core::PeerOrder::Kind::goodbye:
    case core::PeerOrder::Kind::none:
      break;
  }
  return wire::Command::goodbye;
}

wire::Command command_of(IoKind kind, std::uint8_t version) {
  switch (kind) {
    case IoKind::read:
      return wire::Command::read;
    case IoKind::write:
      return wire::Command::write;
    case IoKind::write_zeroes:  // to an original as the write of a hole
      return version >= wire::kNativeVersion ? wire::Command::write_zeroes : wire::Command::write;
    case IoKind::discard:
      return wire::Command::discard;
    case IoKind::flush:
      break;
  }
  return wire::Command::flush;
}

wire::Request request_for(const core::RemoteOp& op, std::uint8_t version) {
  wire::Request request;
  request.seq = op.seq;
  if (op.order != nullptr) {
    request.command = command_of(op.order->kind);
    request.current = op.order->current;
    request.generations = op.order->generations;
    return request;
  }
  request.command = command_of(op.kind, version);
  request.offset_bytes = op.offset_bytes;
  request.length_bytes = op.length_bytes;
  request.memsync = op.memsync && version >= 2;
  request.fua = op.fua;
  return request;
}

}  // namespace

Link::Link(Executor executor, const ResourceSettings& settings, Ports ports, core::Primary& primary,
           LinkObserver& observer, TurnEnd& turn_end, Log log)
    : settings_(settings),
      ports_(ports),
      primary_(primary),
      observer_(observer),
      turn_end_(turn_end),
      log_(std::move(log)),
      tasks_(executor),
      traffic_(executor),
      dialer_(ports.net.make_dialer(executor)),
      back_off_timer_(ports.clock.make_timer(executor)),
      watch_timer_(ports.clock.make_timer(executor)),
      delay_(kFirstDelay) {}

Link::~Link() { HAST_ASSERT(!connected_); }

void Link::start() {
  tasks_.spawn(run());
  tasks_.spawn(watch());
}

Awaitable<void> Link::stop() {
  stopping_ = true;
  back_off_timer_->cancel();
  watch_timer_->cancel();
  close();
  co_await tasks_.join();
}

void Link::drop(Error why) {
  if (!connected_ || closed_) return;
  reason_ = std::move(why);
  close();
}

void Link::abandon(Error why) {
  if (connected_ || closed_) return;
  reason_ = std::move(why);
  close();
}

/// Ends every wait of the present connection or attempt. Whatever was about to be waited for next
/// looks at closed_ first.
void Link::close() {
  closed_ = true;
  dialer_->cancel();
  if (connection_.requests) connection_.requests->close();
  if (connection_.replies) connection_.replies->close();
  identity_.notify();
  outgoing_.notify();
}

void Link::set_settings(const ResourceSettings& settings) {
  const bool moved = settings.remote != settings_.remote || settings.source != settings_.source;
  settings_ = settings;
  if (!moved) return;
  const Error moved_away{Errc::cancelled, 0, "the configured address changed"};
  drop(moved_away);
  abandon(moved_away);
  delay_ = kFirstDelay;
  back_off_timer_->cancel();
}

/// One connection after the other until stop().
Awaitable<void> Link::run() {
  while (!stopping_) {
    if (!settings_.remote) {
      trouble_ = "no remote address is configured";
      co_await back_off_timer_->wait_for(24h);  // set_settings() and stop() end it
      continue;
    }
    closed_ = false;
    reason_.reset();
    Result<void> up = co_await connect();
    handshake_deadline_.reset();
    if (up) {
      co_await serve();
    } else {
      failed(up.error());
    }
    connection_ = {};
    if (!stopping_) co_await back_off();
  }
}

Awaitable<void> Link::back_off() {
  const bool hopeless = reason_ && needs_operator(reason_->code);
  const port::Duration delay = hopeless ? kRefusedDelay : delay_;
  delay_ = std::min(delay_ * 2, kLastDelay);
  // ±25 %, so that two nodes, or many resources, do not knock in step.
  const auto quarter = static_cast<std::uint64_t>(delay.count() / 4);
  const auto jitter = static_cast<std::int64_t>(ports_.random.next_u64() % (2 * quarter + 1));
  co_await back_off_timer_->wait_for(delay - port::Duration(quarter) + port::Duration(jitter));
}

/// Says why there is no connection: once, and again when the reason changes or after a long time.
void Link::failed(const Error& error) {
  if (stopping_) return;
  if (!reason_) reason_ = error;
  trouble_ = reason_->message();
  const bool is_split = reason_->code == Errc::split_brain;
  if (is_split && !split_brain_) observer_.link_split_brain();
  split_brain_ = is_split;
  if (reason_->code == Errc::cancelled) {  // nothing is wrong, and the next attempt is due
    trouble_ = reason_->detail;
    log_.debug("Connecting again: {}.", trouble_);
    return;
  }
  if (!complaints_.passes(trouble_, ports_.clock.now())) return;
  const std::string peer = settings_.remote ? to_string(*settings_.remote) : "none";
  if (needs_operator(reason_->code)) {
    log_.error("No connection to {}: {}", peer, trouble_);
  } else {
    log_.warning("No connection to {}: {}", peer, trouble_);
  }
}

// Handshake ---------------------------------------------------------------------------------------

Awaitable<Result<void>> Link::connect() {
  const std::optional<Address> source = settings_.source;
  const Address remote = *settings_.remote;  // a copy: a reload may change it meanwhile
  const auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(settings_.timeout);
  Result<std::unique_ptr<port::Stream>> first = co_await dialer_->dial(remote, source, timeout);
  if (!first) co_return std::move(first).error();
  if (closed_) co_return Errc::cancelled;
  connection_.requests = std::move(first).value();
  handshake_deadline_ = ports_.clock.now() + settings_.timeout;

  FrameReader reader(*connection_.requests, 2 * wire::kMaxNvBytes);
  Result<wire::FirstReply> hello = co_await first_step(&reader);
  if (!hello) co_return std::move(hello).error();
  connection_.version = last_version_ = hello->version;
  if (closed_) co_return Errc::cancelled;

  Result<std::unique_ptr<port::Stream>> second = co_await dialer_->dial(remote, source, timeout);
  if (!second) co_return std::move(second).error();
  if (closed_) co_return Errc::cancelled;
  connection_.replies = std::move(second).value();

  // The resource id is told only once it is durable: a peer would remember it for ever.
  primary_.prepare_identity();
  while (!primary_.identity_durable() && !closed_) co_await identity_.wait();
  if (closed_) co_return Errc::cancelled;
  handshake_deadline_ = ports_.clock.now() + settings_.timeout;
  co_return co_await second_step(&reader, *hello);
}

Awaitable<Result<void>> Link::send_frame(port::Stream* stream, std::vector<std::byte> frame) {
  std::vector<boost::asio::const_buffer> buffers{
      boost::asio::const_buffer(frame.data(), frame.size())};
  co_return co_await write_all(stream, &buffers);
}

namespace {

template <class Message>
Result<std::vector<std::byte>> frame_of(const Message& message, std::uint8_t version) {
  std::vector<std::byte> frame(wire::kMaxEncodedBytes);
  Result<std::size_t> size = wire::encode(message, version, frame);
  if (!size) return std::move(size).error();
  frame.resize(*size);
  return frame;
}

}  // namespace

Awaitable<Result<wire::FirstReply>> Link::first_step(FrameReader* reader) {
  wire::FirstHello hello;
  hello.resource = settings_.name;
  hello.version = settings_.protocol;
  Result<std::vector<std::byte>> frame =
      frame_of(hello, std::min(last_version_, settings_.protocol));
  if (!frame) co_return std::move(frame).error();
  Result<void> sent = co_await send_frame(connection_.requests.get(), std::move(frame).value());
  if (!sent) co_return std::move(sent).error();
  Result<Frame> answer = co_await reader->next();
  if (!answer) co_return std::move(answer).error();
  Result<wire::FirstReply> reply = wire::decode_first_reply(answer->nv);
  if (reply && reply->version > hello.version)
    co_return Error{Errc::version_mismatch, 0, "the peer chose a version that was not offered"};
  co_return reply;
}

Awaitable<Result<void>> Link::second_step(FrameReader* reader, wire::FirstReply first) {
  const core::PrimaryFacts facts = primary_.facts();
  wire::SecondHello hello;
  hello.resource = settings_.name;
  hello.token = first.token;
  hello.virgin = facts.virgin;
  hello.resuid = facts.resuid;
  hello.localcnt = facts.counters.local;
  hello.remotecnt = facts.counters.remote;
  hello.native.generations = facts.generations;
  hello.native.inconsistent = facts.inconsistent;
  hello.native.sector_bytes = primary_.volume().sector_bytes;
  hello.native.max_io_bytes = wire::kMaxIoBytes;
  hello.native.heartbeat_ms = static_cast<std::uint32_t>(settings_.heartbeat.count());
  hello.native.boot = ports_.boot;
  Result<std::vector<std::byte>> frame = frame_of(hello, connection_.version);
  if (!frame) co_return std::move(frame).error();
  Result<void> sent = co_await send_frame(connection_.replies.get(), std::move(frame).value());
  if (!sent) co_return std::move(sent).error();

  Result<Frame> received = co_await reader->next();
  if (!received) co_return std::move(received).error();
  Result<wire::SecondReply> reply = wire::decode_second_reply(received->nv);
  if (!reply) co_return std::move(reply).error();
  Result<core::PeerAnswer> answer = check_answer(*reply);
  if (!answer) co_return std::move(answer).error();
  std::vector<std::byte> map(reply->mapsize);
  if (reply->mapsize > 0) {
    Result<void> got = co_await reader->payload(reply->payload, map);
    if (!got) co_return std::move(got).error();
    answer->map = map;
  }
  if (closed_) co_return Errc::cancelled;
  connection_.heartbeat = agreed_heartbeat(settings_.heartbeat, reply->native.heartbeat_ms);
  Result<void> up = primary_.link_up(*answer, facts);
  if (!up && up.error().code == Errc::peer_waits)
    co_return Error{Errc::cancelled, 0, "writes overtook the handshake"};
  co_return up;
}

/// Everything about the answer that can be judged before its map is received.
Result<core::PeerAnswer> Link::check_answer(const wire::SecondReply& reply) const {
  if (!reply.errmsg.empty()) {
    if (reply.errmsg == kSplitBrainText) return Errc::split_brain;
    return Error{Errc::peer_refused, 0, "the peer says: " + reply.errmsg};
  }
  const std::uint64_t size = primary_.volume().size_bytes;
  const std::uint32_t extent = primary_.extent_bytes();
  if (reply.datasize < 0 || static_cast<std::uint64_t>(reply.datasize) != size)
    return Error{Errc::size_mismatch, 0,
                 fmt::format("this node has {} data bytes, the peer {}", size, reply.datasize)};
  if (reply.extentsize < 0 || static_cast<std::uint32_t>(reply.extentsize) != extent)
    return Error{
        Errc::size_mismatch, 0,
        fmt::format("this node has extents of {} bytes, the peer of {}", extent, reply.extentsize)};
  const std::uint32_t sector = primary_.volume().sector_bytes;
  if (reply.native.sector_bytes > sector)
    return Error{Errc::size_mismatch, 0,
                 fmt::format("this node has sectors of {} bytes, the peer of {}: clients' requests "
                             "would not fit there. Give the node with the larger sectors the role "
                             "primary, or replace one of the disks",
                             sector, reply.native.sector_bytes)};
  // Both new: no map. Otherwise at least ours; an original sends as much as its component's size
  // would need, which may be more than the volume does, but not out of all proportion (INV-9).
  const std::uint64_t own = primary_.map_bytes();
  const std::uint64_t least = reply.virgin ? 0 : own;
  const std::uint64_t most = 8 * own + 1024 * 1024;
  if (reply.mapsize < least || reply.mapsize > most ||
      (reply.mapsize > 0) != reply.payload.present())
    return Error{Errc::malformed, 0, "the peer's map has an impossible size"};
  core::PeerAnswer answer;
  answer.datasize = size;
  answer.extentsize = extent;
  answer.counters = {reply.localcnt, reply.remotecnt};
  answer.virgin = reply.virgin;
  answer.source = reply.source;
  answer.native = connection_.version >= wire::kNativeVersion;
  answer.generations = reply.native.generations;
  answer.inconsistent = reply.native.inconsistent;
  answer.boot = reply.native.boot;
  return answer;
}

// Traffic -----------------------------------------------------------------------------------------

Awaitable<void> Link::serve() {
  connected_ = true;
  split_brain_ = false;
  trouble_.clear();
  complaints_.forget();
  const port::TimePoint began = ports_.clock.now();
  last_reply_ = last_heard_ = last_sent_ = began;
  log_.info("Connected to {} (protocol version {}).", connection_.requests->peer(),
            connection_.version);
  observer_.link_connected();
  traffic_.spawn(read_replies());
  traffic_.spawn(write_requests());
  co_await traffic_.join();
  connected_ = false;
  // One that ends at once will do so again: it counts as an attempt that failed (INV-13).
  if (ports_.clock.now() - began >= kLastDelay) delay_ = kFirstDelay;
  // Nobody touches a buffer any more: now the core may give them back.
  primary_.link_down();
  if (!reason_) reason_ = Error{Errc::connection_closed};
  if (!stopping_) {
    trouble_ = reason_->message();
    log_.warning("Connection to {} lost: {}", connection_.requests->peer(), trouble_);
  }
  observer_.link_disconnected();
}

Awaitable<void> Link::read_replies() {
  FrameReader reader(*connection_.replies, turn_end_);
  Result<void> taken;
  turn_end_.open();
  while (taken) {
    std::optional<Result<Frame>> frame = reader.buffered_frame();
    if (!frame) {
      taken = co_await reader.more();
    } else if (!*frame) {
      taken = std::move(*frame).error();
    } else if (Result<wire::Reply> reply = wire::decode_reply((*frame)->nv); !reply) {
      taken = std::move(reply).error();
    } else if (std::optional<Result<void>> at_once = take_at_once(reader, *reply)) {
      taken = *std::move(at_once);
    } else {
      taken = co_await take_reply(&reader, *reply);
    }
  }
  turn_end_.close();
  if (!reason_) reason_ = taken.error();
  close();
}

Result<void> Link::check_reply(const core::RemoteOp& op, const wire::Reply& reply) const {
  if (reply.received && reply.error == 0) {
    if (!op.memsync || reply.payload.present())
      return Error{Errc::malformed, 0, "an early reply to a request that asked for none"};
    return {};
  }
  const bool wants_data = op.kind == IoKind::read && reply.error == 0;
  if (wants_data != reply.payload.present())
    return Error{Errc::malformed, 0, "a reply with data where none belongs, or without"};
  return {};
}

/// Nothing when the reader has to wait for the reply's data.
std::optional<Result<void>> Link::take_at_once(FrameReader& reader, const wire::Reply& reply) {
  last_heard_ = ports_.clock.now();
  if (reply.heartbeat) return Result<void>{};
  last_reply_ = last_heard_;
  core::RemoteOp* op = primary_.outbox().find(reply.seq);
  if (op == nullptr || !reader.has_buffered(reply.payload.size_bytes)) return std::nullopt;
  if (Result<void> checked = check_reply(*op, reply); !checked) return checked;
  if (reply.received && reply.error == 0) {
    primary_.reply_received(*op);
    return Result<void>{};
  }
  if (reply.payload.present()) {
    Result<void> got = reader.buffered_payload(reply.payload, ByteSpan(op->data, op->length_bytes));
    if (!got) return got;
  }
  primary_.reply(*op, reply.error);
  return Result<void>{};
}

Awaitable<Result<void>> Link::take_reply(FrameReader* reader, wire::Reply reply) {
  core::RemoteOp* op = primary_.outbox().find(reply.seq);
  if (op == nullptr) {
    log_.debug("Reply to an unknown request {} skipped.", reply.seq);
    co_return co_await reader->drain(reply.payload.size_bytes);
  }
  if (Result<void> checked = check_reply(*op, reply); !checked) co_return checked;
  Result<void> got = co_await reader->payload(reply.payload, ByteSpan(op->data, op->length_bytes));
  if (got) primary_.reply(*op, reply.error);
  co_return got;
}

void Link::fill(FrameWriter& writer) {
  core::Outbox& outbox = primary_.outbox();
  writer.set_options(payload_options());
  while (writer.has_room()) {
    core::RemoteOp* op = outbox.next();
    if (op == nullptr) break;
    const wire::Request request = request_for(*op, writer.version());
    if (request.command != wire::Command::write) {
      writer.add(request, {});
    } else if (op->kind == IoKind::write_zeroes) {
      writer.add_zeroes(request, static_cast<std::uint32_t>(op->length_bytes));
    } else {
      writer.add(request, ConstByteSpan(op->data, op->length_bytes));
    }
  }
  if (keepalive_due_ && writer.empty()) writer.add(wire::Request{}, {});
  keepalive_due_ = false;
}

/// Sends what flush() could not. Both fill batches, never at once: flush() leaves a batch that is
/// on its way to this coroutine.
Awaitable<void> Link::write_requests() {
  FrameWriter writer(*connection_.requests, payload_options(), connection_.version,
                     port::kBlockBytes);
  writer_ = &writer;
  while (!closed_) {
    if (writer.empty()) fill(writer);
    if (writer.empty()) {
      co_await outgoing_.wait();
      continue;
    }
    Result<void> sent = co_await writer.send();
    if (!sent) {
      if (!reason_) reason_ = sent.error();
      break;
    }
    last_sent_ = ports_.clock.now();
  }
  writer_ = nullptr;
  close();
}

void Link::flush() {
  if (closed_ || writer_ == nullptr || !outgoing_.has_waiter()) return;
  for (;;) {
    fill(*writer_);
    if (writer_->empty()) return;
    if (Result<void> sent = writer_->try_send(); !sent) {
      if (!reason_) reason_ = sent.error();
      return close();
    }
    if (!writer_->empty()) return outgoing_.notify();
    last_sent_ = ports_.clock.now();
  }
}

/// The one clock of the link: handshake deadline, overdue replies, keepalives.
Awaitable<void> Link::watch() {
  while (!stopping_) {
    co_await watch_timer_->wait_for(watch_interval(connection_.heartbeat));
    if (!stopping_) check_deadlines();
  }
}

void Link::check_deadlines() {
  const port::TimePoint now = ports_.clock.now();
  if (!connected_) {
    if (handshake_deadline_ && now > *handshake_deadline_)
      abandon(Error{Errc::timed_out, 0, "the peer did not finish the handshake"});
    return;
  }
  if (primary_.outbox().outstanding() == 0) {
    last_reply_ = now;
  } else if (now - last_reply_ > settings_.timeout) {
    return drop(Error{Errc::timed_out, 0, "the peer does not answer requests"});
  }
  judge_silence(now);
}

/// Whoever is silent for three heartbeats is dead; an original sends none.
void Link::judge_silence(port::TimePoint now) {
  const bool native = connection_.heartbeat > port::Duration{};
  if (native && now - last_heard_ > kHeartbeatsMissed * connection_.heartbeat)
    return drop(Error{Errc::timed_out, 0, "nothing was heard from the peer"});
  if (now - last_sent_ < (native ? connection_.heartbeat : kKeepaliveInterval)) return;
  keepalive_due_ = true;
  last_sent_ = now;
  outgoing_.notify();
}

}  // namespace hast::engine
