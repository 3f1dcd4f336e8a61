#!/usr/bin/env python3
"""Every command of the original's transcripts (tests/golden/cli), run again with ours.

Standard output and exit status must be the original's byte for byte, and each line on standard error
must begin with the original's line: after its words ours says what to do next. Every other
difference is listed below, with its reason.
"""
import json
import re
import struct
import unittest

import harness
from harness import HastctlTest, no_such, result, status

LAB = "/var/db/hast-lab/"

# hastd is tested elsewhere.
OTHER_PROGRAM = "hastd"

# The file is YAML instead of hast.conf, so what is wrong with it is written and said otherwise.
# title -> the file, what ours says
BAD_CONFIGS = {
    "config syntax error": (
        "resources:\n  r0:\n    locl: /x\n",
        '[ERROR] FILE:3:5: unknown key "locl": did you mean "local"?'),
    # Node names are those of this machine; --node makes them known.
    "config without section for this node": (
        "resources: { r0: { local: /x, nodes: { nodez: { remote: none } } } }\n",
        "[ERROR] FILE:1:14: No resource r0 configuration for this node (acceptable node names: "
        "nodea)."),
    # The original's sentences, after the place.
    "config without remote": (
        "resources: { r0: { local: /x, nodes: { nodea: {} } } }\n",
        "[ERROR] FILE:1:14: Remote address not configured for resource r0."),
    "config without local": (
        "resources: { r0: { nodes: { nodea: { remote: none } } } }\n",
        "[ERROR] FILE:1:14: Path to local component not configured for resource r0."),
    # Ours names the whole range.
    "config timeout 0": (
        "defaults: { timeout: 0 }\n",
        "[ERROR] FILE:1:22: 0 is out of range: 1 to 86400 is allowed."),
    # In YAML this is a duplicate key.
    "config duplicate resource": (
        "resources:\n  r0: {}\n  r0: {}\n",
        '[ERROR] FILE:3:3: duplicate key "r0": it is already on line 2.'),
}

# title -> (stderr begins with, exit status) where ours differs on purpose.
DIFFERENT = {
    # The original dies of an assertion.
    "create: extentsize multiple of sector but not power of two (original asserts)":
        ("[ERROR] [r0] Extent size (3145728) is not a power of two.", 65),
    "create: mediasize too small (4096)":
        ("[ERROR] [r0] The local component is too small: ", 65),
    # The original takes the number for a size and refuses that; ours refuses the number.
    "create: extentsize negative": ("hastctl: Invalid extentsize", 64),
    # The original prints an errno that has nothing to do with the reason.
    "dump: provider without metadata (zeros)":
        ("[ERROR] Unable to read metadata from IMAGE: The local component has no HAST metadata.",
         255),
    "dump: garbage metadata":
        ("[ERROR] Metadata read from IMAGE is invalid: The metadata of the local component is "
         "damaged", 255),
}

# hastctl talks to the daemon of its own machine and keeps its privileges.
PRIVILEGES = re.compile(r"\[DEBUG\]\[1\] Privileges successfully dropped.*\n")


def nv(kind, name, data):
    padded = lambda raw: raw + bytes(-len(raw) % 8)
    name = name.encode() + b"\0"
    return struct.pack("<BBI", kind, len(name), len(data)) + padded(name) + padded(data)


def metadata_block(dump):
    """The block of which the original's `dump` prints this."""
    field = dict(re.findall(r"(\w+): (\w+)", dump))
    u64 = lambda name, key: nv(8, name, struct.pack("<Q", int(field[key])))
    u32 = lambda name: nv(6, name, struct.pack("<I", int(field[name])))
    text = lambda name: nv(17, name, field[name].encode() + b"\0")
    block = (text("resource") + u64("datasize", "datasize") + u32("extentsize") + u32("keepdirty") +
             u64("offset", "localoff") + u64("resuid", "resuid") + u64("localcnt", "localcnt") +
             u64("remotecnt", "remotecnt") + text("prevrole"))
    return block.ljust(4096, b"\0")


def status_of_row(row):
    name, columns, remote = row.split("\t")
    state, role, local = columns[:9].strip(), columns[9:24].strip(), columns[24:]
    return status(name, status="absent" if state == "-" else state, role=role, localpath=local,
                  remoteaddr=remote)


def status_of_list(text):
    """The status of which the original's `list` prints this."""
    value = lambda key, default=None: (re.findall(rf"^ *{key}: (.*)$", text, re.M) or [default])[0]
    size = lambda key: int(value(key).split()[0])
    numbers = lambda key: [int(n) for n in re.findall(r"\d+", value(key))]
    counts = [size(key) for key in ("reads", "writes", "deletes", "flushes", "activemap updates")]
    counters = status()["statistics"].keys()
    return status(
        text.split(":")[0], role=value("role"), provname=value("provname"),
        localpath=value("localpath"), extentsize_bytes=size("extentsize"),
        keepdirty=size("keepdirty"), remoteaddr=value("remoteaddr"),
        sourceaddr=value("sourceaddr"), replication=value("replication"),
        status=value("status", "absent"), workerpid=int(value("workerpid", "0")),
        dirty_bytes=size("dirty"), statistics=dict(zip(counters, counts + numbers("local errors"))),
        queues=dict(zip(("local", "send", "recv", "done", "idle"), numbers("queues"))))


def statuses_of(command, stdout):
    """What hastd must have said for hastctl to print `stdout`."""
    if command == "status":
        rows = stdout.splitlines()[1:]
        return [no_such(row.split("\t")[0]) if "\tERR1" in row else status_of_row(row)
                for row in rows]
    blocks = re.split(r"^(?=\S)", stdout, flags=re.M)[1:]
    return [no_such(block.split(":")[0]) if "  error: 1" in block else status_of_list(block)
            for block in blocks]


def role_entry(name, wanted, stdout):
    changed = re.search(r"Role changed from (\w+) to", stdout)
    if name == "nosuch":
        return no_such(name)
    return {"name": name, "previous_role": changed[1] if changed else wanted, "role": wanted}


class TranscriptTest(HastctlTest):

    def setUp(self):
        super().setUp()
        self.localise = lambda text: re.sub(
            LAB + r"data/cli-([ab])\.img", rf"{self.folder}/\1.img",
            text.replace(LAB + "run/cli/a/ctl.sock", f"{self.folder}/ctl"))

    def arguments(self, case):
        """The recorded arguments with our file, node and, for create, the original's layout."""
        if "-c" not in case["argv"]:
            return case["argv"][1:]
        command, *rest = case["argv"][1:]
        rest = [str(self.config) if arg.endswith(".conf") and LAB in arg else arg for arg in rest]
        layout = ["--layout", "original"] if command == "create" else []
        return [command, "--node", "node" + case["node"], *layout, *rest]

    def prepare(self, case):
        """Components and configuration as they were when the original ran."""
        title, stdout = case["title"], case["stdout"]
        for node in "ab":
            self.make_image(f"{node}.img", 16 << 20)
        image = self.folder / f"{case['node']}.img"
        if title in ("create: provider missing", "dump: zero-filled provider"):
            image.unlink()
        elif title == "dump: garbage metadata":
            self.write_block(image, nv(17, "resource", b"r0\0") + b"\xff" * 100)
        elif title == "dump: provider belongs to another resource":
            self.write_block(image, metadata_block(self.dump_of_r0()))
            self.config.write_text(self.config.read_text().replace("r0:", "zzz:"))
        elif "dump" in case["argv"] and stdout:
            self.write_block(image, metadata_block(stdout))
        if title in BAD_CONFIGS:
            self.config.write_text(BAD_CONFIGS[title][0])

    def dump_of_r0(self):
        return next(c["stdout"] for c in transcripts() if c["title"] == "dump ok")

    def write_block(self, image, block):
        with open(image, "r+b") as file:
            file.write(block)

    def run_case(self, case):
        arguments = self.arguments(case)
        if case["exit"] not in (0, 1) or not {"role", "list", "status"} & set(case["argv"]):
            return self.run_hastctl(*arguments)
        command, operands = case["argv"][1], [a for a in case["argv"][4:] if a != "-d"]
        wanted = operands.pop(0) if command == "role" else None
        stdout = self.localise(case["stdout"])

        def answer(request):
            if command == "role":
                names = ["r0"] if operands == ["all"] else operands
                return result(request, [role_entry(n, wanted, stdout) for n in names])
            return result(request, statuses_of(command, stdout))

        with self.daemon(answer) as daemon:
            process = self.run_hastctl(*arguments)
        asked = daemon.requests[0]
        self.assertEqual(asked["method"], "role" if command == "role" else "status")
        self.assertEqual(asked["params"].get("role"), wanted)
        self.assertEqual(asked["params"]["resources"],
                         "all" if operands in ([], ["all"]) else operands)
        return process

    def assert_lines_begin(self, lines, beginnings):
        lines, beginnings = lines.splitlines(), beginnings.splitlines()
        self.assertEqual(len(lines), len(beginnings), lines)
        for line, beginning in zip(lines, beginnings):
            self.assertTrue(line.startswith(beginning), f"{line!r} is not {beginning!r} ...")

    def check(self, case):
        title, image = case["title"], f"{self.folder}/{case['node']}.img"
        stdout, stderr, exit_status = case["stdout"], case["stderr"], case["exit"]
        if title in BAD_CONFIGS:
            stderr = BAD_CONFIGS[title][1].replace("FILE", str(self.config))
        if title in DIFFERENT:
            stderr, exit_status = DIFFERENT[title]
            stderr = stderr.replace("IMAGE", image)
        process = self.run_case(case)
        self.assertEqual(process.stdout, PRIVILEGES.sub("", self.localise(stdout)))
        self.assert_lines_begin(process.stderr, self.localise(stderr))
        self.assertEqual(process.returncode, exit_status)

    def test_every_command_of_the_original_prints_the_same(self):
        ran, titles = 0, set()
        for case in transcripts():
            if case["argv"][0] == OTHER_PROGRAM:
                continue
            with self.subTest(case["title"]):
                self.setUp()
                self.prepare(case)
                self.check(case)
            ran += 1
            titles.add(case["title"])
        self.assertEqual(ran, 86)
        self.assertLessEqual(BAD_CONFIGS.keys() | DIFFERENT.keys(), titles)


def transcripts():
    return json.loads((harness.GOLDEN / "cli" / "transcripts.json").read_text())


if __name__ == "__main__":
    harness.main()
