#include "hast/adapter/nbd/connection.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <utility>

#include "../receive_at_once.hpp"
#include "hast/base/error.hpp"
#include "hast/base/turn.hpp"

namespace hast::adapter::nbd {

namespace {

constexpr auto deferred_tuple = asio::as_tuple(asio::deferred);
/// What a UNIX socket holds by default makes a client and us take turns within one large read.
constexpr int kSendBufferBytes = 1024 * 1024;

/// TCP finds its sizes itself.
bool is_unix(const Connection::Socket& socket) {
  boost::system::error_code error;
  return socket.local_endpoint(error).protocol().family() == AF_UNIX && !error;
}

}  // namespace

Connection::Connection(Socket socket, std::string name, Owner& owner)
    : socket_(std::move(socket)),
      arrivals_(socket_.get_executor()),
      name_(std::move(name)),
      owner_(owner),
      deadline_(socket_.get_executor()) {
  if (is_unix(socket_)) {
    boost::system::error_code ignored;
    socket_.set_option(asio::socket_base::send_buffer_size(kSendBufferBytes), ignored);
  }
}

Connection::~Connection() { HAST_ASSERT(tasks_ == 0); }

void Connection::start() { spawn(run()); }

void Connection::start_transmission(Service service) {
  serial_ = service.serial;
  sink_ = service.sink;
  spawn(run_agreed());
}

void Connection::withdraw() {
  if (!transmission_) return;
  stop_receiving();
  transmission_->withdraw();
}

void Connection::stop_receiving() {
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

void Connection::depart() {
  if (!transmission_) return close();
  departing_ = true;
  transmission_->depart();
  leave_when_idle();
  ++tasks_;
  deadline_.expires_after(owner_.connection_limits().depart_timeout);
  deadline_.async_wait([this](const boost::system::error_code& error) {
    if (!error) {
      stop_receiving();
      transmission_->withdraw();
    }
    task_ended();
  });
}

/// A request that is on its way now is read and answered, the next one the client cannot send.
void Connection::leave_when_idle() {
  if (!departing_ || !socket_.is_open() || !transmission_->is_idle()) return;
  int unread = 0;
  if (::ioctl(socket_.native_handle(), FIONREAD, &unread) == 0 && unread == 0)
    ::shutdown(socket_.native_handle(), SHUT_RD);
}

/// Asked right before anything is executed: once the client has hung up, its requests may come, and
/// be overtaken, elsewhere.
bool Connection::is_given_up() {
  if (!owner_.connection_limits().client_repeats || !socket_.is_open()) return false;
  pollfd socket{socket_.native_handle(), 0, 0};
  return ::poll(&socket, 1, 0) > 0;  // POLLHUP: both directions are shut
}

void Connection::close() {
  if (transmission_) transmission_->abort();
  close_socket();
}

void Connection::close_socket() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  input_.notify();
}

// Accounting ------------------------------------------------------------------------------------

void Connection::spawn(asio::awaitable<void> task) {
  ++tasks_;
  asio::co_spawn(socket_.get_executor(), std::move(task),
                 [this](const std::exception_ptr& exception) {
                   // Only running out of memory throws here, and nothing can be kept whole then.
                   if (exception) std::rethrow_exception(exception);
                   task_ended();
                 });
}

void Connection::task_ended() {
  if (--tasks_ == 0) owner_.ended(*this);
}

/// Replaces the deadline before. `complaint` is logged when it passes.
void Connection::set_deadline(std::chrono::milliseconds timeout, std::string_view complaint) {
  ++tasks_;
  deadline_.expires_after(timeout);
  deadline_.async_wait([this, complaint](const boost::system::error_code& error) {
    if (!error) {
      if (!complaint.empty()) owner_.report(LogLevel::info, *this, complaint);
      close();
    }
    task_ended();
  });
}

// Negotiation -----------------------------------------------------------------------------------

asio::awaitable<void> Connection::run() {
  Negotiation negotiation;
  const bool agreed = co_await haggle(negotiation);
  deadline_.cancel();
  // The export may have been withdrawn while the last answer was on its way.
  if (agreed && owner_.service().serial == serial_ && socket_.is_open())
    co_await transmit(negotiation.reply_style());
  deadline_.cancel();
  close_socket();
}

asio::awaitable<void> Connection::run_agreed() {
  if (owner_.service().serial == serial_) co_await transmit(ReplyStyle::simple);
  deadline_.cancel();
  close_socket();
}

asio::awaitable<bool> Connection::haggle(Negotiation& negotiation) {
  constexpr std::string_view complaint = "said nothing during the negotiation and is dropped";
  const auto timeout = owner_.connection_limits().handshake_timeout;
  set_deadline(timeout, complaint);
  const std::array<std::byte, kGreetingBytes> greeting = Negotiation::greeting();
  if (!co_await send(greeting)) co_return false;
  std::array<std::byte, kMaxOptionBytes> data;
  if (!co_await receive(ByteSpan(data).first(kClientFlagsBytes))) co_return false;
  Negotiation::Answer answer = negotiation.accept_flags(load_be<std::uint32_t>(data.data()));

  while (follow(answer)) {
    set_deadline(timeout, complaint);
    if (!co_await receive(ByteSpan(data).first(kOptionHeaderBytes))) co_return false;
    const Result<OptionHeader> header = decode_option_header(data);
    if (!header) {
      owner_.report(LogLevel::warning, *this, "sent an option with a wrong magic number");
      co_return false;
    }
    const std::uint32_t length = (*header).length_bytes;
    if (length > data.size()) {
      if (!co_await skip(length)) co_return false;
      answer = negotiation.accept_skipped_option(*header);
    } else {
      const ByteSpan payload = ByteSpan(data).first(length);
      if (!co_await receive(payload)) co_return false;
      const Service service = owner_.service();
      serial_ = service.serial;
      sink_ = service.sink;
      answer = negotiation.accept_option(*header, payload, service.offer);
    }
    if (!co_await send(answer.bytes)) co_return false;
  }
  co_return answer.next == Negotiation::Next::transmission;
}

/// True if another option is to be read.
bool Connection::follow(const Negotiation::Answer& answer) {
  if (!answer.note.empty()) {
    const bool dropped = answer.next == Negotiation::Next::close;
    owner_.report(dropped ? LogLevel::info : LogLevel::debug, *this,
                  (dropped ? "is dropped: " : "is refused an option: ") + answer.note);
  }
  return answer.next == Negotiation::Next::option;
}

asio::awaitable<bool> Connection::receive(ByteSpan into) {
  const asio::mutable_buffer buffer(into.data(), into.size());
  const auto [error, bytes] = co_await asio::async_read(socket_, buffer, deferred_tuple);
  co_return !error;
}

asio::awaitable<bool> Connection::skip(std::uint64_t bytes) {
  std::array<std::byte, 4096> waste;
  while (bytes > 0) {
    const ByteSpan part = ByteSpan(waste).first(std::min<std::uint64_t>(bytes, waste.size()));
    if (!co_await receive(part)) co_return false;
    bytes -= part.size();
  }
  co_return true;
}

asio::awaitable<bool> Connection::send(ConstByteSpan from) {
  const asio::const_buffer buffer(from.data(), from.size());
  const auto [error, bytes] = co_await asio::async_write(socket_, buffer, deferred_tuple);
  co_return !error;
}

// Transmission ----------------------------------------------------------------------------------

asio::awaitable<void> Connection::transmit(ReplyStyle style) {
  const ConnectionLimits& limits = owner_.connection_limits();
  transmission_.emplace(*sink_, style, limits.transmission,
                        static_cast<Transmission::Owner&>(*this));
  owner_.report(LogLevel::info, *this, "uses the export");
  spawn(write_loop());

  while (transmission_->wants_input()) {
    const std::span<const iovec> space = transmission_->receive_space();
    if (space.empty()) {
      co_await input_.wait();
      continue;
    }
    std::array<asio::mutable_buffer, 2> buffers;
    for (std::size_t i = 0; i < space.size(); ++i)
      buffers[i] = asio::mutable_buffer(space[i].iov_base, space[i].iov_len);
    const auto [error, bytes] = co_await socket_.async_read_some(buffers, deferred_tuple);
    arrivals_.note();
    if (error) break;
    take_in(bytes);
  }

  transmission_->finish();
  if (!transmission_->is_quiet()) {
    set_deadline(limits.drain_timeout, {});
    co_await quiet_.wait();
  }
  owner_.report(LogLevel::info, *this, "is gone");
  closing_ = true;
  work_.notify();
}

/// What arrived, and what is there already of a large payload: its pieces go on together.
void Connection::take_in(std::size_t bytes) {
  sink_->batch_begins();
  for (std::size_t taken = 0; bytes > 0;) {
    if (is_given_up()) {
      transmission_->abort();
      break;
    }
    transmission_->received(bytes);
    taken += bytes;
    if (!transmission_->receives_large_payload() || taken >= kTurnBytes) break;
    const std::span<const iovec> space = transmission_->receive_space();
    bytes = space.empty() ? 0 : receive_at_once(socket_.native_handle(), space);
  }
  sink_->batch_ends();
}

asio::awaitable<void> Connection::write_loop() {
  while (!closing_) {
    co_await work_.wait();
    progress();
    while (transmission_->has_output()) {
      const Sent sent = send_output();
      if (sent == Sent::blocked) {
        const auto [error] =
            co_await socket_.async_wait(asio::socket_base::wait_write, deferred_tuple);
        if (error && !socket_.is_open()) transmission_->abort();
      }
      progress();
    }
    leave_when_idle();
  }
}

void Connection::progress() {
  if (is_given_up()) transmission_->abort();
  transmission_->progress();
}

/// The sink has nothing left of this client, so more output will not come by waiting.
void Connection::output_complete() {
  if (!work_.has_waiter()) return work_.notify();  // the writer is in the middle of it
  if (send_output() == Sent::blocked || transmission_->wants_progress()) work_.notify();
  leave_when_idle();
}

void Connection::input_ready() {
  if (input_.has_waiter()) input_.notify();
}

void Connection::failed(std::string_view why) {
  owner_.report(LogLevel::warning, *this, fmt::format("is dropped: {}", why));
  if (!transmission_->is_aborted()) return;
  broken_ = true;
  close_socket();
}

Connection::Sent Connection::send_output() {
  while (transmission_->has_output()) {
    const std::span<const iovec> vectors = transmission_->output();
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(vectors.data());
    message.msg_iovlen = vectors.size();
    const ssize_t bytes = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (bytes >= 0) {
      transmission_->sent(static_cast<std::size_t>(bytes));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
      return Sent::blocked;
    } else if (errno != EINTR) {
      close();
      return Sent::failed;
    }
  }
  return Sent::all;
}

}  // namespace hast::adapter::nbd
