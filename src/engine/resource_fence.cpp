// Going on without the peer: asking the fence hook, and answering requests that wait for it.
#include <boost/asio/post.hpp>

#include "hast/engine/resource.hpp"

namespace hast::engine {

namespace {

using namespace std::chrono_literals;

constexpr port::Duration kFenceRetry = 5s;

}  // namespace

core::GoAlone Resource::go_alone() const {
  const bool asks = settings_.on_peer_loss == OnPeerLoss::freeze || !settings_.fence.empty();
  return asks ? core::GoAlone::if_permitted : core::GoAlone::freely;
}

/// False also when the role ends before the hook does.
Awaitable<bool> Resource::peer_is_fenced() {
  const auto fencing = std::make_shared<Fencing>();
  fencing_ = fencing;
  log_.info("Asking {} whether the peer serves nobody.", settings_.fence);
  ports_.hooks.ask({settings_.fence, "fence", settings_.name}, settings_.fence_timeout,
                   [fencing, executor = executor_](port::HookRunner::Verdict verdict) {
                     boost::asio::post(executor, [fencing, verdict] {
                       fencing->succeeded = verdict == port::HookRunner::Verdict::yes;
                       fencing->over = true;
                       fencing->ended.notify();
                     });
                   });
  while (!fencing->over) co_await fencing->ended.wait();
  fencing_.reset();
  co_return fencing->succeeded;
}

void Resource::permission_wanted() {
  if (!ticking_ || std::exchange(asking_, true)) return;
  log_.warning(
      "The peer is out of sight: requests wait until it is back{}, or an operator who knows that "
      "it serves nobody says: hastctl role --force primary {}.",
      settings_.fence.empty() ? "" : ", the fence hook succeeds", settings_.name);
  run_hook({"freeze", settings_.name});
  tasks_.spawn(ask_to_go_alone());
}

Awaitable<void> Resource::ask_to_go_alone() {
  const auto waits = [this] {
    return ticking_ && !link_->connected() && primary_->waits_for_permission();
  };
  const std::unique_ptr<port::Timer> pause = ports_.clock.make_timer(executor_);
  while (waits()) {
    bool fenced = false;
    if (!settings_.fence.empty()) fenced = co_await peer_is_fenced();
    if (fenced && waits()) {
      log_.warning("The peer serves nobody: requests are answered without it.");
      primary_->permit_alone();
      break;
    }
    const port::TimePoint again = ports_.clock.now() + kFenceRetry;
    while (waits() && ports_.clock.now() < again) co_await pause->wait_for(100ms);
  }
  asking_ = false;
}

}  // namespace hast::engine
