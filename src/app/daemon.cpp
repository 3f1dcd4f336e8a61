#include "hast/app/daemon.hpp"

#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

#include "hast/adapter/boot_id.hpp"
#include "hast/adapter/busy_poll.hpp"
#include "hast/adapter/clock.hpp"
#include "hast/adapter/daemonize.hpp"
#include "hast/adapter/hook_exec.hpp"
#include "hast/adapter/net.hpp"
#include "hast/adapter/random.hpp"
#include "hast/adapter/service_notify.hpp"
#include "hast/app/control_server.hpp"
#include "hast/app/node.hpp"
#include "hast/app/options.hpp"
#include "hast/app/version.hpp"
#include "hast/config/parse.hpp"

namespace hast::app {

namespace {

// sysexits(3), as the original uses them (config-and-cli §3).
constexpr int kExitUsage = 64;
constexpr int kExitOsError = 71;
constexpr int kExitOsFile = 72;
constexpr int kExitTemporary = 75;
constexpr int kExitConfig = 78;

int config_exit_code(const Error& error) {
  return error.code == Errc::config_unreadable ? kExitOsFile : kExitConfig;
}

int complain(const Error& error, int exit_code) {
  std::fprintf(stderr, "hastd: %s\n", error.message().c_str());
  return exit_code;
}

/// Where all runs that is no resource. With one thread the context itself: no strand, no hop.
engine::Executor main_executor(boost::asio::io_context& context, unsigned threads) {
  if (threads > 1) return boost::asio::make_strand(context);
  return context.get_executor();
}

/// Everything that exists while the daemon runs.
class Daemon {
 public:
  Daemon(Options options, config::NodeIdentity identity, adapter::Pidfile pidfile,
         adapter::ServiceNotify service, unsigned threads)
      : options_(std::move(options)),
        identity_(std::move(identity)),
        pidfile_(std::move(pidfile)),
        service_(std::move(service)),
        threads_(threads),
        context_(static_cast<int>(threads)),
        executor_(main_executor(context_, threads)),
        hooks_(executor_),
        node_(context_, executor_, {net_, clock_, random_, hooks_, adapter::boot_id()}),
        control_(executor_, net_, clock_, node_),
        signals_(executor_, SIGTERM, SIGINT, SIGHUP),
        alive_timer_(clock_.make_timer(executor_)),
        tasks_(executor_) {
    signals_.add(SIGUSR2);
    if (threads == 1)
      boost::asio::make_service<adapter::BusyPoll>(context_, [this] { return prospect(); });
  }

  Result<void> start(config::Config config) {
    const Address control = config.control.address;
    if (Result<void> started = node_.start(std::move(config)); !started) return started;
    return control_.listen(control);
  }

  /// Ends what start() began when it failed half-way. Devices in the kernel are not its own.
  void abort() {
    node_.departure().come_back();
    tasks_.spawn(stop());
    context_.run();
  }

  int run() {
    tasks_.spawn(handle_signals());
    tasks_.spawn(report_alive());
    tell_service(service_.ready());
    std::vector<std::thread> others;
    for (unsigned i = 1; i < threads_; ++i) others.emplace_back([this] { context_.run(); });
    context_.run();
    for (std::thread& thread : others) thread.join();
    log_.info("Exiting.");
    return 0;
  }

 private:
  adapter::Prospect prospect() const {
    return {std::chrono::microseconds(node_.config().busy_poll_us), node_.usage()};
  }

  engine::Awaitable<void> handle_signals() {
    for (;;) {
      const auto [error, number] =
          co_await signals_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
      if (error) break;
      if (number == SIGHUP) {
        tell_service(service_.reloading());
        co_await reload();
        tell_service(service_.ready());
        continue;
      }
      if (number == SIGUSR2) {
        node_.departure().come_back();
        log_.info("Exiting for a restart: devices in the kernel stay and wait for the next hastd.");
        break;
      }
      log_.info("Termination signal received, exiting.");
      break;
    }
    tell_service(service_.stopping());
    co_await stop();
    alive_timer_->cancel();
  }

  /// The service manager's watchdog: this executor still gets round to things.
  engine::Awaitable<void> report_alive() {
    const port::Duration interval = service_.watchdog_interval() / 2;
    while (interval.count() > 0 && co_await alive_timer_->wait_for(interval))
      (void)service_.alive();  // a lost one is made up for by the next
  }

  void tell_service(const Result<void>& told) {
    if (!told) log_.warning("{}", told.error().message());
  }

  engine::Awaitable<void> stop() {
    co_await control_.stop();
    co_await node_.stop();
    hooks_.stop();
  }

  engine::Awaitable<void> reload() {
    log_.info("Reloading configuration...");
    Result<config::Config> config = config::load_config(options_.config, identity_);
    if (!config) {
      log_.error("Configuration not reloaded, nothing is changed: {}", config.error().message());
      co_return;
    }
    const config::ConfiguredAddress old_control = node_.config().control;
    if (!(config->control == old_control)) {
      if (Result<void> moved = control_.move_to(config->control.address); !moved) {
        log_.error("Configuration not reloaded, nothing is changed: {}", moved.error().message());
        co_return;
      }
    }
    move_pidfile(node_.config().pidfile, config->pidfile);
    co_await node_.reload(std::move(config).value());
    log_.info("Configuration reloaded successfully.");
  }

  void move_pidfile(const std::string& from, const std::string& to) {
    if (from == to || options_.pidfile || options_.foreground) return;
    Result<adapter::Pidfile> moved = adapter::Pidfile::open(to);
    Result<void> written = moved ? moved->write() : Result<void>{moved.error()};
    if (!written) {
      log_.warning("The pidfile stays where it was: {}", written.error().message());
      return;
    }
    pidfile_ = std::move(moved).value();
  }

  Options options_;
  config::NodeIdentity identity_;
  adapter::Pidfile pidfile_;
  adapter::ServiceNotify service_;
  unsigned threads_;
  Log log_;
  boost::asio::io_context context_;
  adapter::SteadyClock clock_;
  adapter::SystemRandom random_;
  adapter::AsioNet net_;
  engine::Executor executor_;
  adapter::HookExec hooks_;
  Node node_;
  ControlServer control_;
  boost::asio::signal_set signals_;
  std::unique_ptr<port::Timer> alive_timer_;
  engine::TaskGroup tasks_;
};

/// The pidfile of a daemon; in the foreground only one that was asked for. Another hastd that holds
/// it ends the start, any other trouble with it is only said.
Result<adapter::Pidfile> open_pidfile(const Options& options, const config::Config& config) {
  if (options.foreground && !options.pidfile) return adapter::Pidfile{};
  const std::string path = options.pidfile.value_or(config.pidfile);
  Result<adapter::Pidfile> pidfile = adapter::Pidfile::open(path);
  if (pidfile || pidfile.error().code == Errc::already_running) return pidfile;
  Log().warning("Going on without a pidfile: {}", pidfile.error().message());
  return adapter::Pidfile{};
}

int serve(Options options, config::NodeIdentity identity, config::Config config) {
  (void)std::signal(SIGPIPE, SIG_IGN);
  open_log({LogOptions::Target::terminal, options.debug_level});
  Result<adapter::Pidfile> pidfile = open_pidfile(options, config);
  if (!pidfile) return complain(pidfile.error(), kExitTemporary);
  std::optional<adapter::Detachment> detachment;
  if (!options.foreground) {
    Result<adapter::Detachment> begun = adapter::Detachment::begin();
    if (!begun) return complain(begun.error(), kExitOsError);
    detachment = std::move(begun).value();
  }
  if (Result<void> written = pidfile->write(); !written)
    Log().warning("The pidfile stays empty: {}", written.error().message());

  const int debug_level = options.debug_level;
  Daemon daemon(std::move(options), std::move(identity), std::move(pidfile).value(),
                adapter::ServiceNotify::from_environment(), config.threads);
  Result<void> started = daemon.start(std::move(config));
  if (started && detachment) {
    open_log({LogOptions::Target::syslog, debug_level});
    started = detachment->ready();
  }
  if (started) return daemon.run();
  daemon.abort();
  return complain(started.error(), kExitOsError);
}

}  // namespace

int run(const std::vector<std::string>& arguments) {
  Result<Options> options = parse_options(arguments);
  if (!options || options->help) {
    if (!options) std::fprintf(stderr, "hastd: %s\n", options.error().detail.c_str());
    std::fputs(std::string(usage_text()).c_str(), stderr);
    return kExitUsage;
  }
  if (options->version) {
    std::printf("hastd %s\n", kVersion);
    return 0;
  }
  std::error_code ignored;  // a daemon changes its directory: the path must survive that
  options->config = std::filesystem::absolute(options->config, ignored).string();
  config::NodeIdentity identity = config::NodeIdentity::of_this_host(options->node);
  Result<config::Config> config = config::load_config(options->config, identity);
  if (!config) return complain(config.error(), config_exit_code(config.error()));
  return serve(std::move(options).value(), std::move(identity), std::move(config).value());
}

}  // namespace hast::app
