#include "hast/adapter/ggate/intake.hpp"

#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>

#include "../signals_blocked.hpp"

namespace hast::adapter::ggate {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds kRetry{1000};
/// A device is gone only when no thread is inside: threads that come back at once could keep it.
constexpr std::chrono::milliseconds kStayOut{50};
constexpr std::size_t kFailuresAtOnce = 8;

}  // namespace

Intake::Intake(asio::any_io_executor executor, GateDevice& device, const IntakeLimits& limits,
               Owner& owner)
    : executor_(std::move(executor)),
      arrivals_(executor_),
      device_(device),
      owner_(owner),
      limits_(limits),
      exchanges_(limits.exchanges),
      nudge_timer_(executor_) {
  for (Exchange& exchange : exchanges_) free_.push_back(exchange);
}

Intake::~Intake() {
  HAST_ASSERT(ended_ && taken_.empty() && free_.size() == exchanges_.size());
  for (std::thread& thread : threads_) thread.join();
  while (free_.pop_front() != nullptr) {
  }
}

/// Fewer threads than wanted will do, no thread will not.
Result<void> Intake::start() {
  const SignalsBlocked inherited_by_threads;
  threads_.reserve(limits_.threads);
  const std::lock_guard lock(mutex_);
  try {
    while (threads_.size() < limits_.threads) {
      threads_.emplace_back(&Intake::work, this);
      ++running_;
    }
  } catch (const std::system_error& error) {
    if (threads_.empty())
      return Error{Errc::io_failed, error.code().value(), "threads for /dev/" + device_.name()};
  }
  ended_ = false;
  threads_left_ = true;
  work_.emplace(asio::make_work_guard(executor_));
  return {};
}

void Intake::end() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  freed_.notify_all();
  ending_now_.notify_all();
  nudge();
}

/// An interrupt that comes while a thread is not asleep is lost, so they are repeated.
void Intake::nudge() {
  if (!threads_left_ || nudging_) return;
  for (std::thread& thread : threads_) device_.interrupt(thread);
  nudging_ = true;
  nudge_timer_.expires_after(limits_.nudge_interval);
  nudge_timer_.async_wait([this](const boost::system::error_code&) {
    nudging_ = false;
    nudge();
    check_ended();
  });
}

void Intake::check_ended() {
  if (ended_ || threads_left_ || nudging_) return;
  ended_ = true;
  work_.reset();
  owner_.intake_ended();
}

/// What was needed for one large request is not kept for ever.
void Intake::recycle(Exchange& exchange) {
  if (exchange.capacity > limits_.buffer_bytes) {
    exchange.memory.reset();
    exchange.capacity = 0;
  }
  {
    const std::lock_guard lock(mutex_);
    free_.push_front(exchange);
  }
  freed_.notify_one();
}

// The threads -------------------------------------------------------------------------------------

void Intake::work() {
  device_.thread_begins();
  while (Exchange* exchange = take_free()) {
    if (fetch(*exchange)) {
      hand_over(*exchange);
    } else {
      recycle(*exchange);
      break;
    }
  }
  thread_ends();
}

/// nullptr: it is over.
Exchange* Intake::take_free() {
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [this] { return ending_ || !free_.empty(); });
  return ending_ ? nullptr : free_.pop_front();
}

/// False: it is over.
bool Intake::fetch(Exchange& exchange) {
  for (;;) {
    if (!exchange.make_room(limits_.buffer_bytes)) {
      if (!report({ENOMEM, limits_.buffer_bytes})) return false;
      continue;
    }
    const Fetched fetched = device_.fetch(exchange.buffer());
    const std::uint64_t length_bytes = fetched.request.length_bytes;
    if (fetched.error == 0) {
      exchange.request = fetched.request;
      // Reads are handed out whatever their length; without room the pump refuses it.
      if (fetched.request.command == GateCommand::read) (void)exchange.make_room(length_bytes);
      return true;
    }
    if (fetched.error == ENOMEM && exchange.make_room(length_bytes)) continue;
    if (!report({fetched.error, length_bytes})) return false;
  }
}

/// False: there is no point in trying again.
bool Intake::report(Failure failure) {
  // A signal; or somebody is destroying the device.
  if (failure.error == EINTR || failure.error == ECANCELED) return pause(kStayOut);
  std::unique_lock lock(mutex_);
  if (ending_) return false;
  if (failures_.size() < kFailuresAtOnce) failures_.push_back(failure);
  post_delivery(std::move(lock));
  return failure.error != ENXIO && pause(kRetry);
}

/// False: it is over.
bool Intake::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !ending_now_.wait_for(lock, time, [this] { return ending_; });
}

void Intake::hand_over(Exchange& exchange) {
  std::unique_lock lock(mutex_);
  taken_.push_back(exchange);
  post_delivery(std::move(lock));
}

void Intake::thread_ends() {
  std::unique_lock lock(mutex_);
  --running_;
  post_delivery(std::move(lock));
}

void Intake::post_delivery(std::unique_lock<std::mutex> lock) {
  if (std::exchange(delivery_posted_, true)) return;
  lock.unlock();
  asio::post(executor_, [this] { deliver(); });
}

// On the executor again ---------------------------------------------------------------------------

void Intake::deliver() {
  arrivals_.note();
  ExchangeList taken;
  std::vector<Failure> failures;
  {
    const std::lock_guard lock(mutex_);
    delivery_posted_ = false;
    taken.splice_back(taken_);
    failures.swap(failures_);
    threads_left_ = running_ > 0;
  }
  while (Exchange* exchange = taken.pop_front()) owner_.taken(*exchange);
  for (const Failure& failure : failures) owner_.intake_failed(failure.error, failure.length_bytes);
  if (!threads_left_) nudge_timer_.cancel();
  check_ended();
}

}  // namespace hast::adapter::ggate
