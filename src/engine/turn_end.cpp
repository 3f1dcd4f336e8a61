#include "hast/engine/turn_end.hpp"

#include <boost/asio/post.hpp>
#include <utility>

#include "hast/base/assert.hpp"

namespace hast::engine {

namespace {
/// Inline disks complete in the end itself, which makes replies due, and perhaps operations that
/// waited for those. What comes after that many rounds waits its turn: others have events, too.
constexpr int kRounds = 3;
}  // namespace

TurnEnd::TurnEnd(port::Executor executor, std::function<void()> action, std::function<void()> idle)
    : executor_(std::move(executor)), action_(std::move(action)), idle_(std::move(idle)) {}

TurnEnd::~TurnEnd() { HAST_ASSERT(!posted_); }

void TurnEnd::due() {
  due_ = true;
  if (open_ == 0) post();
}

void TurnEnd::close() {
  HAST_ASSERT(open_ > 0);
  if (open_ == 1 && due_) run();
  --open_;
}

void TurnEnd::run() {
  for (int round = 0; due_ && round < kRounds; ++round) {
    due_ = false;
    action_();
  }
  if (due_) post();
}

void TurnEnd::post() {
  if (std::exchange(posted_, true)) return;
  boost::asio::post(executor_, [this] {
    posted_ = false;
    open();
    close();
    if (!posted_) idle_();
  });
}

}  // namespace hast::engine
