#include "hast/config/parse.hpp"
#include "parsing.hpp"

using namespace hast;
using namespace hast::config;

// -- every error, with its place ------------------------------------------------------------------

TEST_CASE("unknown keys are refused with their place and the nearest valid key") {
  CHECK(refused("contrl: /x\n") == "f:1:1: unknown key \"contrl\": did you mean \"control\"?");
  CHECK(refused("threads: 1\n\n  \nlsiten: x\n") ==
        "f:4:1: unknown key \"lsiten\": did you mean \"listen\"?");
  CHECK(refused("nodes: {a: {listn: x}}\n") ==
        "f:1:13: unknown key \"listn\": did you mean \"listen\"?");
  CHECK(refused("defaults: {timeot: 1}") ==
        "f:1:12: unknown key \"timeot\": did you mean \"timeout\"?");
  CHECK(refused(resource_with("    compresion: lzf\n")) ==
        "f:5:5: unknown key \"compresion\": did you mean \"compression\"?");
  CHECK(refused("resources: {r: {nodes: {n: {remot: none}}}}") ==
        "f:1:29: unknown key \"remot\": did you mean \"remote\"?");
  CHECK(refused(resource_with("    frontend: {tpye: nbd}\n")) ==
        "f:5:16: unknown key \"tpye\": did you mean \"type\"?");
  CHECK(
      refused("colour: red\n") ==
      "f:1:1: unknown key \"colour\": valid: control, pidfile, listen, threads, busy_poll, nodes, "
      "defaults, "
      "resources");
}

TEST_CASE("a key in the wrong place is told its right one") {
  CHECK(refused(resource_with("    remote: none\n")) ==
        "f:5:5: \"remote\" does not belong here but in resources.NAME.nodes.NODE.remote; valid: "
        "replication, checksum, compression, timeout, heartbeat, metaflush, io, on_local_error, "
        "on_peer_loss, fence, fence_timeout, exec, local, name, frontend, nodes");
  CHECK(refused("timeout: 3\n").find("defaults.timeout") != std::string::npos);
}

TEST_CASE("wrong types are refused where they stand") {
  CHECK(refused("[a]") == "f:1:1: a map of keys and values is expected here");
  CHECK(refused("hello") == "f:1:1: a map of keys and values is expected here");
  CHECK(refused("control: [a]\n") == "f:1:10: an address is expected here, not a list");
  CHECK(refused("control:\n").find("an address is expected here, not nothing") !=
        std::string::npos);
  CHECK(refused("pidfile: {a: b}\n").find("f:1:10: a path is expected here, not a map") == 0);
  CHECK(refused("pidfile: 5\n") ==
        "f:1:10: a path is expected here, not \"5\": put it in quotes if it is meant as text");
  CHECK(refused("pidfile: ''\n") == "f:1:10: a path is expected here, not \"\"");
  CHECK(refused("threads: two\n") == "f:1:10: a number of threads is expected here, not \"two\"");
  CHECK(refused("threads: '2'\n") == "f:1:10: a number of threads is expected here, not \"2\"");
  CHECK(refused("threads: 2.0\n") == "f:1:10: a number of threads is expected here, not \"2.0\"");
  CHECK(refused("nodes: [a]\n") == "f:1:8: a map of nodes is expected here");
  CHECK(refused("nodes: {a: 1}\n") == "f:1:12: a map of keys and values is expected here");
  CHECK(refused("resources: [a]\n") == "f:1:12: a map of resources is expected here");
  CHECK(refused("resources: {r: 1}\n") == "f:1:16: a map of keys and values is expected here");
  CHECK(refused("defaults: 1\n") == "f:1:11: a map of keys and values is expected here");
  CHECK(refused("listen: [[a]]\n") == "f:1:10: an address is expected here, not a list");
  CHECK(refused("listen: []\n") == "f:1:9: a list of 1 to 64 addresses is expected");
  CHECK(refused(resource_with("    metaflush: maybe\n")) ==
        "f:5:16: true or false is expected here, not \"maybe\": valid: true, on, yes, false, off, "
        "no");
  CHECK(refused(resource_with("    metaflush: 'true'\n")) ==
        "f:5:16: true or false is expected here, not \"true\"");
}

TEST_CASE("words outside a list of words are refused with the nearest one") {
  CHECK(refused(resource_with("    replication: fulsync\n")) ==
        "f:5:18: a replication mode is expected here, not \"fulsync\": did you mean \"fullsync\"?");
  CHECK(refused(resource_with("    checksum: md5\n")) ==
        "f:5:15: a checksum is expected here, not \"md5\": valid: none, crc32, sha256");
  CHECK(refused(resource_with("    compression: zstd\n")) ==
        "f:5:18: a compression is expected here, not \"zstd\": valid: none, hole, lzf, lz4");
  CHECK(refused(resource_with("    frontend: {type: ndb}\n")) ==
        "f:5:22: a front-end type is expected here, not \"ndb\": did you mean \"nbd\"?");
}

TEST_CASE("numbers out of range are refused") {
  for (const char* number : {"0", "-1", "86401", "99999999999999999999"})
    CHECK(refused("defaults: {timeout: " + std::string(number) + "}") ==
          "f:1:21: " + std::string(number) + " is out of range: 1 to 86400 is allowed");
  CHECK(refused("defaults: {heartbeat: 61}") == "f:1:23: 61 is out of range: 1 to 60 is allowed");
  CHECK(refused("threads: 65") == "f:1:10: 65 is out of range: 1 to 64 is allowed");
  CHECK(parsed("threads: 64").threads == 64);
  CHECK(refused("busy_poll: 1001") == "f:1:12: 1001 is out of range: 0 to 1000 is allowed");
  CHECK(refused("busy_poll: 1ms") ==
        "f:1:12: a number of microseconds is expected here, not \"1ms\"");
  CHECK(parsed("busy_poll: 0").busy_poll_us == 0);
#ifdef __FreeBSD__
  CHECK(parsed("threads: 1").busy_poll_us == 0);
#else
  CHECK(parsed("threads: 1").busy_poll_us == 100);
#endif
}

TEST_CASE("addresses that mean nothing are refused") {
  CHECK(refused("listen: tcp://h:99999\n").find("f:1:9: invalid address 'tcp://h:99999'") == 0);
  CHECK(refused("listen: [a, tcp://a:8457]\n") == "f:1:13: \"tcp://a:8457\" is listed twice");
  CHECK(refused("control: tcp://h\n") ==
        "f:1:10: the path of a UNIX socket is expected here, not \"tcp://h\"");
  CHECK(refused("control: /" + repeat("x", 103)).find("f:1:10: invalid address") == 0);
  CHECK(parsed("control: /" + repeat("x", 102)).control.text.size() == 103);
  CHECK(refused("resources: {r: {nodes: {nodea: {source: /s}}}}") ==
        "f:1:41: a TCP address is expected here, not \"/s\"");
}

TEST_CASE("names keep the original's limits") {
  CHECK(refused("resources: {a/b: {}}") == "f:1:13: the resource name \"a/b\" contains a '/'");
  CHECK(refused("resources: {\"\": {}}") == "f:1:13: the resource name \"\" is empty");
  CHECK(refused("resources: {..: {}}") == "f:1:13: the resource name \"..\" means a folder");
  CHECK(refused("nodes: {a/b: {}}") == "f:1:9: the node name \"a/b\" contains a '/'");
  CHECK(refused(resource_with("    name: a/b\n")) == "f:5:11: the name \"a/b\" contains a '/'");
  CHECK(refused("resources: {all: {local: /l, nodes: {nodea: {remote: none}}}}") ==
        "f:1:13: \"all\" means every resource: choose another name");
  const std::string longest = repeat("n", 254);
  CHECK(refused("resources: {" + longest + "n: {}}").find("is longer than 254 bytes") !=
        std::string::npos);
  CHECK(parsed("resources: {" + longest +
               ": {local: /l, frontend: {listen: /s}, nodes: {nodea: {remote: none}}}}")
            .resources[0]
            .name == longest);
}

TEST_CASE("a name too long for the default socket asks for another") {
  const std::string name = repeat("n", 90);
  CHECK(refused("resources: {" + name +
                ": {local: /l, frontend: {type: nbd}, nodes: {nodea: {remote: none}}}}")
            .find("has a path of more than 103 bytes: set frontend.listen") != std::string::npos);
}

TEST_CASE("paths are bounded") {
  CHECK(refused(resource_with("    exec: /" + repeat("x", 1023) + "\n")) ==
        "f:5:11: the path is longer than 1023 bytes");
  CHECK(parsed(resource_with("    exec: /" + repeat("x", 1022) + "\n")).resources[0].exec.size() ==
        1023);
}

TEST_CASE("a ggate front-end with an address contradicts itself") {
  CHECK(refused(resource_with("    frontend: {type: ggate, listen: /s}\n")) ==
        "f:5:37: a front-end of type ggate does not listen: remove this, or write type: nbd");
  CHECK(refused(resource_with("    frontend: {type: nbd-device, listen: /s}\n")) ==
        "f:5:42: a front-end of type nbd-device does not listen: remove this, or write type: nbd");
}

TEST_CASE("what is for NBD devices is refused elsewhere") {
  CHECK(refused(resource_with("    frontend: {connections: 4}\n")) ==
        "f:5:29: `connections` is for NBD devices: remove this, or write type: nbd-device");
  CHECK(refused(resource_with("    frontend: {type: ggate, dead_timeout: 4}\n")) ==
        "f:5:43: `dead_timeout` is for NBD devices: remove this, or write type: nbd-device");
  CHECK(refused("resources: {r0: {local: /l, nodes: {nodea: {remote: none, frontend: {device: "
                "nbd0}}}}}") ==
        "f:1:78: `device` is for NBD devices: remove this, or write type: nbd-device");
}

TEST_CASE("what is for GEOM gate is refused elsewhere") {
  CHECK(refused(resource_with("    frontend: {type: nbd, direct_reads: false}\n")) ==
        "f:5:41: `direct_reads` is for devices of GEOM gate: remove this, or write type: ggate");
  CHECK(refused(resource_with("    frontend: {type: nbd-device, direct_reads: true}\n")) ==
        "f:5:48: `direct_reads` is for devices of GEOM gate: remove this, or write type: ggate");
}

TEST_CASE("a ublk front-end wants one thread") {
  const std::string resource = resource_with("    frontend: {type: ublk}\n");
  CHECK(refused("threads: 2\n" + resource) ==
        "f:3:3: resource r0 has a front-end of type ublk, whose requests all have to come to one "
        "thread: write threads: 1, or type: nbd-device");
  CHECK(refused(resource_with("    frontend: {type: ublk, device: nbd0}\n")) ==
        "f:5:36: `device` is for NBD devices: remove this, or write type: nbd-device");
}

TEST_CASE("an NBD device has a name that the kernel knows and a sane number of connections") {
  for (const char* name : {"sda", "/dev/sda", "nbd", "nbd-1", "nbd1p1", "/dev/nbd4096", "nbd+1",
                           "nbd99999999999999999999", "0", "[nbd0]"}) {
    INFO(name);
    const std::string text =
        std::string("    frontend: {type: nbd-device, device: ") + name + "}\n";
    CHECK(refused(resource_with(text)).find("an NBD device such as /dev/nbd0 is expected here") !=
          std::string::npos);
  }
  CHECK(refused(resource_with("    frontend: {type: nbd-device, connections: 17}\n"))
            .find("17 is out of range: 1 to 16 is allowed") != std::string::npos);
}

TEST_CASE("duplicate keys are refused") {
  CHECK(refused("threads: 1\nthreads: 2\n") ==
        "f:2:1: duplicate key \"threads\": it is already on line 1");
  CHECK(refused("resources:\n  r: {}\n  r: {}\n") ==
        "f:3:3: duplicate key \"r\": it is already on line 2");
}

TEST_CASE("a resource needs this node, a remote and a local component") {
  const NodeIdentity machine{{}, "hasta.example.org", {"1234-5678"}, 99};
  const Result<Config> config =
      parse_config("\nresources:\n  r0: {nodes: {hastb: {remote: none}}}\n", "f", machine);
  REQUIRE_FALSE(config);
  CHECK(config.error().code == Errc::no_such_node);
  CHECK(config.error().detail ==
        "f:3:3: No resource r0 configuration for this node (acceptable node names: hasta, "
        "hasta.example.org, 1234-5678, hostid99)");
  CHECK(refused("resources:\n  r0: {local: /l}\n").find("f:2:3: No resource r0") == 0);
  CHECK(refused("resources: {r0: {local: /l, nodes: {nodea: {}}}}")
            .find("f:1:13: Remote address not configured for resource r0") == 0);
  CHECK(refused("resources: {r0: {nodes: {nodea: {remote: none}}}}")
            .find("f:1:13: Path to local component not configured for resource r0") == 0);
}

TEST_CASE("two resources never share a disk, a name or a socket") {
  const auto pair_of = [](const std::string& a, const std::string& b) {
    return "resources:\n  a: {" + a + ", nodes: {nodea: {remote: none}}}\n  b: {" + b +
           ", nodes: {nodea: {remote: none}}}\n";
  };
  CHECK(refused(pair_of("local: /dev/x", "local: /dev//./x")) ==
        "f:3:3: resource b has the same local component as resource a: /dev/x");
  CHECK(refused(pair_of("local: /x, name: n", "local: /y, name: n")) ==
        "f:3:3: resource b has the same name as resource a: n");
  CHECK(refused(pair_of("local: /x, name: b", "local: /y")) ==
        "f:3:3: resource b has the same name as resource a: b");
  CHECK(refused(pair_of("local: /x, frontend: {listen: /s}",
                        "local: /y, frontend: {listen: unix:///s}")) ==
        "f:3:3: resource b has the same address as resource a: uds:///s");
  CHECK(refused("control: /s\n" + pair_of("local: /x, frontend: {listen: /s}", "local: /y")) ==
        "f:3:3: resource a has the same address as `control`: uds:///s");
  CHECK(refused(pair_of("local: /x, frontend: {type: nbd-device, device: nbd3}",
                        "local: /y, frontend: {type: nbd-device, device: /dev/nbd3}")) ==
        "f:3:3: resource b has the same device as resource a: /dev/nbd3");
  CHECK(refused("listen: 1.1.1.1:5\n" +
                pair_of("local: /x, frontend: {listen: 1.1.1.1:5}", "local: /y")) ==
        "f:3:3: resource a has the same address as `listen`: tcp://1.1.1.1:5");
}

// -- INV-9: bounded and total ---------------------------------------------------------------------

TEST_CASE("broken YAML is an error with a place") {
  CHECK(refused("a: [1, 2\n").find("f:2:1: not valid YAML: ") == 0);
  CHECK(refused("a: b: c\n") == "f:1:5: not valid YAML: illegal map value");
  CHECK(refused("a: *nothing\n").find("f:1:4: not valid YAML: ") == 0);
  CHECK(refused("\ta: 1\n").find("not valid YAML") != std::string::npos);
  CHECK(refused("threads: 1\n---\nthreads: 2\n") ==
        "f:3:1: a second document: the configuration is one document");
  CHECK(refused("? [a]\n: b\n") == "f:1:3: a key must be a word, not a list, a map or nothing");
  CHECK(refused("resources:\n  <<: {a: 1}\n") ==
        "f:2:3: merge keys (<<) are not supported: write the keys out");
}

TEST_CASE("bytes that are no text are refused before YAML sees them") {
  CHECK(refused("threads: 1\nx\x04: 1\n") == "f:2:2: control character 0x04 in the file");
  CHECK(refused(std::string_view("a\0b", 3)) == "f:1:2: control character 0x00 in the file");
  CHECK(refused("pidfile: /caf\xe9\n") == "f:1:14: the file is not UTF-8 text");
  CHECK(refused("\xff\xfe"
                "a") == "f:1:1: the file is not UTF-8 text");
  CHECK(refused("pidfile: \"/a\\0b\"\n") ==
        "f:1:10: a value must not contain control characters or line breaks");
  CHECK(refused("pidfile: \"/a\\tb\"\n").find("control characters") != std::string::npos);
  CHECK(parsed("pidfile: /caf\xc3\xa9\n").pidfile == "/caf\xc3\xa9");
}

TEST_CASE("YAML bombs are refused, not expanded") {
  SECTION("aliases of aliases") {
    std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 12; ++i) {
      const std::string last = std::to_string(i - 1), here = std::to_string(i);
      text += "a" + here + ": &a" + here + " [" + repeat("*a" + last + ",", 10) + "]\n";
    }
    CHECK(refused(text).find("more than 200000 values") != std::string::npos);
  }
  SECTION("an alias of itself") {
    CHECK(refused("a: &a [*a]\n") == "f:1:8: this alias refers to itself");
  }
  SECTION("depth") {
    CHECK(refused("a: " + repeat("[", 17) + repeat("]", 17)).find("nested more than 16") !=
          std::string::npos);
    CHECK(refused(repeat("[", 300'000)).find("nested too deeply") != std::string::npos);
    CHECK(refused(repeat("{a: ", 200'000)).find("nested too deeply") != std::string::npos);
  }
  SECTION("size") {
    CHECK(refused(repeat("#", 1024 * 1024 + 1)) == "f:1:1: the file is bigger than 1048576 bytes");
    CHECK(parsed(repeat("#", 1024 * 1024)).resources.empty());
  }
  SECTION("number of resources") {
    std::string text = "resources:\n";
    for (int i = 0; i < 1025; ++i) text += "  r" + std::to_string(i) + ": {}\n";
    CHECK(refused(text).find("more than 1024 resources") != std::string::npos);
  }
}
