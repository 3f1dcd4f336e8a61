#!/usr/bin/env python3
"""Runs fio's nbd engine against every candidate, interleaved round by round (A B C, A B C, ...), and
prints the medians as Markdown: operations a second, latency, CPU time per operation, ratios."""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

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
        operations = side["total_ios"]
        if not operations or job["error"]:
            raise SystemExit(f"bench: fio did nothing (error {job['error']})")
        percentiles = side["clat_ns"]["percentile"]
        self.iops = side["iops"]
        self.mib = side["bw_bytes"] / (1 << 20)
        self.p50 = percentiles["50.000000"] / 1000
        self.p99 = percentiles["99.000000"] / 1000
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
               f"| {cpu} | {iops / base:.2f} | ±{50 * spread:.0f} % |")
        name = ""


def measure(folder, args, out):
    print(f"\n### Disks in {folder}\n", file=out)
    print("| workload | candidate | IOPS | MiB/s | p50 µs | p99 µs | CPU-µs per operation | ratio | spread |", file=out)
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|", file=out, flush=True)
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
    parser.add_argument("--output", help="also write the tables to this file")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.size, args.dir = 1, 0.5, 64, args.dir[:1]
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
    for folder in args.dir:
        measure(folder, args, out)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
