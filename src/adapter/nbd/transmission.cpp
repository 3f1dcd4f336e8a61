// Input: from bytes to submitted pieces. What comes back is in transmission_reply.cpp.
#include "hast/adapter/nbd/transmission.hpp"

#include <algorithm>
#include <cstring>

#include "hast/adapter/split.hpp"
#include "hast/base/turn.hpp"

namespace hast::adapter::nbd {

namespace {

IoKind kind_of(std::uint16_t type) {
  switch (type) {
    case NBD_CMD_WRITE:
      return IoKind::write;
    case NBD_CMD_FLUSH:
      return IoKind::flush;
    case NBD_CMD_TRIM:
      return IoKind::discard;
    case NBD_CMD_WRITE_ZEROES:
      return IoKind::write_zeroes;
    default:
      return IoKind::read;
  }
}

}  // namespace

Transmission::Transmission(port::RequestSink& sink, ReplyStyle style,
                           const TransmissionLimits& limits, Owner& owner)
    : sink_(sink),
      volume_(sink.volume()),
      style_(style),
      limits_(limits),
      owner_(owner),
      commands_(std::make_unique<Command[]>(limits.commands)),
      pieces_(std::make_unique<Piece[]>(limits.pieces)),
      input_(std::make_unique_for_overwrite<std::byte[]>(limits.input_bytes)) {
  for (std::size_t i = 0; i < limits.commands; ++i) {
    commands_[i].reply.command = &commands_[i];
    free_commands_.push_back(commands_[i]);
  }
  for (std::size_t i = 0; i < limits.pieces; ++i) {
    pieces_[i].owner = this;
    pieces_[i].output.piece = &pieces_[i];
    free_pieces_.push_back(pieces_[i]);
  }
}

Transmission::~Transmission() {
  HAST_ASSERT(is_quiet());
  while (free_commands_.pop_front() != nullptr) {
  }
  while (free_pieces_.pop_front() != nullptr) {
  }
}

void Transmission::Command::open(const Request& from, ReplyStyle style,
                                 const TransmissionLimits& limits) {
  request = from;
  kind = kind_of(from.type);
  next = kind == IoKind::flush ? 0 : from.offset_bytes;
  end = kind == IoKind::flush ? 0 : from.offset_bytes + from.length_bytes;
  streamed = 0;
  held = in_sink = 0;
  uses = 1;
  unanswered = true;
  streaming = false;
  error = {};
  has_error_offset = false;

  const bool is_split = piece_bytes(kind, next, end - next) < end - next;
  in_order = kind == IoKind::read &&
             (style == ReplyStyle::simple || (is_split && from.has(NBD_CMD_FLAG_DF)));
  probing = limits.careful && in_order && is_split;
  // One flush after many pieces does what FUA on each of them would.
  const bool durable = from.has(NBD_CMD_FLAG_FUA) && kind != IoKind::read;
  fua = durable && !is_split;
  flush_due = kind == IoKind::flush || (durable && is_split);
}

// Bytes in --------------------------------------------------------------------------------------

std::span<const iovec> Transmission::receive_space() {
  if (!reading_ || !hungry_) return {};
  std::size_t count = 0;
  if (filling_ != nullptr) {
    // Straight into the slot; what follows the request's last byte is other requests.
    const std::uint64_t length =
        piece_bytes(IoKind::write, current_->next, current_->end - current_->next);
    space_[count++] = {filling_->slot->buffer + filled_, length - filled_};
    if (current_->next + length != current_->end) return {space_.data(), count};
  }
  if (input_begin_ > 0) {
    std::memmove(input_.get(), input_.get() + input_begin_, buffered());
    input_end_ = buffered();
    input_begin_ = 0;
  }
  space_[count++] = {input_.get() + input_end_,
                     std::min(limits_.input_bytes - input_end_, input_share())};
  return {space_.data(), count};
}

/// As many small writes at once as are under way already: while those are taken in, the peer works
/// on these. All at once, one node would wait for the other in turn.
std::size_t Transmission::input_share() const {
  return std::max(in_sink_, kLeastShare) * (kRequestBytes + kSmallWrite);
}

bool Transmission::receives_large_payload() const {
  return stage_ == Stage::payload && current_->request.length_bytes >= kLargePayloadBytes;
}

void Transmission::received(std::size_t bytes) {
  if (filling_ != nullptr) {
    const std::uint64_t length =
        piece_bytes(IoKind::write, current_->next, current_->end - current_->next);
    const std::uint64_t direct = std::min<std::uint64_t>(bytes, length - filled_);
    filled_ += static_cast<std::uint32_t>(direct);
    bytes -= direct;
  }
  input_end_ += bytes;
  progress();
  if (has_output()) owner_.work_ready();  // refusals
}

void Transmission::progress() {
  out_of_pieces_ = false;
  submit_pending();
  while (reading_ && consume()) {
  }
  if (reserved_ != nullptr) sink_.release(*std::exchange(reserved_, nullptr));
  if (!reading_ || hungry_) owner_.input_ready();
  check_quiet();
}

bool Transmission::wants_progress() const {
  return !waiting_for_slot_ && !out_of_pieces_ && (!pending_.empty() || (reading_ && !hungry_));
}

bool Transmission::consume() {
  switch (stage_) {
    case Stage::head:
      return consume_head();
    case Stage::payload:
      return consume_payload();
    case Stage::skip:
      return consume_skip();
  }
  return false;
}

bool Transmission::consume_head() {
  hungry_ = buffered() < kRequestBytes;
  if (hungry_ || waiting_for_slot_ || out_of_pieces_ || free_commands_.empty()) return false;
  const std::optional<Request> request =
      decode_request({input_.get() + input_begin_, kRequestBytes});
  if (!request) {
    // Nothing after it can be understood. What was accepted before is still answered.
    reading_ = false;
    owner_.failed("it sent a request with a wrong magic number");
    return false;
  }
  input_begin_ += kRequestBytes;
  if (request->type == NBD_CMD_DISC) {
    reading_ = false;
    return false;
  }
  begin(*request);
  return true;
}

void Transmission::begin(const Request& request) {
  Command& command = *free_commands_.pop_front();
  const Refusal refusal = check_request(request, volume_, style_);
  command.open(request, style_, limits_);
  command.error = refusal;
  if (request.type == NBD_CMD_WRITE) {
    current_ = &command;
    stage_ = refusal.error == 0 ? Stage::payload : Stage::skip;
    skip_ = request.length_bytes;
  } else if (refusal.error != 0) {
    answer(command);
  } else {
    pending_.push_back(command);
    submit_pending();
  }
}

bool Transmission::consume_payload() {
  Command& command = *current_;
  if (filling_ == nullptr) {
    if (command.error.error != 0) {  // the rest of a failed write is not worth a slot
      stage_ = Stage::skip;
      skip_ = command.end - command.next;
      return true;
    }
    filling_ = take_piece(command);
    filled_ = 0;
    hungry_ = false;
    if (filling_ == nullptr) return false;
  }
  const std::uint64_t length = piece_bytes(IoKind::write, command.next, command.end - command.next);
  const std::uint64_t copied = std::min<std::uint64_t>(buffered(), length - filled_);
  std::memcpy(filling_->slot->buffer + filled_, input_.get() + input_begin_, copied);
  input_begin_ += copied;
  filled_ += static_cast<std::uint32_t>(copied);
  hungry_ = filled_ < length;
  if (hungry_) return false;
  submit_filled();
  return true;
}

void Transmission::submit_filled() {
  Command& command = *current_;
  Piece& piece = *std::exchange(filling_, nullptr);
  const bool is_last = command.next + filled_ == command.end;
  submit(piece, IoKind::write, command.next, filled_);
  if (is_last) payload_ended();
}

bool Transmission::consume_skip() {
  const std::uint64_t skipped = std::min<std::uint64_t>(buffered(), skip_);
  input_begin_ += skipped;
  skip_ -= skipped;
  hungry_ = skip_ > 0;
  if (hungry_) return false;
  payload_ended();
  return true;
}

void Transmission::payload_ended() {
  Command& command = *std::exchange(current_, nullptr);
  stage_ = Stage::head;
  command.next = command.end;
  if (command.in_sink == 0) conclude(command);
}

// Pieces ----------------------------------------------------------------------------------------

/// nullptr: there is none now, and whoever wanted it goes on in progress().
Transmission::Piece* Transmission::take_piece(Command& command) {
  if (free_pieces_.empty()) out_of_pieces_ = true;
  if (waiting_for_slot_ || out_of_pieces_) return nullptr;
  port::IoRequest* slot = std::exchange(reserved_, nullptr);
  if (slot == nullptr) slot = sink_.acquire();
  if (slot == nullptr) {
    waiting_for_slot_ = true;
    sink_.wait_for_slot(*this);
    return nullptr;
  }
  Piece& piece = *free_pieces_.pop_front();
  piece.slot = slot;
  piece.command = &command;
  ++command.held;
  ++command.uses;
  return &piece;
}

void Transmission::submit(Piece& piece, IoKind kind, std::uint64_t offset_bytes,
                          std::uint64_t length_bytes) {
  Command& command = *piece.command;
  port::IoRequest& slot = *piece.slot;
  piece.arrived = false;
  slot.kind = kind;
  slot.fua = command.fua;
  slot.offset_bytes = offset_bytes;
  slot.length_bytes = length_bytes;
  slot.error = 0;
  slot.owner = &piece;
  slot.completed = &Transmission::completed;
  command.next += length_bytes;
  ++command.in_sink;
  ++in_sink_;
  if (command.in_order) command.pieces.push_back(piece);
  sink_.submit(slot);
}

void Transmission::release(Piece& piece) {
  Command& command = *piece.command;
  sink_.release(*std::exchange(piece.slot, nullptr));
  free_pieces_.push_back(piece);
  out_of_pieces_ = false;
  --command.held;
  drop_use(command);
}

/// In order of arrival, and nobody overtakes a command that wants a slot and may have one. So a
/// stream gets the next slot of its connection: pieces that cannot leave before the stream has
/// ended were taken while it held some itself, and can never be all the slots there are.
void Transmission::submit_pending() {
  for (auto next = pending_.begin(); next != pending_.end();) {
    Command& command = *next;
    ++next;
    while (command.has_pending() && command.held < limits_.window) {
      Piece* piece = take_piece(command);
      if (piece == nullptr) return;
      submit_next(command, *piece);
    }
    if (!command.has_pending()) pending_.erase(command);
  }
}

void Transmission::submit_next(Command& command, Piece& piece) {
  if (command.all_submitted()) {
    command.flush_due = false;
    submit(piece, IoKind::flush, 0, 0);
  } else {
    submit(piece, command.kind, command.next,
           piece_bytes(command.kind, command.next, command.end - command.next));
  }
}

void Transmission::slot_freed() {
  waiting_for_slot_ = false;
  reserved_ = sink_.acquire();
  owner_.work_ready();
}

void Transmission::stop_waiting() {
  if (std::exchange(waiting_for_slot_, false)) sink_.cancel_wait(*this);
  if (reserved_ != nullptr) sink_.release(*std::exchange(reserved_, nullptr));
}

}  // namespace hast::adapter::nbd
