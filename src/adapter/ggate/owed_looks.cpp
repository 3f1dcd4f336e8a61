#include "owed_looks.hpp"

#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "../aside.hpp"

namespace hast::adapter::ggate {

namespace asio = boost::asio;

OwedLooks::OwedLooks(asio::any_io_executor executor, GateDevice& device, const Options& options)
    : executor_(std::move(executor)), device_(device), options_(options), timer_(executor_) {}

OwedLooks::~OwedLooks() { HAST_ASSERT(!done_); }

void OwedLooks::settle(std::function<void()> done) {
  done_ = std::move(done);
  aside(
      executor_, [this] { device_.wait_for_looks(); }, [this] { look_ended(); });
  timer_runs_ = true;
  timer_.expires_after(options_.patience);
  timer_.async_wait([this](const boost::system::error_code&) {
    timer_runs_ = false;
    if (!looked_) fail_reads();
    check_settled();
  });
}

void OwedLooks::fail_reads() {
  if (device_.adopt() != 0) return;
  options_.log.warning(
      "/dev/{}: the kernel waits for reads that the hastd before this one did not answer, and "
      "opens no disk for writing meanwhile. They get errors now.",
      device_.name());
  intake_.emplace(executor_, device_, options_.limits, static_cast<Intake::Owner&>(*this));
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
  if (intake_) {
    intake_->end();
    nudge();
  }
  check_settled();
}

void OwedLooks::nudge() {
  if (intake_->has_ended()) return;
  intake_->nudge();
  timer_runs_ = true;
  timer_.expires_after(options_.nudge_interval);
  timer_.async_wait([this](const boost::system::error_code&) {
    timer_runs_ = false;
    nudge();
    check_settled();
  });
}

void OwedLooks::check_settled() {
  if (!done_ || !looked_ || timer_runs_ || (intake_ && !intake_->has_ended())) return;
  asio::post(executor_, std::exchange(done_, nullptr));
}

}  // namespace hast::adapter::ggate
