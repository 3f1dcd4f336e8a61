#include "owed_looks.hpp"

#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "../aside.hpp"

namespace hast::adapter::ggate {

namespace asio = boost::asio;

OwedLooks::OwedLooks(asio::any_io_executor executor, GateDevice& device, const IntakeLimits& limits,
                     std::chrono::milliseconds patience, Log log)
    : executor_(std::move(executor)),
      device_(device),
      limits_(limits),
      patience_(patience),
      log_(std::move(log)),
      timer_(executor_) {}

OwedLooks::~OwedLooks() { HAST_ASSERT(!done_); }

void OwedLooks::settle(std::function<void()> done) {
  done_ = std::move(done);
  aside(
      executor_, [this] { device_.wait_for_looks(); }, [this] { look_ended(); });
  timer_runs_ = true;
  timer_.expires_after(patience_);
  timer_.async_wait([this](const boost::system::error_code&) {
    timer_runs_ = false;
    if (!looked_) fail_reads();
    check_settled();
  });
}

void OwedLooks::fail_reads() {
  if (device_.adopt() != 0) return;
  log_.warning(
      "/dev/{}: the kernel waits for reads that the hastd before this one did not answer, and "
      "opens no disk for writing meanwhile. They get errors now.",
      device_.name());
  intake_.emplace(executor_, device_, limits_, static_cast<Intake::Owner&>(*this));
  if (!intake_->start()) intake_.reset();
}

void OwedLooks::taken(Exchange& exchange) {
  if (exchange.request.command == GateCommand::read)
    (void)device_.finish(exchange.request.sequence, EIO, {});
  intake_->recycle(exchange);
}

void OwedLooks::look_ended() {
  looked_ = true;
  timer_.cancel();
  if (intake_) intake_->end();
  check_settled();
}

void OwedLooks::check_settled() {
  if (!done_ || !looked_ || timer_runs_ || (intake_ && !intake_->has_ended())) return;
  asio::post(executor_, std::exchange(done_, nullptr));
}

}  // namespace hast::adapter::ggate
