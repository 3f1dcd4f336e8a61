#!/usr/bin/env python3
"""Runs fio's nbd engine against every candidate, interleaved round by round (A B C, A B C, ...), and
prints the medians as Markdown: operations a second, latency, CPU time per operation, ratios."""
import argparse
import concurrent.futures
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import resync
from servers import Servers

# name, fio's rw, block size, queue depth
WORKLOADS = [
    ("4 KiB random write, QD 1", "randwrite", "4k", 1),
    ("4 KiB random write, QD 16", "randwrite", "4k", 16),
    ("4 KiB random write, QD 32", "randwrite", "4k", 32),
    ("4 KiB random read, QD 1", "randread", "4k", 1),
    ("4 KiB random read, QD 16", "randread", "4k", 16),
    ("1 MiB sequential write, QD 4", "write", "1m", 4),
    ("1 MiB sequential read, QD 4", "read", "1m", 4),
]


class Sample:
    """One run of fio: rate, latencies in µs, CPU-µs per operation of each process."""

    def __init__(self, job, cpu):
        side = job["write"] if job["write"]["total_ios"] else job["read"]
        operations = self.operations = side["total_ios"]
        if not operations or job["error"]:
            raise SystemExit(f"bench: fio did nothing (error {job['error']})")
        percentiles = side["clat_ns"]["percentile"]
        self.iops = side["iops"]
        self.mib = side["bw_bytes"] / (1 << 20)
        self.p50 = percentiles["50.000000"] / 1000
        self.p99 = percentiles["99.000000"] / 1000
        self.p999 = percentiles["99.900000"] / 1000
        self.cpu = {name: 1e6 * seconds / operations for name, seconds in cpu.items()}


def fio(candidate, rw, block, depth, seconds):
    command = ["fio", "--name=bench", "--ioengine=nbd", f"--uri={candidate.uri}", f"--rw={rw}", f"--bs={block}",
               f"--iodepth={depth}", "--time_based", f"--runtime={seconds}", "--norandommap", "--randrepeat=0",
               "--output-format=json", "--refill_buffers=0"]
    with tempfile.TemporaryDirectory() as scratch:  # fio leaves state files where it runs
        before = candidate.cpu()
        run = subprocess.run(command, capture_output=True, text=True, cwd=scratch, timeout=60 + 10 * seconds)
        after = candidate.cpu()
    if run.returncode:
        raise SystemExit(f"bench: fio failed: {run.stderr}{run.stdout}")
    job = json.loads(run.stdout[run.stdout.index("{"):])["jobs"][0]
    return Sample(job, {name: after[name] - before[name] for name in after})


def median(samples, fact):
    return statistics.median(fact(sample) for sample in samples)


def rows(name, samples, candidates):
    """One table row per candidate; the first candidate is what the others are compared with."""
    base = median(samples[candidates[0].name], lambda sample: sample.iops)
    for candidate in candidates:
        own = samples[candidate.name]
        iops = median(own, lambda sample: sample.iops)
        cpu = " + ".join(f"{median(own, lambda sample, who=who: sample.cpu[who]):.1f}" for who in candidate.processes)
        spread = (max(s.iops for s in own) - min(s.iops for s in own)) / iops if iops else 0
        yield (f"| {name} | {candidate.name} | {iops:,.0f} | {median(own, lambda s: s.mib):,.0f} "
               f"| {median(own, lambda s: s.p50):,.0f} | {median(own, lambda s: s.p99):,.0f} "
               f"| {median(own, lambda s: s.p999):,.0f} "
               f"| {cpu} | {iops / base:.2f} | ±{50 * spread:.0f} % |")
        name = ""


def measure(folder, args, out):
    print(f"\n### Disks in {folder}\n", file=out)
    print("| workload | candidate | IOPS | MiB/s | p50 µs | p99 µs | p99.9 µs | CPU-µs per operation | ratio | spread |",
          file=out)
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|", file=out, flush=True)
    with Servers(args.build, folder, args.size, args.modes) as servers:
        candidates = servers.candidates()
        for name, rw, block, depth in args.workloads:
            samples = {candidate.name: [] for candidate in candidates}
            for number in range(args.rounds):
                if number and time.monotonic() > args.deadline:
                    break  # one round of each workload is the least
                for candidate in candidates:
                    samples[candidate.name].append(fio(candidate, rw, block, depth, args.seconds))
            for row in rows(name, samples, candidates):
                print(row, file=out, flush=True)


def measure_cold(folder, args, out):
    """First touches of extents: what the map costs (INV-1), and what group commit hides of it."""
    print(f"\n### Cold writes in {folder}: 4 KiB random, QD 16, over {args.cold} MiB in extents of 2 MiB\n", file=out)
    print("| metaflush | IOPS | p50 µs | p99 µs | CPU-µs per operation | ratio |", file=out)
    print("|---|--:|--:|--:|--:|--:|", file=out, flush=True)
    names = {"fullsync-no": "false", "fullsync-yes": "true"}
    extra = {name: [f"metaflush: {word}"] for name, word in names.items()}
    with Servers(args.build, folder, args.cold, list(names), extra) as servers:
        candidates = [one for one in servers.candidates() if one.name in names]
        samples = {one.name: [] for one in candidates}
        for _ in range(args.rounds):
            for one in candidates:
                samples[one.name].append(fio(one, "randwrite", "4k", 16, args.seconds))
        base = median(samples["fullsync-no"], lambda s: s.iops)
        for one in candidates:
            own = samples[one.name]
            iops = median(own, lambda s: s.iops)
            cpu = " + ".join(f"{median(own, lambda s, who=who: s.cpu[who]):.1f}" for who in one.processes)
            print(f"| {names[one.name]} | {iops:,.0f} | {median(own, lambda s: s.p50):,.0f} "
                  f"| {median(own, lambda s: s.p99):,.0f} | {cpu} | {iops / base:.2f} |", file=out, flush=True)


def measure_threads(folder, args, out):
    """Threads of hastd against resources that are busy at once."""
    print(f"\n### Threads in {folder}: 4 KiB random write, fullsync, QD 4 a resource\n", file=out)
    print("| threads | resources | IOPS of all | CPU-µs per operation |", file=out)
    print("|--:|--:|--:|--:|", file=out, flush=True)
    for threads in (1, 2, 4):
        for count in (1, 8):
            names = [f"fullsync-{number}" for number in range(count)]
            with Servers(args.build, folder, 64, names, threads=threads) as servers:
                busy = [one for one in servers.candidates() if one.name in names]
                totals, costs = [], []
                for _ in range(args.rounds):
                    before = sum(busy[0].cpu().values())
                    with concurrent.futures.ThreadPoolExecutor(count) as pool:
                        runs = list(pool.map(lambda one: fio(one, "randwrite", "4k", 4, args.seconds), busy))
                    operations = sum(run.operations for run in runs)
                    totals.append(sum(run.iops for run in runs))
                    costs.append(1e6 * (sum(busy[0].cpu().values()) - before) / operations)
                print(f"| {threads} | {count} | {statistics.median(totals):,.0f} | {statistics.median(costs):.1f} |",
                      file=out, flush=True)


class Tee:
    def __init__(self, *files):
        self.files = files

    def write(self, text):
        for file in self.files:
            file.write(text)

    def flush(self):
        for file in self.files:
            file.flush()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", help="folder with hastd and hastctl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="of each run of fio")
    parser.add_argument("--size", type=int, default=512, help="of each disk, MiB")
    parser.add_argument("--modes", type=lambda text: text.split(","), default=["fullsync", "memsync", "async"])
    parser.add_argument("--dir", type=lambda text: text.split(","),
                        default=["/dev/shm", os.environ.get("TMPDIR", "/tmp")], help="folders for the disks")
    parser.add_argument("--workload", default="", help="only those with this in their name")
    parser.add_argument("--quick", action="store_true", help="one short round: does everything run?")
    parser.add_argument("--minutes", type=float, default=20, help="start no second round after that time")
    parser.add_argument("--cold", type=int, default=4096, help="MiB of the volume of the cold writes")
    parser.add_argument("--resync", type=int, default=2048, help="MiB of the volume that is resynchronised")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=["paths", "cold", "resync", "threads"],
                        help="of the benchmark: paths, cold, resync, threads")
    parser.add_argument("--output", help="also write the tables to this file")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.size, args.dir = 1, 0.5, 64, args.dir[:1]
        args.cold = args.resync = 256
    args.deadline = time.monotonic() + 60 * args.minutes
    args.workloads = [one for one in WORKLOADS if args.workload in one[0]]
    return args


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clean up on the way out
    out = Tee(sys.stdout, open(args.output, "w")) if args.output else sys.stdout
    runs = len(args.workloads) * (1 + len(args.modes)) * args.rounds * len(args.dir)
    print(f"{args.rounds} rounds of {args.seconds:g} s, {runs} runs, about {runs * (args.seconds + 0.8) / 60:.0f} minutes; "
          f"{os.cpu_count()} cores; {time.strftime('%F')}.", file=out)
    print("Medians. CPU: nbdkit, or primary + secondary. Ratio: IOPS against nbdkit on the same disk.", file=out)
    print(f"Load average at the start: {os.getloadavg()[0]:.1f}.", file=out)
    for folder in args.dir:
        if "paths" in args.parts:
            measure(folder, args, out)
    if "cold" in args.parts:
        measure_cold(args.dir[-1], args, out)
    if "resync" in args.parts:
        resync.table(args.build, args.dir[0], args.resync, max(1, args.rounds // 2), out)
    if "threads" in args.parts:
        measure_threads(args.dir[0], args, out)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
