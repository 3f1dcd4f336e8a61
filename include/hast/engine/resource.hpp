// One resource: its role, the component it holds, and whatever runs because of the role. The role
// machine is one coroutine at a time: a change either succeeds completely or ends in init and says
// why. Everything of a resource happens on its executor. Owned by app::Node.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "hast/core/primary.hpp"
#include "hast/core/secondary.hpp"
#include "hast/engine/event_limiter.hpp"
#include "hast/engine/link.hpp"
#include "hast/engine/local_disk.hpp"
#include "hast/engine/session.hpp"
#include "hast/engine/turn.hpp"
#include "hast/engine/turn_end.hpp"
#include "hast/port/frontend.hpp"

namespace hast::engine {

/// What an operator says of a component that is inconsistent or outdated: nothing, or "take it".
enum class Force : std::uint8_t { no, yes };

/// What becomes of a component that a primary gave up.
struct Attached {
  bool was_lost = false;  // false: there was nothing to do
  std::uint64_t to_copy_bytes = 0;
};

/// A split-brain is resolved by giving up what this node wrote alone.
struct DiscardOrder {
  enum class Doing : std::uint8_t { plan, discard };
  Doing doing = Doing::plan;
  std::string backup;  // a file that does not exist yet; empty: none is made
};
struct Discarded {
  std::uint64_t extents = 0;  // that only this node may have written
  std::uint64_t bytes = 0;
};

/// What a resource can say of itself at any time.
struct ResourceStatus {
  Role role = Role::init;
  bool working = false;  // primary, or secondary with a connected primary: "complete"/"degraded"
  bool connected = false;
  bool split_brain = false;
  bool inconsistent = false;  // the component is a mixture until a resync completes (INV-5)
  bool outdated = false;      // whole, but the peer is known to hold newer data
  std::string trouble;        // why not connected, one sentence
  std::string frontend;       // where clients find it
  std::uint64_t datasize_bytes = 0;
  std::uint32_t extentsize_bytes = 0;
  std::uint32_t keepdirty = 0;
  core::PrimaryStatus io;  // a secondary fills the parts it has
};

class Resource final : private core::PrimaryHost,
                       private core::SecondaryHost,
                       private LinkObserver,
                       private SessionObserver {
 public:
  Resource(Executor executor, ResourceSettings settings, Ports ports,
           std::unique_ptr<port::Frontend> frontend);
  ~Resource();

  const Executor& executor() const { return executor_; }
  const ResourceSettings& settings() const { return settings_; }
  Role role() const { return role_; }

  /// Opens the front-end (which refuses clients until the role is primary).
  Result<void> start();
  /// The role before. Returns when the new role is in force, or why it is not: then the role is
  /// init.
  Awaitable<Result<Role>> set_role(Role role, Force force = Force::no);
  /// Role init without hook, front-end closed. Nothing runs afterwards.
  Awaitable<void> stop();
  /// Live changes of a primary; everything else restarts the role (semantics §9).
  Awaitable<void> reload(ResourceSettings settings);
  /// With a new front-end: the old one is stopped, the role restarted.
  Awaitable<void> replace_frontend(std::unique_ptr<port::Frontend> frontend);

  /// Takes the component back that a primary gave up, or what is in its place (`local`). Errors:
  /// wrong_role, component_busy (requests still hang in it), those of opening and
  /// core::Primary::attach(), io_failed (it cannot record what it lacks).
  Awaitable<Result<Attached>> attach();
  /// Errors: wrong_role (secondary only), no_split_brain, io_failed (the backup).
  Awaitable<Result<Discarded>> discard_own_changes(DiscardOrder order);

  ResourceStatus status() const;
  /// Of requests, in whichever role. A second reading does not show the first one's most.
  Usage usage();

  // Connections of a primary, from the acceptor. A refusal is for the peer; the stream is then
  // back.
  std::optional<wire::Refusal> adopt_first(Arrival& arrival);
  std::optional<wire::Refusal> adopt_second(Arrival& arrival, wire::SecondHello hello);

 private:
  /// Why a role is taken up: an operator asks for it, by force or not, or it was only interrupted.
  enum class Cause : std::uint8_t { asked, forced, resumed };
  Awaitable<Result<void>> enter(Role role, Cause cause);
  Awaitable<Result<void>> enter_primary(Cause cause);
  Awaitable<Result<void>> enter_secondary(core::RecentWrites recent = {});
  void flush_failed(int error);
  Awaitable<void> renew_secondary();
  Ports ports_of_session() const;
  Awaitable<Result<std::unique_ptr<LocalDisk>>> open_disk();
  Awaitable<void> close_disk();
  Awaitable<void> disks_closed();
  Awaitable<Result<core::Component>> open_component();
  Awaitable<Result<Attached>> take_component_back();
  Awaitable<Result<Discarded>> give_up_own_changes(DiscardOrder order);
  Awaitable<Result<void>> save_extents(Bitmap extents, std::string path);
  Awaitable<void> wait_until(std::function<bool()> reached, port::Duration limit);
  Awaitable<void> leave();
  Awaitable<void> leave_primary();
  Awaitable<void> leave_secondary();
  Awaitable<void> restart_role();
  Awaitable<void> prepare_frontend();
  Awaitable<void> await_frontend();
  Awaitable<void> withdraw_frontend();
  Awaitable<void> stop_frontend();
  Awaitable<void> wait_quiet(port::Duration limit);
  bool is_quiet() const;
  Awaitable<void> tick();
  std::optional<wire::Refusal> refusal() const;
  void run_hook(std::vector<std::string> words);
  core::GoAlone go_alone() const;
  Awaitable<bool> peer_is_fenced();
  Awaitable<void> ask_to_go_alone();
  std::string prefix(Role role) const;
  std::string frontend_reason() const;
  void end_turn();

  // core::PrimaryHost, core::SecondaryHost
  void outbox_filled() override;
  void drop_link(Error why) override;
  void happened(const core::Event& event) override;
  void changed() override;
  void defer_delivery() override;
  void permission_wanted() override;
  void local_reads(bool possible) override;
  void batch_begins() override { turn_end_.open(); }
  void batch_ends() override { turn_end_.close(); }
  void replies_ready() override;
  void request_freed() override;
  // LinkObserver, SessionObserver
  void link_connected() override;
  void link_disconnected() override;
  void link_split_brain() override;
  void session_connected() override { link_connected(); }
  void session_disconnected() override { link_disconnected(); }
  void session_split_brain() override { link_split_brain(); }

  Executor executor_;
  ResourceSettings settings_;
  Ports ports_;
  std::unique_ptr<port::Frontend> frontend_;
  Log log_;
  Role role_ = Role::init;
  Turn role_turn_;  // one change of role, reload or stop at a time

  EventLimiter limiter_;

  TurnEnd turn_end_;
  std::unique_ptr<LocalDisk> disk_;
  std::unique_ptr<LocalDisk> arriving_disk_;  // opened, and not the component yet
  std::unique_ptr<core::Primary> primary_;
  std::unique_ptr<core::Secondary> secondary_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<Session> session_;
  TaskGroup tasks_;
  std::unique_ptr<port::Timer> tick_timer_;
  bool doubtful_ = false;  // a flush of the component failed since it was last opened
  std::uint64_t flushes_failed_ = 0;
  TaskGroup renewals_;  // renew_secondary()
  bool renewing_ = false;
  std::string renewal_trouble_;
  /// A fence hook at work. Shared with it: it may end after the role.
  struct Fencing {
    port::Wakeup ended;
    bool over = false;
    bool succeeded = false;
  };
  std::shared_ptr<Fencing> fencing_;
  bool asking_ = false;  // ask_to_go_alone() runs
  bool ticking_ = false;
  bool handed_over_ = false;    // the role primary was given up for this node
  std::size_t deliveries_ = 0;  // posted calls of deliver() that did not run yet
};

}  // namespace hast::engine
