// Output: from completed pieces to the bytes of replies, and the end.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "hast/adapter/nbd/transmission.hpp"

namespace hast::adapter::nbd {

namespace {

constexpr std::size_t kOutputBytesAtOnce = 1024 * 1024;  // more than socket buffers usually take

constexpr Refusal kWithdrawn = {NBD_ESHUTDOWN, "the export is being withdrawn"};

}  // namespace

// Completions -----------------------------------------------------------------------------------

void Transmission::completed(port::IoRequest& request) {
  Piece& piece = *static_cast<Piece*>(request.owner);
  piece.owner->piece_done(piece);
}

void Transmission::piece_done(Piece& piece) {
  Command& command = *piece.command;
  --in_sink_;
  --command.in_sink;
  if (piece.slot->error != 0) note_error(command, piece.slot->error, piece);
  if (!command.unanswered) {  // nobody waits for it any more
    if (piece.is_linked()) command.pieces.erase(piece);
    release(piece);
  } else if (command.kind == IoKind::read) {
    data_arrived(command, piece);
  } else {
    // What is left of a failed write is still to be received, anything else ends here.
    if (command.error.error != 0 && command.kind != IoKind::write) give_up(command);
    release(piece);
    if (command.is_done()) conclude(command);
  }
  if (has_output() && in_sink_ == 0) {
    owner_.output_complete();
  } else if (has_output() || wants_progress()) {
    owner_.work_ready();
  }
  check_quiet();
}

void Transmission::note_error(Command& command, int error, const Piece& piece) {
  if (command.error.error != 0) return;
  command.error = {nbd_error(error), {}};
  command.has_error_offset = piece.slot->kind != IoKind::flush;
  command.error_offset = piece.offset();
}

void Transmission::data_arrived(Command& command, Piece& piece) {
  if (command.in_order) return arrived_in_order(command, piece);
  if (piece.slot->error != 0) {
    give_up(command);
    release(piece);
  } else {
    const bool is_last = command.is_done() && command.error.error == 0;
    ByteWriter head(piece.output.head);
    if (style_ == ReplyStyle::simple) {
      put_simple_reply(head, 0, command.request.cookie);
    } else {
      put_offset_data(head, is_last ? NBD_REPLY_FLAG_DONE : 0, command.request.cookie,
                      piece.offset(), piece.length());
    }
    send_data(command, piece, head.size());
    if (is_last) close(command);
  }
  if (command.unanswered && command.is_done()) answer(command);
}

/// A reply that is one run of bytes: a long simple reply, or a chunk that must not be fragmented.
/// Once its head has left, there is no place for an error in it, nor for other replies.
void Transmission::arrived_in_order(Command& command, Piece& piece) {
  if (command.probing) return probed(command, piece);
  piece.arrived = true;
  if (command.error.error != 0 && !command.streaming) {
    give_up(command);
    drop_arrived(command);
    if (command.is_done()) answer(command);
    return;
  }
  if (piece.slot->error != 0 && style_ == ReplyStyle::simple) {
    abort();
    owner_.failed("a read failed after its reply had begun");
    return;
  }
  // A chunk is completed with padding, the error chunk follows.
  if (piece.slot->error != 0) std::memset(piece.slot->buffer, 0, piece.length());
  if (!command.pieces.front().arrived) return;
  if (stream_ == nullptr) stream_ = &command;
  if (stream_ == &command) {
    stream_arrived(command);
  } else if (!command.waits_to_stream()) {
    waiting_streams_.push_back(command);
  }
}

void Transmission::probed(Command& command, Piece& piece) {
  command.pieces.erase(piece);
  release(piece);
  if (command.error.error != 0) give_up(command);
  if (!command.is_done()) return;
  if (command.error.error != 0) return answer(command);
  command.probing = false;
  command.next = command.request.offset_bytes;
  pending_.push_back(command);
}

void Transmission::stream_arrived(Command& command) {
  while (!command.pieces.empty() && command.pieces.front().arrived)
    stream(command, *command.pieces.pop_front());
  if (command.streamed == command.request.length_bytes) end_stream(command);
}

void Transmission::stream(Command& command, Piece& piece) {
  const Request& request = command.request;
  ByteWriter head(piece.output.head);
  if (!std::exchange(command.streaming, true)) {
    if (style_ == ReplyStyle::simple) {
      put_simple_reply(head, 0, request.cookie);
    } else {
      put_offset_data(head, 0, request.cookie, request.offset_bytes, request.length_bytes);
    }
  }
  send_data(command, piece, head.size());
  command.streamed += piece.length();
}

void Transmission::end_stream(Command& command) {
  if (style_ == ReplyStyle::simple) {
    close(command);
  } else if (command.error.error != 0) {
    answer(command);
  } else {
    ByteWriter head(command.reply.head);
    put_done(head, command.request.cookie);
    command.reply.head_bytes = static_cast<std::uint8_t>(head.size());
    command.reply.data_bytes = 0;
    send_reply(command);
  }
  outputs_.splice_back(deferred_);
  stream_ = waiting_streams_.pop_front();
  if (stream_ != nullptr) stream_arrived(*stream_);
}

/// Nothing more of it is submitted.
void Transmission::give_up(Command& command) {
  command.next = command.end;
  command.flush_due = false;
  if (command.is_pending()) pending_.erase(command);
  if (command.waits_to_stream()) waiting_streams_.erase(command);
}

void Transmission::drop_arrived(Command& command) {
  for (auto next = command.pieces.begin(); next != command.pieces.end();) {
    Piece& piece = *next;
    ++next;
    if (!piece.arrived) continue;
    command.pieces.erase(piece);
    release(piece);
  }
}

/// Everything of a command without reply data is submitted and completed.
void Transmission::conclude(Command& command) {
  if (command.error.error == 0 && command.flush_due) {
    if (!withdrawn_) return pending_.push_back(command);
    command.error = kWithdrawn;
  }
  answer(command);
}

// Replies ---------------------------------------------------------------------------------------

/// With its error, or success without data. Whatever fails after the withdrawal is not answered at
/// all: the connection ends, and a client that comes back asks again, of whoever serves then. An
/// error would be taken for the disk's.
void Transmission::answer(Command& command) {
  if ((withdrawn_ || departing_) && command.error.error != 0) return close(command);
  const std::uint64_t cookie = command.request.cookie;
  const Refusal& error = command.error;
  ByteWriter head(command.reply.head);
  command.reply.data_bytes = 0;
  if (error.error == 0 || style_ == ReplyStyle::simple) {
    put_simple_reply(head, error.error, cookie);
  } else if (command.has_error_offset) {
    put_error_offset(head, cookie, error.error, command.error_offset);
  } else {
    put_error(head, cookie, error.error, static_cast<std::uint16_t>(error.text.size()));
    command.reply.data = error.text.data();
    command.reply.data_bytes = static_cast<std::uint32_t>(error.text.size());
  }
  command.reply.head_bytes = static_cast<std::uint8_t>(head.size());
  send_reply(command);
}

void Transmission::send_reply(Command& command) {
  command.unanswered = false;  // that use is the output's now
  enqueue(command, command.reply);
}

void Transmission::send_data(Command& command, Piece& piece, std::size_t head_bytes) {
  piece.output.head_bytes = static_cast<std::uint8_t>(head_bytes);
  piece.output.data = piece.slot->buffer;
  piece.output.data_bytes = piece.length();
  enqueue(command, piece.output);
}

void Transmission::enqueue(Command& command, Output& output) {
  (stream_ == nullptr || stream_ == &command ? outputs_ : deferred_).push_back(output);
}

void Transmission::close(Command& command) {
  command.unanswered = false;
  drop_use(command);
}

void Transmission::drop_use(Command& command) {
  if (--command.uses == 0) free_commands_.push_back(command);
}

std::span<const iovec> Transmission::output() {
  std::size_t count = 0;
  std::size_t outputs = 0;
  std::size_t bytes = 0;
  std::size_t skipped = first_sent_;
  std::byte* heads = heads_.data();
  const auto add = [&](const void* data, std::size_t length) {
    const std::size_t skip = std::min(skipped, length);
    skipped -= skip;
    if (skip == length) return;
    auto* from = const_cast<std::byte*>(static_cast<const std::byte*>(data)) + skip;
    bytes += length - skip;
    // Heads without data lie side by side: one vector for all of them.
    if (count > 0) {
      iovec& last = vectors_[count - 1];
      if (static_cast<std::byte*>(last.iov_base) + last.iov_len == from) {
        last.iov_len += length - skip;
        return;
      }
    }
    vectors_[count++] = {from, length - skip};
  };
  for (const Output& output : outputs_) {
    if (outputs++ == kOutputsAtOnce || bytes >= kOutputBytesAtOnce) break;
    std::memcpy(heads, output.head.data(), output.head_bytes);
    add(heads, output.head_bytes);
    heads += output.head_bytes;
    add(output.data, output.data_bytes);
  }
  return {vectors_.data(), count};
}

void Transmission::sent(std::size_t bytes) {
  while (bytes > 0) {
    Output& first = outputs_.front();
    const std::size_t rest = first.size() - first_sent_;
    if (bytes < rest) {
      first_sent_ += bytes;
      break;
    }
    bytes -= rest;
    first_sent_ = 0;
    outputs_.pop_front();
    finish_output(first);
  }
  check_quiet();
}

void Transmission::finish_output(Output& output) {
  if (output.piece != nullptr) {
    release(*output.piece);
  } else {
    drop_use(*output.command);
  }
}

// The end ---------------------------------------------------------------------------------------

void Transmission::withdraw() {
  reading_ = false;
  withdrawn_ = true;
  stop_waiting();
  while (Command* command = pending_.pop_front()) {
    if (command->streaming) {  // its head has promised data that will not come
      abort();
      owner_.failed("a read cannot be finished because the export is withdrawn");
      return;
    }
    command->error = kWithdrawn;
    give_up(*command);
    drop_arrived(*command);
    if (command->is_done()) answer(*command);
  }
  owner_.input_ready();
  if (has_output()) owner_.work_ready();
  check_quiet();
}

void Transmission::abort() {
  aborted_ = true;
  reading_ = false;
  stop_waiting();
  stream_ = nullptr;
  outputs_.splice_back(deferred_);
  while (Output* output = outputs_.pop_front()) finish_output(*output);
  first_sent_ = 0;
  for (std::size_t i = 0; i < limits_.commands; ++i) {
    Command& command = commands_[i];
    if (!command.unanswered) continue;
    give_up(command);
    drop_arrived(command);
    close(command);
  }
  owner_.input_ready();
  check_quiet();
}

void Transmission::finish() {
  finished_ = true;
  reading_ = false;
  if (Command* command = std::exchange(current_, nullptr); command && command->unanswered) {
    give_up(*command);  // its payload never came
    close(*command);
  }
  if (Piece* piece = std::exchange(filling_, nullptr)) release(*piece);
  check_quiet();
}

bool Transmission::is_quiet() const {
  return finished_ && free_commands_.size() == limits_.commands &&
         free_pieces_.size() == limits_.pieces && !waiting_for_slot_ && reserved_ == nullptr;
}

bool Transmission::is_idle() const {
  return free_commands_.size() == limits_.commands && stage_ == Stage::head && buffered() == 0;
}

void Transmission::check_quiet() {
  if (is_quiet()) owner_.quiet();
}

}  // namespace hast::adapter::nbd
