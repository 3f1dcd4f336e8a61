#include "hast/config/parse.hpp"

#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "parsing.hpp"

using namespace hast;
using namespace hast::config;

namespace {

constexpr std::string_view kIssueExample = R"(
control: /var/run/hastctl            # UNIX socket
pidfile: /var/run/hastd.pid
listen: [tcp://0.0.0.0:8457]         # one or a list; default as the original
threads: 1                           # threads that run the io_context
busy_poll: 50                        # microseconds it polls before it sleeps
nodes:                               # optional per-node overrides of the above
  nodea: { listen: [tcp://127.0.0.1:8457], control: /tmp/a.ctl, pidfile: /tmp/a.pid }
defaults: { replication: memsync, checksum: none, compression: hole, timeout: 20, metaflush: true, io: auto, exec: /path/hook }
resources:
  shared:
    local: /dev/ada0p4               # here or per node
    name: shared                     # provider / export name, default: resource name
    replication: fullsync            # any of the defaults
    frontend: { type: nbd, listen: unix:///var/run/hast/shared.sock }   # type: nbd | ggate
    nodes:
      nodea: { remote: tcp://127.0.0.2:8457 }      # also local, source, name, metaflush, frontend
      nodeb: { remote: tcp://127.0.0.1:8457 }
)";

}  // namespace

TEST_CASE("the example of the manual means what it says") {
  const Config config = parsed(kIssueExample);
  CHECK(config.control.text == "/tmp/a.ctl");
  CHECK(config.control.address == Address{Address::Family::unix_socket, "/tmp/a.ctl", 0});
  CHECK(config.pidfile == "/tmp/a.pid");
  REQUIRE(config.listen.size() == 1);
  CHECK(config.listen[0].text == "tcp://127.0.0.1:8457");
  CHECK_FALSE(config.listen_is_default);
  CHECK(config.threads == 1);
  CHECK(config.busy_poll_us == 50);

  REQUIRE(config.resources.size() == 1);
  const ResourceConfig& shared = config.resources[0];
  CHECK(shared.name == "shared");
  CHECK(shared.provider_name == "shared");
  CHECK(shared.local == "/dev/ada0p4");
  REQUIRE(shared.remote);
  CHECK(shared.remote->text == "tcp://127.0.0.2:8457");
  CHECK_FALSE(shared.source);
  CHECK(shared.replication == Replication::fullsync);
  CHECK(shared.checksum == Checksum::none);
  CHECK(shared.compression == Compression::hole);
  CHECK(shared.timeout_s == 20);
  CHECK(shared.metaflush);
  CHECK(shared.exec == "/path/hook");
  CHECK(shared.frontend.type == FrontendType::nbd);
  REQUIRE(shared.frontend.listen);
  CHECK(shared.frontend.listen->address.host == "/var/run/hast/shared.sock");
}

TEST_CASE("the same file on the other node has the other node's values") {
  const Config config = parsed(kIssueExample, nodeb());
  CHECK(config.control.text == "/var/run/hastctl");
  CHECK(config.listen[0].text == "tcp://0.0.0.0:8457");
  CHECK(config.resources[0].remote->text == "tcp://127.0.0.1:8457");
}

TEST_CASE("an empty file is a daemon without resources and with every default") {
  for (const char* text : {"", "# nothing\n", "---\n", "resources:\n", "nodes:\ndefaults: {}\n"}) {
    const Config config = parsed(text);
    CHECK(config.control.text == "/var/run/hastctl");
    CHECK(config.pidfile == "/var/run/hastd.pid");
    CHECK(config.threads == 1);
    CHECK(config.resources.empty());
    CHECK(config.listen_is_default);
    REQUIRE(config.listen.size() == 2);
    CHECK(config.listen[0].text == "tcp4://0.0.0.0:8457");
    CHECK(config.listen[1].text == "tcp6://[::]:8457");
    CHECK(config.listen[1].address == Address{Address::Family::v6, "::", 8457});
  }
}

TEST_CASE("a bare resource has the original's defaults") {
  const ResourceConfig resource = parsed(resource_with("")).resources[0];
  CHECK(resource.provider_name == "r0");
  CHECK_FALSE(resource.remote);
  CHECK(remote_text(resource) == "none");
  CHECK(resource.replication == Replication::memsync);
  CHECK(resource.checksum == Checksum::none);
  CHECK(resource.compression == Compression::hole);
  CHECK(resource.timeout_s == 20);
  CHECK(resource.metaflush);
  CHECK(resource.io == IoMode::automatic);
  CHECK(resource.exec.empty());
}

TEST_CASE("the innermost value wins") {
  constexpr std::string_view text = R"(
resources:
  plain: { local: /p, nodes: { nodea: { remote: none } } }
  own:
    local: /outer
    name: outer
    replication: async
    checksum: sha256
    compression: lzf
    timeout: 3
    heartbeat: 2
    metaflush: true
    io: buffered
    exec: none
    nodes:
      nodea: { remote: none, local: /inner, name: inner, metaflush: off, io: auto, source: 10.0.0.1 }
defaults: { replication: fullsync, checksum: crc32, compression: none, timeout: 7, heartbeat: 9, metaflush: no, io: direct, exec: /h }
)";
  const Config config = parsed(text);
  const ResourceConfig& plain = config.resources[0];
  CHECK(plain.replication == Replication::fullsync);
  CHECK(plain.checksum == Checksum::crc32);
  CHECK(plain.compression == Compression::none);
  CHECK(plain.timeout_s == 7);
  CHECK(plain.heartbeat_s == 9);
  CHECK_FALSE(plain.metaflush);
  CHECK(plain.io == IoMode::direct);
  CHECK(plain.exec == "/h");
  const ResourceConfig& own = config.resources[1];
  CHECK(own.local == "/inner");
  CHECK(own.provider_name == "inner");
  CHECK(own.replication == Replication::async);
  CHECK(own.checksum == Checksum::sha256);
  CHECK(own.compression == Compression::lzf);
  CHECK(own.timeout_s == 3);
  CHECK(own.heartbeat_s == 2);
  CHECK_FALSE(own.metaflush);
  CHECK(own.io == IoMode::automatic);
  CHECK(own.exec.empty());
  REQUIRE(own.source);
  CHECK(own.source->address == Address{Address::Family::any, "10.0.0.1", 0});
}

TEST_CASE("resources keep the order of the file") {
  std::string text = "resources:\n";
  for (const char* name : {"zz", "aa", "mm"})
    text += "  " + std::string(name) + ": {local: /" + name + ", nodes: {nodea: {remote: none}}}\n";
  const Config config = parsed(text);
  REQUIRE(config.resources.size() == 3);
  CHECK(config.resources[0].name == "zz");
  CHECK(config.resources[1].name == "aa");
  CHECK(config.resources[2].name == "mm");
  CHECK(config.find("aa") == &config.resources[1]);
  CHECK(config.find("bb") == nullptr);
}

TEST_CASE("addresses keep their words and get their default ports") {
  const Config config = parsed(
      "listen: 10.0.0.1\n"
      "control: unix:///run/ctl\n"
      "resources: {r0: {local: /l, frontend: {listen: tcp://127.0.0.1}, nodes: {nodea: {remote: "
      "tcp4://10.0.0.2}}}}\n");
  CHECK(config.listen[0].text == "10.0.0.1");
  CHECK(config.listen[0].address.port == kDefaultPort);
  CHECK(config.control.address.host == "/run/ctl");
  CHECK(config.resources[0].remote->text == "tcp4://10.0.0.2");
  CHECK(config.resources[0].remote->address == Address{Address::Family::v4, "10.0.0.2", 8457});
  CHECK(config.resources[0].frontend.listen->address.port == 10809);
}

TEST_CASE("the front-end follows type, listen and platform") {
  SECTION("the default socket carries the provider's name") {
    const Config config = parsed(resource_with("    name: export\n    frontend: {type: nbd}\n"));
    CHECK(config.resources[0].frontend.listen->text == "unix:///var/run/hast/export.sock");
  }
  SECTION("ggate does not listen") {
    const Config config = parsed(resource_with("    frontend: {type: ggate}\n"));
    CHECK(config.resources[0].frontend == FrontendConfig{FrontendType::ggate, std::nullopt});
  }
  SECTION("a listen address means nbd") {
    const Config config = parsed(resource_with("    frontend: {listen: unix:///s}\n"));
    CHECK(config.resources[0].frontend.type == FrontendType::nbd);
  }
  SECTION("a node may turn the resource's nbd into ggate") {
    const Config config = parsed(
        "resources: {r: {local: /l, frontend: {listen: /s}, nodes: {nodea: {remote: none, "
        "frontend: {type: ggate}}, nodeb: {remote: none}}}}");
    CHECK(config.resources[0].frontend == FrontendConfig{FrontendType::ggate, std::nullopt});
  }
  SECTION("an NBD device is any that is free, with one connection") {
    const Config config = parsed(resource_with("    frontend: {type: nbd-device}\n"));
    CHECK(config.resources[0].frontend ==
          FrontendConfig{FrontendType::nbd_device, std::nullopt, std::nullopt, 1, 300});
  }
  SECTION("nodes may differ in a part of the device") {
    const Config config = parsed(
        "resources: {r: {local: /l, frontend: {type: nbd-device, device: nbd1, connections: 4}, "
        "nodes: {nodea: {remote: none, frontend: {device: /dev/nbd12, dead_timeout: 9}}}}}");
    CHECK(config.resources[0].frontend ==
          FrontendConfig{FrontendType::nbd_device, std::nullopt, 12, 4, 9});
  }
  SECTION("a ublk device has nothing to be chosen") {
    const Config config = parsed(resource_with("    frontend: {type: ublk}\n"));
    CHECK(config.resources[0].frontend == FrontendConfig{FrontendType::ublk, std::nullopt});
  }
  SECTION("the kernel reads a gate device's component by itself only if it is told to") {
    CHECK_FALSE(
        parsed(resource_with("    frontend: {type: ggate}\n")).resources[0].frontend.direct_reads);
    const Config config = parsed(
        "resources: {r: {local: /l, frontend: {type: ggate, direct_reads: true}, "
        "nodes: {nodea: {remote: none}}}}");
    CHECK(config.resources[0].frontend.direct_reads);
  }
  SECTION("a node may turn the resource's device into an export") {
    const Config config = parsed(
        "resources: {r: {local: /l, frontend: {type: nbd-device, connections: 4}, "
        "nodes: {nodea: {remote: none, frontend: {type: nbd}}}}}");
    CHECK(config.resources[0].frontend.type == FrontendType::nbd);
    CHECK(config.resources[0].frontend.connections == 1);
  }
}

TEST_CASE("several entries that name this machine apply in file order") {
  const NodeIdentity machine{{}, "host.example.org", {"ABCD-EF"}, {}};
  const Config config = parsed(
      "resources: {r: {local: /l, nodes: {host: {remote: none, local: /short}, other: {remote: "
      "1.1.1.1, local: /other}, abcdef: {remote: 2.2.2.2}}}}",
      machine);
  CHECK(config.resources[0].local == "/short");
  CHECK(config.resources[0].remote->text == "2.2.2.2");
}

TEST_CASE("anchors and aliases are expanded") {
  const Config config = parsed(
      "resources:\n"
      "  a: {local: /a, nodes: &both {nodea: {remote: 10.0.0.2}, nodeb: {remote: 10.0.0.1}}}\n"
      "  b: {local: /b, nodes: *both}\n");
  CHECK(config.resources[1].remote->text == "10.0.0.2");
}

// -- files ----------------------------------------------------------------------------------------

TEST_CASE("a file that cannot be read says so with the kernel's reason") {
  const Result<Config> missing = load_config("/nonexistent/hast.yaml", nodea());
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::config_unreadable);
  CHECK(missing.error().os_error == ENOENT);
  const Result<Config> folder = load_config("/", nodea());
  REQUIRE_FALSE(folder);
  CHECK(folder.error().code == Errc::config_unreadable);
  CHECK(folder.error().os_error == EISDIR);
}

TEST_CASE("a relative path means the folder of the configuration file") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("hast-parse-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  std::ofstream(folder / "hast.yaml") << "control: unix://sockets/control\n"
                                         "pidfile: ../hastd.pid\n"
                                         "resources:\n"
                                         "  a:\n"
                                         "    local: a.disk\n"
                                         "    nodes: {nodea: {remote: 10.0.0.2}}\n"
                                         "  b:\n"
                                         "    local: /b.disk\n"
                                         "    exec: hook\n"
                                         "    fence: bin/fence\n"
                                         "    nodes: {nodea: {remote: 10.0.0.2}}\n";
  const Result<Config> config = load_config((folder / "hast.yaml").string(), nodea());
  std::filesystem::remove_all(folder);
  REQUIRE(config);
  CHECK(config->control.address.host == folder / "sockets/control");
  CHECK(config->control.text == "unix://sockets/control");
  CHECK(config->pidfile == folder.parent_path() / "hastd.pid");
  CHECK(config->find("a")->local == folder / "a.disk");
  CHECK(config->find("a")->exec.empty());
  CHECK(config->find("a")->fence.empty());
  CHECK(config->find("b")->local == "/b.disk");
  CHECK(config->find("b")->exec == folder / "hook");
  CHECK(config->find("b")->fence == folder / "bin/fence");
}

TEST_CASE("the sample configuration is valid on both of its nodes") {
  const std::string path = std::string(HAST_SOURCE_DIR) + "/config/hast.yaml";
  for (const NodeIdentity& node : {nodea(), nodeb()}) {
    const Result<Config> config = load_config(path, node);
    INFO((config ? "" : config.error().detail));
    REQUIRE(config);
    CHECK(config->resources.size() == 2);
    CHECK(config->find("shared")->replication == Replication::fullsync);
  }
  CHECK(load_config(path, nodea())->find("tank")->remote == std::nullopt);
}

TEST_CASE("what the sample comments out is valid and the default") {
  std::ifstream file(std::string(HAST_SOURCE_DIR) + "/config/hast.yaml");
  std::string line, shown, hidden;
  while (std::getline(file, line)) {
    shown += line + "\n";
    const std::size_t hash = line.find('#');
    if (hash != std::string::npos && hash == line.find_first_not_of(' ') &&
        std::islower(static_cast<unsigned char>(line[hash + 1])))
      line.erase(hash, 1);
    hidden += line + "\n";
  }
  REQUIRE(shown != hidden);
  const Config commented = parsed(shown);
  Config uncommented = parsed(hidden);
  for (ResourceConfig& resource : uncommented.resources) {
    CHECK_FALSE(resource.exec.empty());
    resource.exec.clear();
    CHECK_FALSE(resource.fence.empty());
    resource.fence.clear();
  }
#ifdef __FreeBSD__  // the sample shows Linux's defaults
  uncommented.busy_poll_us = commented.busy_poll_us;
  for (ResourceConfig& resource : uncommented.resources)
    resource.frontend = commented.find(resource.name)->frontend;
#endif
  CHECK(uncommented == commented);
}

TEST_CASE("the manual page names every key of the schema") {
  std::ifstream file(std::string(HAST_SOURCE_DIR) + "/docs/man/hast.yaml.5");
  std::stringstream page;
  page << file.rdbuf();
  REQUIRE(page.str().size() > 1000);
  const std::vector<std::string> keys = schema_keys();
  REQUIRE(keys.size() > 25);
  for (const std::string& key : keys) {
    INFO(key);
    CHECK(page.str().find(".It Cm " + key.substr(key.rfind('.') + 1)) != std::string::npos);
  }
}

TEST_CASE("the manual page says which keys `defaults` may hold") {
  const std::set<std::string> words = manual_words(".It Cm defaults", ".It Cm resources");
  for (const std::string& key : schema_keys()) {
    INFO(key);
    CHECK((!key.starts_with("defaults.") || words.contains(key.substr(9))));
  }
}

TEST_CASE("every example of the manual page is valid") {
  std::ifstream file(std::string(HAST_SOURCE_DIR) + "/docs/man/hast.yaml.5");
  std::string line, example;
  int examples = 0;
  while (std::getline(file, line)) {
    if (line == ".Ed") {
      ++examples;
      INFO(example);
      const char* node = example.find("hasta") == std::string::npos ? "a" : "hasta";
      CHECK(parsed(example, {node, {}, {}, {}}).resources.size() == 1);
    }
    example = line.starts_with(".") ? "" : example + line + "\n";
  }
  CHECK(examples == 5);
}
