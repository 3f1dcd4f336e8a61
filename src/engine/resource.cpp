#include "hast/engine/resource.hpp"

#include <boost/asio/post.hpp>

#include "hast/engine/event_text.hpp"
#include "hast/engine/until_told.hpp"

namespace hast::engine {

namespace {

using namespace std::chrono_literals;

constexpr port::Duration kTick = 1s;
/// How long a demotion waits for requests on their way before it cuts the connection (weaknesses
/// 27).
constexpr port::Duration kDrainTime = 2s;
constexpr port::Duration kForEver = 24h;
constexpr port::Duration kOpenTime = 2s;

}  // namespace

Resource::Resource(Executor executor, ResourceSettings settings, Ports ports,
                   std::unique_ptr<port::Frontend> frontend)
    : executor_(std::move(executor)),
      settings_(std::move(settings)),
      ports_(ports),
      frontend_(std::move(frontend)),
      log_(prefix(Role::init)),
      turn_end_(
          executor_, [this] { end_turn(); }, [this] { changed(); }),
      tasks_(executor_),
      tick_timer_(ports.clock.make_timer(executor_)),
      renewals_(executor_) {}

Resource::~Resource() { HAST_ASSERT(role_ == Role::init && deliveries_ == 0); }

std::string Resource::prefix(Role role) const {
  return "[" + settings_.name + "] (" + std::string(to_string(role)) + ") ";
}

Result<void> Resource::start() {
  if (!frontend_) return {};
  Result<void> started = frontend_->start();
  if (started) frontend_->withdraw(frontend_reason(), [] {});  // clients learn why they are refused
  return started;
}

// The role machine --------------------------------------------------------------------------------

Awaitable<Result<Role>> Resource::set_role(Role role, Force force) {
  co_await role_turn_.take();
  const Role previous = role_;
  Result<void> entered;
  if (role == previous && role == Role::primary && force == Force::yes) {
    log_.warning("An operator says that the peer serves nobody: requests are answered without it.");
    primary_->permit_alone();
  }
  if (role != previous) {
    handed_over_ = secondary_ && secondary_->handed_over();
    co_await leave();
    entered = co_await enter(role, force == Force::yes ? Cause::forced : Cause::asked);
    const Role now = entered ? role : Role::init;
    if (!entered) log_.error("Role {} refused: {}", to_string(role), entered.error().message());
    if (now != previous) {
      log_.info("Role changed from {} to {}.", to_string(previous), to_string(now));
      run_hook(
          {"role", settings_.name, std::string(to_string(previous)), std::string(to_string(now))});
    }
  }
  role_turn_.done();
  if (!entered) co_return std::move(entered).error();
  co_return previous;
}

Awaitable<void> Resource::stop() {
  co_await role_turn_.take();
  co_await leave();
  co_await stop_frontend();
  role_turn_.done();
  co_await renewals_.join();
}

Awaitable<void> Resource::restart_role() {
  const Role role = role_;
  co_await leave();
  Result<void> entered = co_await enter(role, Cause::resumed);
  if (!entered)
    log_.error("The role {} could not be taken up again after the reload: {} The role is init now.",
               to_string(role), entered.error().message());
}

Awaitable<void> Resource::reload(ResourceSettings settings) {
  co_await role_turn_.take();
  const bool same_component = settings.local == settings_.local && settings.io == settings_.io;
  settings_ = std::move(settings);
  // A component that was given up is replaced by attach(), under the new path if there is one.
  if (role_ == Role::primary && (same_component || primary_->local_lost())) {
    link_->set_settings(settings_);
    primary_->set_replication(settings_.replication);
    primary_->set_metaflush(settings_.metaflush ? core::MapCommit::Flush::yes
                                                : core::MapCommit::Flush::no);
    primary_->set_on_local_error(settings_.on_local_error);
    primary_->set_go_alone(go_alone());
  } else if (role_ != Role::init) {
    co_await restart_role();
  }
  role_turn_.done();
}

Awaitable<void> Resource::replace_frontend(std::unique_ptr<port::Frontend> frontend) {
  co_await role_turn_.take();
  const Role role = role_;
  co_await leave();
  co_await stop_frontend();
  frontend_ = std::move(frontend);
  Result<void> entered = start();
  if (entered) entered = co_await enter(role, Cause::resumed);
  if (!entered)
    log_.error("The new front-end cannot be used: {} The role is init now.",
               entered.error().message());
  role_turn_.done();
}

Awaitable<Result<void>> Resource::enter(Role role, Cause cause) {
  log_ = Log(prefix(role));
  Result<void> entered;
  if (role != Role::init) co_await prepare_frontend();
  if (role == Role::primary) entered = co_await enter_primary(cause);
  if (role == Role::secondary) entered = co_await enter_secondary();
  if (entered) {
    role_ = role;
    if (role == Role::secondary) co_await withdraw_frontend();  // clients learn the new reason
    if (role == Role::primary) co_await await_frontend();
  } else {
    co_await close_disk();
    log_ = Log(prefix(Role::init));
  }
  co_return entered;
}

Awaitable<Result<void>> Resource::enter_primary(Cause cause) {
  Result<core::Component> component = co_await open_component();
  if (!component) co_return std::move(component).error();
  const bool whole = !component->metadata.inconsistent && !component->metadata.outdated;
  if (!whole && cause == Cause::asked)  // INV-5
    co_return component->metadata.inconsistent ? Errc::component_inconsistent
                                               : Errc::component_outdated;
  if (!whole && cause == Cause::forced)
    log_.warning(
        "Promoted by force although the local component is {}. The peer is not merged "
        "with what is written from now on: one of the two has to be given up.",
        component->metadata.inconsistent ? "inconsistent" : "outdated");
  bool alone = std::exchange(handed_over_, false) || cause == Cause::forced;
  if (!alone && cause == Cause::asked && !settings_.fence.empty()) {
    alone = co_await peer_is_fenced();
    if (!alone) co_return Errc::not_fenced;
  }
  core::PrimaryOptions options;
  options.go_alone = go_alone();
  options.replication = settings_.replication;
  options.on_local_error = settings_.on_local_error;
  options.metaflush =
      settings_.metaflush ? core::MapCommit::Flush::yes : core::MapCommit::Flush::no;
  options.promotion =
      !whole && cause == Cause::forced ? core::Promotion::forced : core::Promotion::resumed;
  primary_ = std::make_unique<core::Primary>(*component, options,
                                             static_cast<core::PrimaryHost&>(*this), ports_.random);
  if (Result<void> served = frontend_ ? frontend_->serve(*primary_) : Result<void>{}; !served) {
    co_await wait_quiet(kForEver);  // it may have begun to store what a promotion changes
    primary_.reset();
    co_return served;
  }
  if (alone) primary_->permit_alone();
  // INV-12: clients are served at once; the peer is looked for in the background.
  link_ = std::make_unique<Link>(executor_, settings_, ports_, *primary_,
                                 static_cast<LinkObserver&>(*this), turn_end_, log_);
  link_->start();
  ticking_ = true;
  tasks_.spawn(tick());
  co_return Result<void>{};
}

Awaitable<Result<void>> Resource::enter_secondary(core::RecentWrites recent) {
  Result<core::Component> component = co_await open_component();
  if (!component) co_return std::move(component).error();
  secondary_ = std::make_unique<core::Secondary>(*component, core::Secondary::kDefaultRequests,
                                                 static_cast<core::SecondaryHost&>(*this),
                                                 std::move(recent));
  session_ = std::make_unique<Session>(executor_, settings_, ports_of_session(), *secondary_,
                                       static_cast<SessionObserver&>(*this), turn_end_, log_);
  session_->start();
  co_return Result<void>{};
}

Awaitable<void> Resource::leave() {
  const Role role = role_;
  role_ = Role::init;  // from here on clients and peers are refused
  if (role == Role::primary) co_await leave_primary();
  if (role == Role::secondary) co_await leave_secondary();
  co_await close_disk();
  log_ = Log(prefix(Role::init));
}

Awaitable<void> Resource::leave_primary() {
  ticking_ = false;
  tick_timer_->cancel();
  if (fencing_) {
    fencing_->over = true;
    fencing_->ended.notify();
  }
  co_await tasks_.join();
  // In this order: no new requests; those on their way reach the peer; the peer and the map are
  // left clean; only then the connection is closed. A dead peer is not waited for.
  co_await withdraw_frontend();
  primary_->prepare_stop();
  co_await wait_quiet(kDrainTime);
  co_await link_->stop();
  co_await wait_quiet(kForEver);
  link_.reset();
  primary_.reset();
}

Awaitable<void> Resource::leave_secondary() {
  if (!secondary_) co_return;  // its component failed and is not back yet
  co_await session_->stop();
  co_await wait_quiet(kForEver);
  session_.reset();
  secondary_.reset();
}

bool Resource::is_quiet() const {
  if (deliveries_ > 0 || turn_end_.is_posted()) return false;
  return primary_ ? primary_->quiet() : !secondary_ || secondary_->quiet();
}

/// Until everything on its way has ended, or the time is over.
Awaitable<void> Resource::wait_quiet(port::Duration limit) {
  const port::TimePoint end = ports_.clock.now() + limit;
  while (!is_quiet()) {
    const port::TimePoint now = ports_.clock.now();
    if (now >= end) break;
    // changed() cancels the timer: whichever comes first.
    co_await tick_timer_->wait_for(std::min<port::Duration>(end - now, 1s));
  }
}

Awaitable<void> Resource::tick() {
  while (ticking_) {
    co_await tick_timer_->wait_for(kTick);
    if (ticking_) primary_->tick();
  }
}

// The front-end -----------------------------------------------------------------------------------

std::string Resource::frontend_reason() const {
  return "resource " + settings_.name + " is " + std::string(to_string(role_)) +
         " on this node, not primary";
}

Awaitable<void> Resource::prepare_frontend() {
  if (!frontend_) co_return;
  co_await until_told([this](std::function<void()> done) { frontend_->prepare(std::move(done)); });
}

/// Whoever made this node primary finds its device. Not for ever: what looks at a new device reads
/// from it, and that may have to wait for the peer.
Awaitable<void> Resource::await_frontend() {
  if (!frontend_) co_return;
  const std::shared_ptr<port::Timer> patience = ports_.clock.make_timer(executor_);
  const auto open = std::make_shared<bool>(false);
  frontend_->when_open([open, patience] {
    *open = true;
    patience->cancel();
  });
  if (!*open) (void)co_await patience->wait_for(kOpenTime);
}

Awaitable<void> Resource::withdraw_frontend() {
  if (!frontend_) co_return;
  bool done = false;
  frontend_->withdraw(frontend_reason(), [this, &done] {
    done = true;
    tick_timer_->cancel();
  });
  if (primary_) primary_->clients_left();
  // Clients' requests wait for the peer's answers; a dead peer must not hold up a demotion.
  const port::TimePoint end = ports_.clock.now() + kDrainTime;
  while (!done) {
    if (link_ && link_->connected() && ports_.clock.now() >= end)
      link_->drop(
          Error{Errc::timed_out, 0, "requests were not answered while the role was given up"});
    co_await tick_timer_->wait_for(kTick);
  }
}

Awaitable<void> Resource::stop_frontend() {
  if (!frontend_) co_return;
  co_await until_told([this](std::function<void()> done) { frontend_->stop(std::move(done)); });
  frontend_.reset();
}

// Peers -------------------------------------------------------------------------------------------

std::optional<wire::Refusal> Resource::refusal() const {
  if (role_ == Role::secondary) {
    if (!renewing_) return std::nullopt;
    return wire::Refusal{"The component of the secondary failed: " + renewal_trouble_, false};
  }
  return wire::Refusal{"Remote node acts as " + std::string(to_string(role_)) +
                           " for the resource and not as secondary.",
                       role_ == Role::primary};
}

std::optional<wire::Refusal> Resource::adopt_first(Arrival& arrival) {
  if (std::optional<wire::Refusal> refused = refusal()) return refused;
  session_->adopt_first(std::move(arrival));
  return std::nullopt;
}

std::optional<wire::Refusal> Resource::adopt_second(Arrival& arrival, wire::SecondHello hello) {
  if (std::optional<wire::Refusal> refused = refusal()) return refused;
  return session_->adopt_second(arrival, std::move(hello));
}

// What the core and the connections tell ----------------------------------------------------------

/// What the turn gathered goes out. The peer first: it has the longer way; but in async nobody
/// waits for it.
void Resource::end_turn() {
  // What the peer hears first it works on meanwhile; but in async nobody waits for it, and both
  // replies of memsync may as well go together where the disk is done at once.
  const bool disk_first =
      primary_ ? settings_.replication == Replication::async : disk_ && disk_->completes_in_kick();
  if (disk_first && disk_) disk_->kick();
  if (link_) link_->flush();
  if (session_) session_->flush();
  if (!disk_first && disk_) disk_->kick();
  if (arriving_disk_) arriving_disk_->kick();
}

void Resource::outbox_filled() { turn_end_.due(); }

void Resource::drop_link(Error why) {
  if (link_) link_->drop(std::move(why));
}

void Resource::replies_ready() { turn_end_.due(); }

void Resource::request_freed() {
  if (session_) session_->request_freed();
}

void Resource::flush_failed(int error) {
  doubtful_ = true;
  ++flushes_failed_;
  if (primary_) primary_->flush_failed(error);
  if (!secondary_) return;
  if (!std::exchange(renewing_, true)) renewals_.spawn(renew_secondary());
}

void Resource::changed() {
  if (link_) link_->identity_changed();
  if (session_) session_->identity_changed();
  if ((role_ == Role::init || renewing_) && is_quiet())
    tick_timer_->cancel();  // somebody waits for it
}

void Resource::defer_delivery() {
  ++deliveries_;
  boost::asio::post(executor_, [this] {
    --deliveries_;
    if (primary_) primary_->deliver();
    if (deliveries_ == 0) changed();
  });
}

void Resource::local_reads(bool possible) {
  if (!frontend_) return;
  std::optional<port::LocalCopy> copy;
  if (possible) copy = {settings_.local, primary_->data_offset_bytes()};
  frontend_->read_from(copy);
}

void Resource::happened(const core::Event& event) {
  EventText text = describe(event);
  if (text.level != LogLevel::info && text.hook.empty()) {
    const std::optional<std::uint64_t> left_out = limiter_.admit(event.kind, ports_.clock.now());
    if (!left_out) return;
    if (*left_out > 0) text.text += fmt::format(" ({} more like it were not logged.)", *left_out);
  }
  switch (text.level) {
    case LogLevel::error:
      log_.error("{}", text.text);
      break;
    case LogLevel::warning:
      log_.warning("{}", text.text);
      break;
    default:
      log_.info("{}", text.text);
      break;
  }
  if (!text.hook.empty()) run_hook({std::string(text.hook), settings_.name});
}

void Resource::link_connected() { run_hook({"connect", settings_.name}); }

void Resource::link_disconnected() { run_hook({"disconnect", settings_.name}); }

void Resource::link_split_brain() {
  log_.error(
      "Split-brain: both nodes were written while they were apart, and nothing is merged. Decide "
      "which node's changes to give up; on that node: hastctl role secondary {0}; hastctl resolve "
      "{0} --discard local.",
      settings_.name);
  run_hook({"split-brain", settings_.name});
}

void Resource::run_hook(std::vector<std::string> words) {
  if (settings_.exec.empty()) return;
  words.insert(words.begin(), settings_.exec);
  ports_.hooks.run(std::move(words));
}

ResourceStatus Resource::status() const {
  ResourceStatus status;
  status.role = role_;
  status.frontend = frontend_ ? frontend_->location() : "";
  if (primary_) {
    status.working = true;
    status.connected = link_ && link_->connected();
    status.split_brain = link_ && link_->split_brain();
    status.trouble = link_ ? link_->trouble() : "";
    if (!status.connected && status.trouble.empty()) status.trouble = "connecting to the peer";
    status.io = primary_->status();
    status.inconsistent = status.io.stale_bytes > 0;
    status.datasize_bytes = primary_->volume().size_bytes;
    status.extentsize_bytes = primary_->extent_bytes();
    status.keepdirty = primary_->metadata().keepdirty;
  } else if (secondary_) {
    status.connected = status.working = session_->connected();
    status.split_brain = session_->split_brain();
    if (!status.connected) status.trouble = "no primary is connected";
    status.inconsistent = secondary_->metadata().inconsistent;
    status.outdated = secondary_->metadata().outdated;
    status.io.io = secondary_->statistics();
    status.io.slots_free = secondary_->requests_free();
    status.io.local_queue = secondary_->local_queue();
    status.io.send_queue = secondary_->send_queue();
    status.datasize_bytes = secondary_->layout().data_bytes;
    status.extentsize_bytes = secondary_->layout().extent_bytes;
  } else if (role_ == Role::secondary) {
    status.trouble = "the local component failed: " + renewal_trouble_;
  }
  return status;
}

Usage Resource::usage() {
  if (primary_) return primary_->usage();
  if (secondary_) return secondary_->usage();
  return {};
}

}  // namespace hast::engine
