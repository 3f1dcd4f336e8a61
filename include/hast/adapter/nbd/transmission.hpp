// The transmission phase of one connection without its socket: takes bytes in, cuts requests into
// pieces, each in a slot of the sink, and gives the bytes of the replies out. Plain synchronous
// methods; the connection's coroutines only wait and call them. Memory is fixed at birth: a bounded
// number of commands and pieces; when one runs out, or the sink has no slot, no more input is
// asked for (receive_space() is empty), and that is the back-pressure.
//
// Life: construct; receive_space()/received() and output()/sent() in turns; then withdraw() or
// abort() or nothing, finish() by the one who receives, and quiet() says when it may be destroyed.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "hast/adapter/nbd/protocol.hpp"
#include "hast/base/intrusive_list.hpp"
#include "hast/port/frontend.hpp"

namespace hast::adapter::nbd {

struct TransmissionLimits {
  std::size_t commands = 64;  // in flight on one connection
  std::size_t pieces = 64;    // slots one connection may hold
  std::size_t window = 8;     // slots one command without payload may hold
  /// Of the buffer for what the socket brought; at least kRequestBytes.
  std::size_t input_bytes = 128 * 1024;
  /// Simple replies of several pieces begin only when all of them could be read, which reads twice.
  /// For a client that has met a read that failed after its reply had begun.
  bool careful = false;
};

class Transmission final : private port::SlotWaiter {
 public:
  /// Told from inside the sink's callbacks too, so these are cheap and call nothing of this class
  /// back, with one exception.
  class Owner {
   public:
    virtual void work_ready() = 0;  // call progress(), then output() may have something
    /// Like work_ready(), and waiting could not add to the output: the sink has nothing of this
    /// connection left. output(), sent() and abort() may be called from here.
    virtual void output_complete() = 0;
    virtual void input_ready() = 0;  // receive_space() is not empty any more, or input has ended
    virtual void quiet() = 0;        // finish() was called and nothing is held any more
    /// The client broke the protocol, or an answer cannot be finished. Input has ended; if
    /// is_aborted(), output too. `why` is a clause for the log.
    virtual void failed(std::string_view why) = 0;

   protected:
    ~Owner() = default;
  };

  Transmission(port::RequestSink& sink, ReplyStyle style, const TransmissionLimits& limits,
               Owner& owner);
  ~Transmission();

  /// Where the next bytes go. Empty while the client has to wait, and after the input ended.
  std::span<const iovec> receive_space();
  /// `bytes` of that space were filled. progress() is included.
  void received(std::size_t bytes);
  /// False after NBD_CMD_DISC, a protocol error, withdraw() and abort().
  bool wants_input() const { return reading_; }

  /// The payload that is being received is one of many pages: more of it will be there soon.
  bool receives_large_payload() const;

  /// Goes on with what waited for a slot, a command or a piece. Submits: not for sink callbacks.
  void progress();
  bool wants_progress() const;

  /// The next bytes to send; valid until the next call of anything here.
  std::span<const iovec> output();
  bool has_output() const { return !outputs_.empty(); }
  void sent(std::size_t bytes);

  /// Nothing new reaches the sink; what it has and can do is answered. The rest stays without an
  /// answer: its client comes back and asks again.
  void withdraw();
  /// From now on errors are not answered: the client asks again, on another connection, and by then
  /// somebody else may do better. withdraw() follows, or the end of the connection.
  void depart() { departing_ = true; }
  /// The socket is gone: nothing is answered any more.
  void abort();
  /// The receiver has ended and will not touch receive_space() again.
  void finish();
  bool is_quiet() const;
  bool is_aborted() const { return aborted_; }
  /// Every request that has arrived is answered, and nothing of the next one is here.
  bool is_idle() const;

  std::size_t in_sink() const { return in_sink_; }  // submitted and not completed

 private:
  struct Command;
  struct Piece;
  template <class T>
  using ListOf = IntrusiveList<T, T>;
  enum class Stage : std::uint8_t { head, payload, skip };
  static constexpr std::size_t kSmallWrite = 4096;
  static constexpr std::size_t kLeastShare = 8;

  /// Bytes on their way to the client: an encoded head, then data of a piece or a text.
  struct Output : ListNode<Output> {
    std::array<std::byte, kMaxReplyHeadBytes> head;
    std::uint8_t head_bytes = 0;
    const void* data = nullptr;
    std::uint32_t data_bytes = 0;
    Command* command = nullptr;  // set in a command's own output,
    Piece* piece = nullptr;      // in a piece's the piece is given back when sent

    std::size_t size() const { return std::size_t{head_bytes} + data_bytes; }
  };

  /// A request of the client, from its header until its last reply byte is sent.
  struct StreamTag;
  struct Command : ListNode<Command>, ListNode<StreamTag> {
    Request request;
    IoKind kind = IoKind::read;
    std::uint64_t next = 0;  // first byte not submitted yet
    std::uint64_t end = 0;
    std::uint64_t streamed = 0;  // bytes of an in-order reply that are on their way
    std::size_t held = 0;        // pieces with a slot
    std::size_t in_sink = 0;     // of them, not completed
    std::size_t uses = 0;        // pieces, own output, and one while unanswered
    bool unanswered = false;
    bool in_order = false;   // the reply is one run of bytes: pieces leave in order
    bool streaming = false;  // its head has promised the whole length
    bool probing = false;    // first of two readings
    bool fua = false;
    bool flush_due = false;  // a flush completes it
    Refusal error;           // the first one
    bool has_error_offset = false;
    std::uint64_t error_offset = 0;
    ListOf<Piece> pieces;  // of an in-order reply, those not streamed yet
    Output reply;

    void open(const Request& from, ReplyStyle style, const TransmissionLimits& limits);
    bool all_submitted() const { return next == end; }
    /// The flush of a split FUA command comes after its pieces, not among them.
    bool has_pending() const { return !all_submitted() || (flush_due && in_sink == 0); }
    bool is_done() const { return all_submitted() && in_sink == 0; }
    bool is_pending() const { return ListNode<Command>::is_linked(); }
    bool waits_to_stream() const { return ListNode<StreamTag>::is_linked(); }
  };

  /// One slot's worth of a command.
  struct Piece : ListNode<Piece> {
    Transmission* owner = nullptr;
    port::IoRequest* slot = nullptr;
    Command* command = nullptr;
    bool arrived = false;
    Output output;

    std::uint64_t offset() const { return slot->offset_bytes; }
    std::uint32_t length() const { return static_cast<std::uint32_t>(slot->length_bytes); }
  };

  // Input.
  std::size_t buffered() const { return input_end_ - input_begin_; }
  bool consume();
  bool consume_head();
  bool consume_payload();
  bool consume_skip();
  void begin(const Request& request);
  void submit_filled();
  void payload_ended();

  // Pieces.
  Piece* take_piece(Command& command);
  void submit(Piece& piece, IoKind kind, std::uint64_t offset_bytes, std::uint64_t length_bytes);
  void release(Piece& piece);
  void submit_pending();
  void submit_next(Command& command, Piece& piece);
  std::size_t input_share() const;
  void slot_freed() override;
  void stop_waiting();

  // Completions.
  static void completed(port::IoRequest& request);
  void piece_done(Piece& piece);
  void data_arrived(Command& command, Piece& piece);
  void arrived_in_order(Command& command, Piece& piece);
  void probed(Command& command, Piece& piece);
  void stream_arrived(Command& command);
  void stream(Command& command, Piece& piece);
  void end_stream(Command& command);
  void note_error(Command& command, int error, const Piece& piece);
  void give_up(Command& command);
  void drop_arrived(Command& command);
  void conclude(Command& command);

  // Replies.
  void answer(Command& command);
  void send_reply(Command& command);
  void send_data(Command& command, Piece& piece, std::size_t head_bytes);
  void enqueue(Command& command, Output& output);
  void close(Command& command);
  void drop_use(Command& command);
  void finish_output(Output& output);
  void check_quiet();

  port::RequestSink& sink_;
  const port::VolumeInfo volume_;
  const ReplyStyle style_;
  const TransmissionLimits limits_;
  Owner& owner_;

  std::unique_ptr<Command[]> commands_;
  std::unique_ptr<Piece[]> pieces_;
  ListOf<Command> free_commands_;
  ListOf<Command> pending_;  // without payload, not submitted entirely
  ListOf<Piece> free_pieces_;
  std::size_t in_sink_ = 0;
  port::IoRequest* reserved_ = nullptr;  // a slot that was waited for
  bool waiting_for_slot_ = false;
  bool out_of_pieces_ = false;

  std::unique_ptr<std::byte[]> input_;
  std::size_t input_begin_ = 0;
  std::size_t input_end_ = 0;
  std::array<iovec, 2> space_{};
  Stage stage_ = Stage::head;
  Command* current_ = nullptr;  // whose payload is being received or skipped
  Piece* filling_ = nullptr;
  std::uint32_t filled_ = 0;
  std::uint64_t skip_ = 0;
  bool hungry_ = true;  // what is buffered is not enough to go on
  bool reading_ = true;
  bool finished_ = false;
  bool aborted_ = false;
  bool withdrawn_ = false;
  bool departing_ = false;

  ListOf<Output> outputs_;     // in the order they are sent
  ListOf<Output> deferred_;    // until the stream has ended
  Command* stream_ = nullptr;  // whose reply must not be interleaved with others
  IntrusiveList<Command, StreamTag> waiting_streams_;
  std::size_t first_sent_ = 0;  // bytes of the first output that are sent
  // Scratch of output(): heads side by side, and what to gather.
  static constexpr std::size_t kOutputsAtOnce = 32;
  std::array<std::byte, kOutputsAtOnce * kMaxReplyHeadBytes> heads_;
  std::array<iovec, kOutputsAtOnce * 2> vectors_;
};

}  // namespace hast::adapter::nbd
