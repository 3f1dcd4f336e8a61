"""Resync: how fast two nodes become equal again, in both directions, what it costs each of them, and
what is left to a client of the primary meanwhile."""
import json
import signal
import statistics
import subprocess
import tempfile
import threading
import time

from servers import Servers, cpu_seconds, wait_until

WRITE_OFF = 32 << 20  # the map and the metadata need some of the component


class Node:
    """One hastd of a pair, which is stopped and started."""

    def __init__(self, servers, name, resource):
        self.servers, self.name, self.resource = servers, name, resource
        self.uri = f"nbd+unix:///{resource}?socket={servers.path(resource)}.{name}.sock"

    def role(self, role):
        self.servers.hastctl(self.name, "role", role, self.resource)

    def log(self):
        with open(self.servers.path(self.name + ".log")) as file:
            return file.read()

    def cpu(self):
        return cpu_seconds(self.servers.pids[self.name])

    def fill(self):
        """Every block of the volume changes."""
        fio(self.uri, "write", "1m", 4, 0, f"--size={self.servers.size - WRITE_OFF}", "--refill_buffers=1")


def fio(uri, rw, block, depth, seconds, *more):
    command = ["fio", "--name=bench", "--ioengine=nbd", f"--uri={uri}", f"--rw={rw}", f"--bs={block}",
               f"--iodepth={depth}", "--norandommap", "--output-format=json", *more]
    if seconds:
        command += ["--time_based", f"--runtime={seconds}"]
    with tempfile.TemporaryDirectory() as scratch:
        run = subprocess.run(command, capture_output=True, text=True, cwd=scratch, timeout=300)
    if run.returncode:
        raise SystemExit(f"bench: fio failed: {run.stderr}{run.stdout}")
    return json.loads(run.stdout[run.stdout.index("{"):])["jobs"][0]


class Client(threading.Thread):
    """4 KiB random writes at depth 4 through the primary; each fifth of a second's rate."""

    def __init__(self, uri):
        super().__init__()
        self.uri, self.iops = uri, 0.0
        self.start()

    def run(self):
        self.iops = fio(self.uri, "randwrite", "4k", 4, 1)["write"]["iops"]


def measured(primary, secondary, start, gib, with_client=False):
    """Seconds, MiB/s and CPU seconds a GiB of the resync that start() sets off."""
    done = primary.log().count("Synchronization complete")
    begun = primary.log().count("Synchronization started")
    before = primary.cpu(), secondary.cpu()
    start()
    wait_until(lambda: primary.log().count("Synchronization started") > begun, "the resync starts", 60)
    started = time.monotonic()
    client = Client(primary.uri) if with_client else None
    wait_until(lambda: primary.log().count("Synchronization complete") > done, "the resync ends", 600)
    seconds = time.monotonic() - started
    cpu = [node.cpu() - was for node, was in zip((primary, secondary), before)]
    if client:
        client.join()
    return seconds, gib * 1024 / seconds, [one / gib for one in cpu], client.iops if client else None


def push(primary, secondary, gib, with_client=False):
    """The primary wrote alone: its blocks go to the secondary."""
    secondary.role("init")
    primary.fill()
    return measured(primary, secondary, lambda: secondary.role("secondary"), gib, with_client)


def pull(primary, secondary, gib):
    """The other node wrote alone as primary: its blocks come back."""
    primary.role("init")
    secondary.role("primary")
    secondary.fill()
    secondary.role("secondary")
    return measured(primary, secondary, lambda: primary.role("primary"), gib)


def table(build, folder, size_mib, rounds, out):
    print(f"\n### Resync in {folder}, {size_mib} MiB, all dirty\n", file=out)
    print("| direction | MiB/s | CPU-s a GiB, primary + secondary | client meanwhile |", file=out)
    print("|---|--:|--:|--:|", file=out, flush=True)
    gib = (size_mib - (WRITE_OFF >> 20)) / 1024
    with Servers(build, folder, size_mib, ["fullsync"]) as servers:
        a, b = Node(servers, "a", "fullsync"), Node(servers, "b", "fullsync")
        idle = fio(a.uri, "randwrite", "4k", 4, 1)["write"]["iops"]
        kinds = [("to the secondary", lambda: push(a, b, gib)),
                 ("to the secondary, beside a client", lambda: push(a, b, gib, True)),
                 ("to the primary", lambda: pull(a, b, gib))]
        for name, run in kinds:
            runs = [run() for _ in range(rounds)]
            rate = statistics.median(one[1] for one in runs)
            cpu = " + ".join(f"{statistics.median(one[2][i] for one in runs):.2f}" for i in (0, 1))
            client = f"{statistics.median(one[3] for one in runs) / idle:.2f} of idle" if runs[0][3] else ""
            print(f"| {name} | {rate:,.0f} | {cpu} | {client} |", file=out, flush=True)
