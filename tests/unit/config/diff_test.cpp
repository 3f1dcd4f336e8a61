#include "hast/config/diff.hpp"

#include <functional>

#include "parsing.hpp"

using namespace hast;
using namespace hast::config;
using Kind = Change::Kind;

namespace {

ConfiguredAddress address(const std::string& text) {
  return {text, *Address::parse(text, kDefaultPort)};
}

ResourceConfig resource(const std::string& name) {
  ResourceConfig config;
  config.name = config.provider_name = name;
  config.local = "/dev/" + name;
  config.remote = address("tcp://10.0.0.2");
  return config;
}

Config base() {
  Config config;
  config.control = address("/run/ctl");
  config.pidfile = "/run/pid";
  config.listen = {address("tcp://10.0.0.1")};
  config.resources = {resource("a"), resource("b")};
  return config;
}

std::vector<std::string> words(const std::vector<Change>& changes) {
  std::vector<std::string> all;
  for (const Change& change : changes) all.push_back(to_string(change));
  return all;
}

}  // namespace

TEST_CASE("equal configurations have no difference") { CHECK(diff(base(), base()).empty()); }

TEST_CASE("each key of a resource is one change in its own words") {
  struct Row {
    std::function<void(ResourceConfig&)> edit;
    Kind kind;
    std::string text;
    Effect on_primary;
  };
  const Row rows[] = {
      {[](auto& r) { r.provider_name = "x"; }, Kind::provider_name,
       "resource b: name changed from b to x", Effect::restart},
      {[](auto& r) { r.local = "/dev/x"; }, Kind::local,
       "resource b: local changed from /dev/b to /dev/x", Effect::restart},
      {[](auto& r) { r.remote.reset(); }, Kind::remote,
       "resource b: remote changed from tcp://10.0.0.2 to none", Effect::live},
      {[](auto& r) { r.source = address("tcp://10.0.0.1"); }, Kind::source,
       "resource b: source changed from none to tcp://10.0.0.1", Effect::live},
      {[](auto& r) { r.replication = Replication::async; }, Kind::replication,
       "resource b: replication changed from memsync to async", Effect::live},
      {[](auto& r) { r.checksum = Checksum::sha256; }, Kind::checksum,
       "resource b: checksum changed from none to sha256", Effect::live},
      {[](auto& r) { r.compression = Compression::lzf; }, Kind::compression,
       "resource b: compression changed from hole to lzf", Effect::live},
      {[](auto& r) { r.timeout_s = 5; }, Kind::timeout, "resource b: timeout changed from 20 to 5",
       Effect::live},
      {[](auto& r) { r.heartbeat_s = 5; }, Kind::heartbeat,
       "resource b: heartbeat changed from 1 to 5", Effect::live},
      {[](auto& r) { r.metaflush = false; }, Kind::metaflush,
       "resource b: metaflush changed from true to false", Effect::live},
      {[](auto& r) { r.on_local_error = OnLocalError::pass; }, Kind::on_local_error,
       "resource b: on_local_error changed from detach to pass", Effect::live},
      {[](auto& r) { r.on_peer_loss = OnPeerLoss::freeze; }, Kind::on_peer_loss,
       "resource b: on_peer_loss changed from continue to freeze", Effect::live},
      {[](auto& r) { r.fence = "/sbin/fence"; }, Kind::fence,
       "resource b: fence changed from none to /sbin/fence", Effect::live},
      {[](auto& r) { r.fence_timeout_s = 5; }, Kind::fence_timeout,
       "resource b: fence_timeout changed from 60 to 5", Effect::live},
      {[](auto& r) { r.io = IoMode::direct; }, Kind::io,
       "resource b: io changed from auto to direct", Effect::restart},
      {[](auto& r) { r.exec = "/hook"; }, Kind::exec, "resource b: exec changed from none to /hook",
       Effect::live},
      {[](auto& r) {
         r.frontend.type = FrontendType::ggate;
         r.frontend.listen.reset();
       },
       Kind::frontend, "resource b: frontend changed from nbd to ggate", Effect::restart},
      {[](auto& r) {
         r.frontend = {FrontendType::ggate};
         r.frontend.direct_reads = true;
       },
       Kind::frontend, "resource b: frontend changed from nbd to ggate (direct_reads)",
       Effect::restart},
      {[](auto& r) {
         r.frontend.type = FrontendType::nbd_device;
         r.frontend.device = 3;
       },
       Kind::frontend,
       "resource b: frontend changed from nbd to nbd-device /dev/nbd3 (connections 1, dead_timeout "
       "300)",
       Effect::restart},
  };
  const std::set<std::string> live = manual_words("A primary takes", "live;");
  for (const Row& row : rows) {
    Config after = base();
    row.edit(after.resources[1]);
    const std::vector<Change> changes = diff(base(), after);
    REQUIRE(changes.size() == 1);
    CHECK(changes[0].kind == row.kind);
    CHECK(changes[0].resource == "b");
    CHECK(to_string(changes[0]) == row.text);
    // The reload table: a primary takes most changes live, the other roles restart.
    CHECK(effect_of(row.kind, Role::primary) == row.on_primary);
    CHECK(live.contains(std::string(to_string(row.kind))) == (row.on_primary == Effect::live));
    CHECK(effect_of(row.kind, Role::secondary) == Effect::restart);
    CHECK(effect_of(row.kind, Role::init) == Effect::restart);
  }
}

TEST_CASE("changes of the daemon come first and in their own words") {
  Config before = base();
  before.busy_poll_us = 100;
  Config after = before;
  after.control = address("/run/other");
  after.pidfile = "/run/p";
  after.listen = {address("tcp://10.0.0.9"), address("tcp://10.0.0.8")};
  after.threads = 2;
  after.busy_poll_us = 0;
  CHECK(words(diff(before, after)) ==
        std::vector<std::string>{"control changed from /run/ctl to /run/other",
                                 "pidfile changed from /run/pid to /run/p",
                                 "listen: tcp://10.0.0.9 added", "listen: tcp://10.0.0.8 added",
                                 "listen: tcp://10.0.0.1 removed", "threads changed from 1 to 2",
                                 "busy_poll changed from 100 to 0"});
  CHECK(effect_of(Kind::threads, Role::primary) == Effect::daemon);
  CHECK(effect_of(Kind::control, Role::primary) == Effect::live);
  CHECK(effect_of(Kind::busy_poll, Role::primary) == Effect::live);
}

TEST_CASE("resources come, go and change places") {
  Config after = base();
  after.resources = {resource("c"), resource("b")};
  CHECK(words(diff(base(), after)) ==
        std::vector<std::string>{"resource a removed", "resource c added"});
  after.resources = {resource("b"), resource("a")};
  CHECK(words(diff(base(), after)) ==
        std::vector<std::string>{"resources changed from a, b to b, a"});
}

TEST_CASE("the strongest effect on a resource counts, and only on that one") {
  Config after = base();
  after.resources[0].timeout_s = 1;
  after.resources[0].local = "/dev/new";
  after.resources[1].checksum = Checksum::crc32;
  const std::vector<Change> changes = diff(base(), after);
  CHECK(effect_on("a", Role::primary, changes) == Effect::restart);
  CHECK(effect_on("b", Role::primary, changes) == Effect::live);
  CHECK(effect_on("b", Role::secondary, changes) == Effect::restart);
  CHECK(effect_on("nosuch", Role::primary, changes) == Effect::live);
}
