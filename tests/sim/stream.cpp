#include "stream.hpp"

#include <boost/asio/post.hpp>

namespace hast::sim {

namespace {
constexpr port::Duration kKnockAgain = std::chrono::seconds(1);  // as TCP repeats a SYN
}

// Stream ------------------------------------------------------------------------------------------

SimStream::SimStream(ProcessNet& net, std::shared_ptr<Connection> connection, int end,
                     port::Executor executor)
    : net_(net), connection_(std::move(connection)), end_(end), executor_(std::move(executor)) {
  net_.streams_.push_back(*this);
  connection_->watch(end_, [this] {
    readable_.notify();
    writable_.notify();
  });
  if (net_.dead()) die();
}

SimStream::~SimStream() {
  close();
  net_.streams_.erase(*this);
}

std::optional<Errc> SimStream::ended() const {
  if (closed_) return Errc::cancelled;
  if (connection_->broken(end_) || net_.dead()) return Errc::connection_closed;
  return std::nullopt;
}

port::Awaitable<Result<std::size_t>> SimStream::read_some(ByteSpan into) {
  return read_into(into, {});
}

std::size_t SimStream::read_now(ByteSpan into, ByteSpan surplus) {
  const std::size_t count = connection_->read(end_, into);
  return count < into.size() ? count : count + connection_->read(end_, surplus);
}

std::size_t SimStream::try_read(ByteSpan into, ByteSpan surplus) {
  return ended() ? 0 : read_now(into, surplus);
}

port::Awaitable<Result<std::size_t>> SimStream::read_into(ByteSpan into, ByteSpan surplus) {
  HAST_ASSERT(!into.empty());
  for (;;) {
    if (const std::optional<Errc> why = ended()) co_return *why;
    if (const std::size_t count = read_now(into, surplus)) co_return count;
    if (connection_->finished(end_)) co_return Errc::connection_closed;
    co_await readable_.wait();
  }
}

port::Awaitable<Result<std::size_t>> SimStream::write_some(
    std::span<const boost::asio::const_buffer> from) {
  // A real send completes through the loop: whatever else is ready runs in between.
  co_await boost::asio::post(executor_, boost::asio::use_awaitable);
  for (;;) {
    if (const std::optional<Errc> why = ended()) co_return *why;
    if (const std::size_t count = connection_->write(end_, from)) co_return count;
    co_await writable_.wait();
  }
}

Result<std::size_t> SimStream::try_write(std::span<const boost::asio::const_buffer> from) {
  if (const std::optional<Errc> why = ended()) return *why;
  return connection_->write_at_once(end_, from);
}

void SimStream::close() {
  if (closed_) return;
  closed_ = true;
  if (!net_.dead()) connection_->close(end_);
  readable_.notify();
  writable_.notify();
}

void SimStream::die() {
  connection_->close(end_);  // nothing, if the host lost its power before
  readable_.notify();
  writable_.notify();
}

// Listener ----------------------------------------------------------------------------------------

SimListener::SimListener(ProcessNet& net, EndPoint at, port::Executor executor)
    : net_(net), at_(std::move(at)), executor_(std::move(executor)) {
  net_.listeners_.push_back(*this);
  opened_ = net_.network().open(at_, *this);
}

SimListener::~SimListener() {
  close();
  net_.listeners_.erase(*this);
}

void SimListener::arrived(std::shared_ptr<Connection> connection) {
  waiting_.push_back(std::move(connection));
  wakeup_.notify();
}

port::Awaitable<Result<std::unique_ptr<port::Stream>>> SimListener::accept() {
  while (!closed_) {
    if (!waiting_.empty()) {
      std::shared_ptr<Connection> connection = std::move(waiting_.front());
      waiting_.pop_front();
      co_return std::make_unique<SimStream>(net_, std::move(connection), 1, executor_);
    }
    co_await wakeup_.wait();
  }
  co_return Errc::cancelled;
}

void SimListener::close() {
  if (closed_) return;
  closed_ = true;
  if (!net_.dead()) die();
  wakeup_.notify();
}

void SimListener::die() {
  if (std::exchange(opened_, false)) net_.network().close(at_);
  for (const std::shared_ptr<Connection>& connection : waiting_) connection->close(1);
  waiting_.clear();
}

// Dialer ------------------------------------------------------------------------------------------

SimDialer::SimDialer(ProcessNet& net, port::Executor executor)
    : net_(net), executor_(std::move(executor)) {
  net_.dialers_.push_back(*this);
}

SimDialer::~SimDialer() {
  HAST_ASSERT(!attempt_);
  net_.dialers_.erase(*this);
}

void SimDialer::end(Attempt& attempt) {
  if (attempt.over) return;
  attempt.over = true;
  net_.network().clock().cancel(attempt.again);
  net_.network().clock().cancel(attempt.deadline);
  wakeup_.notify();
}

void SimDialer::knock(const std::shared_ptr<Attempt>& attempt, const EndPoint& to) {
  net_.network().dial(net_.host(), to,
                      [attempt](Network::Dialled outcome, std::shared_ptr<Connection> connection) {
                        if (outcome == Network::Dialled::unanswered) return;
                        if (attempt->over) {  // it gave up meanwhile
                          if (connection) connection->close(0);
                          return;
                        }
                        attempt->outcome = outcome;
                        attempt->connection = std::move(connection);
                        attempt->dialer->end(*attempt);
                      });
  attempt->again = net_.network().clock().after(kKnockAgain, [this, attempt, to] {
    if (!attempt->over) knock(attempt, to);
  });
}

port::Awaitable<Result<std::unique_ptr<port::Stream>>> SimDialer::dial(
    Address to, std::optional<Address>, std::chrono::milliseconds timeout) {
  HAST_ASSERT(!attempt_);
  if (net_.dead()) co_return Errc::unreachable;
  const std::shared_ptr<Attempt> attempt = std::make_shared<Attempt>();
  attempt->dialer = this;
  attempt_ = attempt;
  const EndPoint there{to.host, to.port};
  attempt->deadline = net_.network().clock().after(timeout, [this, attempt] { end(*attempt); });
  knock(attempt, there);
  while (!attempt->over) co_await wakeup_.wait();
  attempt_.reset();
  if (attempt->cancelled) {
    if (attempt->connection) attempt->connection->close(0);
    co_return Errc::cancelled;
  }
  if (attempt->connection)
    co_return std::make_unique<SimStream>(net_, attempt->connection, 0, executor_);
  if (attempt->outcome == Network::Dialled::refused || net_.dead()) co_return Errc::unreachable;
  co_return Errc::timed_out;
}

port::Awaitable<Result<std::string>> SimDialer::resolve(Address address) {
  co_await boost::asio::post(executor_, boost::asio::use_awaitable);
  if (address.host.empty() || address.host == "nowhere") co_return Errc::address_invalid;
  co_return address.host == "localhost" ? std::string("127.0.0.1") : address.host;
}

void SimDialer::cancel() {
  if (!attempt_ || attempt_->over) return;
  attempt_->cancelled = true;
  end(*attempt_);
}

// Net ---------------------------------------------------------------------------------------------

ProcessNet::ProcessNet(Network& network, std::string host)
    : network_(network), host_(std::move(host)) {}

ProcessNet::~ProcessNet() {
  HAST_ASSERT(streams_.empty() && listeners_.empty() && dialers_.empty());
}

std::unique_ptr<port::Dialer> ProcessNet::make_dialer(port::Executor executor) {
  return std::make_unique<SimDialer>(*this, std::move(executor));
}

Result<std::unique_ptr<port::Listener>> ProcessNet::listen(const Address& address,
                                                           port::Executor executor) {
  auto listener =
      std::make_unique<SimListener>(*this, EndPoint{host_, address.port}, std::move(executor));
  if (!listener->opened()) return Errc::address_in_use;
  return std::unique_ptr<port::Listener>(std::move(listener));
}

void ProcessNet::kill() {
  dead_ = true;
  for (SimStream& stream : streams_) stream.die();
  for (SimListener& listener : listeners_) listener.die();
  for (SimDialer& dialer : dialers_) dialer.cancel();
}

}  // namespace hast::sim
