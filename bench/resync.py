"""Resync: how fast two nodes become equal again, in both directions, what it costs each of them, and
what is left to a client of the primary meanwhile."""
import os
import statistics
import tempfile
import threading
import time

import load
from servers import Candidate, Servers, cpu_seconds, wait_until

WRITE_OFF = 32 << 20  # the map and the metadata need some of the component
INTERVAL_MS = 100     # of the client's rate
BEFORE, AFTER = 1.0, 1.5  # seconds of the client's life around the resync
RECONNECT = 6.5           # the longest pause of a primary between two attempts to connect
LONGEST = 20.0            # seconds of the client's life: a resync that takes longer shows no idle rate


class Node:
    """One hastd of a pair, which is stopped and started."""

    def __init__(self, servers, name, resource):
        self.servers, self.name, self.resource = servers, name, resource
        self.pid = servers.pids[name]
        self.export = Candidate(name, f"nbd+unix:///{resource}?socket={servers.path(resource)}.{name}.sock",
                                {"server": self.pid})

    def role(self, role):
        self.servers.hastctl(self.name, "role", role, self.resource)

    def times(self, words):
        with open(self.servers.path(self.name + ".log")) as file:
            return file.read().count(words)

    def cpu(self):
        return cpu_seconds(self.pid)

    def fill(self):
        """Every block of the volume changes."""
        load.fio(self.export, "write", "1m", 4, 0, f"--size={self.servers.size - WRITE_OFF}", "--refill_buffers=1")


class Client(threading.Thread):
    """4 KiB random writes at depth 4 through the primary; its rate every tenth of a second."""

    def __init__(self, export, seconds):
        super().__init__()
        self.export, self.seconds, self.rates, self.failed = export, seconds, [], None
        self.start()

    def run(self):
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "rate")
            try:
                load.fio(self.export, "randwrite", "4k", 4, self.seconds, f"--write_iops_log={log}",
                         f"--log_avg_msec={INTERVAL_MS}", "--log_unix_epoch=1")
            except SystemExit as problem:
                self.failed = problem
                return
            with open(log + "_iops.1.log") as file:
                rows = [line.split(",") for line in file]
        self.rates = [(int(row[0]) / 1000, float(row[1])) for row in rows]  # (end of the interval, IOPS)

    def finish(self):
        self.join()
        if self.failed:
            raise self.failed

    def rate(self, begin, end):
        """Mean between two times, of intervals that lie wholly between them."""
        inside = [rate for at, rate in self.rates if begin <= at - INTERVAL_MS / 1000 and at <= end]
        return statistics.mean(inside) if inside else None


class Outcome:
    """One resync: its rate, CPU seconds a GiB of each node, and the client's share of its idle rate."""

    def __init__(self, begun, ended, cpu, gib, client):
        self.begun, self.ended, self.client = begun, ended, client
        self.mib = gib * 1024 / (ended - begun)
        self.cpu = [one / gib for one in cpu]
        self.share = None
        if client:
            during, idle = client.rate(begun, ended), client.rate(ended + 0.2, ended + 60)
            self.share = during / idle if during and idle else None


def measured(primary, secondary, start, gib, client_of=None):
    """The resync that start() sets off; client_of() is the client beside it."""
    begun_before, done_before = (primary.times(f"Synchronization {what}") for what in ("started", "complete"))
    before = primary.cpu(), secondary.cpu()
    start()
    wait_until(lambda: primary.times("Synchronization started") > begun_before, "the resync starts", 60)
    begun = time.time()
    client = client_of() if client_of else None
    wait_until(lambda: primary.times("Synchronization complete") > done_before, "the resync ends", 600)
    ended = time.time()
    cpu = [node.cpu() - was for node, was in zip((primary, secondary), before)]
    if client:
        client.finish()
    return Outcome(begun, ended, cpu, gib, client)


def push(primary, secondary, gib, client_seconds=0):
    """The primary wrote alone: its blocks go to the secondary."""
    secondary.role("init")
    primary.fill()
    early = []

    def start():
        if client_seconds:
            early.append(Client(primary.export, client_seconds))
            time.sleep(BEFORE)
        secondary.role("secondary")

    return measured(primary, secondary, start, gib, (lambda: early[0]) if client_seconds else None)


def pull(primary, secondary, gib, client_seconds=0):
    """The other node wrote alone as primary: its blocks come back."""
    primary.role("init")
    secondary.role("primary")
    secondary.fill()
    secondary.role("secondary")
    # There is no primary to write to before, so the client comes as soon as there is one.
    late = (lambda: Client(primary.export, client_seconds)) if client_seconds else None
    return measured(primary, secondary, lambda: primary.role("primary"), gib, late)


def timeline(outcome):
    """(seconds since the resync began, the client's IOPS, alone | resync | connected), row by row."""
    for at, rate in outcome.client.rates:
        if at > outcome.ended + 2 * AFTER:
            break
        phase = "alone" if at < outcome.begun else "resync" if at < outcome.ended else "connected"
        yield at - outcome.begun, rate, phase


def table(build, folder, size_mib, rounds, out):
    """Prints the table; returns the last push beside a client, whose course is worth a plot."""
    print(f"\n### Resync in {folder}, {size_mib} MiB, all dirty\n", file=out)
    print("Beside a client the CPU time holds the cost of its writes, too.\n", file=out)
    print("| direction | MiB/s | CPU-s a GiB, primary + secondary | client meanwhile |", file=out)
    print("|---|--:|--:|--:|", file=out, flush=True)
    gib = (size_mib - (WRITE_OFF >> 20)) / 1024
    with Servers(build, folder, size_mib, ["fullsync"], baselines=()) as servers:
        a, b = Node(servers, "a", "fullsync"), Node(servers, "b", "fullsync")
        seconds = 0.0
        for name, kind, beside in (("to the secondary", push, False), ("to the secondary, beside a client", push, True),
                                   ("to the primary", pull, False), ("to the primary, beside a client", pull, True)):
            runs = [kind(a, b, gib, seconds if beside else 0) for _ in range(rounds)]
            if kind is push and beside:
                course = runs[-1]
            # A resync beside a client takes up to four times as long as one alone.
            seconds = min(LONGEST, BEFORE + RECONNECT + AFTER + 4 * max(one.ended - one.begun for one in runs))
            print(row(name, runs), file=out, flush=True)
    return course


def row(name, runs):
    rate = statistics.median(one.mib for one in runs)
    cpu = " + ".join(f"{statistics.median(one.cpu[node] for one in runs):.2f}" for node in (0, 1))
    shares = [one.share for one in runs if one.share]
    client = f"{statistics.median(shares):.2f} of its idle rate" if shares else "too short to tell" if runs[0].client else ""
    return f"| {name} | {rate:,.0f} | {cpu} | {client} |"
