#!/usr/bin/env python3
"""Runs fio's nbd engine against every candidate, interleaved round by round (A B C, A B C, ...), and
prints the medians as Markdown: operations a second, latency, CPU time per operation, ratios."""
import argparse
import concurrent.futures
import os
import signal
import statistics
import sys
import tempfile
import time

import curves
import plots
import resync
from load import cpu_words, fio, half_spread, median
from publish import Report
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


def rows(name, samples, candidates):
    """One table row per candidate; the first candidate is what the others are compared with."""
    base = median(samples[candidates[0].name], lambda sample: sample.iops)
    for candidate in candidates:
        own = samples[candidate.name]
        iops = median(own, lambda sample: sample.iops)
        cpu = cpu_words(own, candidate.processes)
        yield (f"| {name} | {candidate.name} | {iops:,.0f} | {median(own, lambda s: s.mib):,.0f} "
               f"| {median(own, lambda s: s.p50):,.0f} | {median(own, lambda s: s.p99):,.0f} "
               f"| {median(own, lambda s: s.p999):,.0f} "
               f"| {cpu} | {iops / base:.2f} | ±{100 * half_spread(own):.0f} % |")
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


def takes_direct(folder):
    """Files there can be used past the page cache: not on tmpfs before Linux 6.6."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            os.close(os.open(file.name, os.O_RDWR | os.O_DIRECT))
        except OSError:
            return False
    return True


def measure_cold(folder, args, out):
    """First touches of extents: what the map costs (INV-1), and what group commit hides of it."""
    print(f"\n### Cold writes in {folder}: 4 KiB random, QD 16, over {args.cold} MiB in extents of 2 MiB\n", file=out)
    print("| io | metaflush | IOPS | p50 µs | p99 µs | CPU-µs per operation | ratio | spread |", file=out)
    print("|---|---|--:|--:|--:|--:|--:|--:|", file=out, flush=True)
    names = {"fullsync-no": "false", "fullsync-yes": "true"}
    for io in ("buffered", "direct") if takes_direct(folder) else ("buffered",):
        extra = {name: [f"metaflush: {word}", f"io: {io}"] for name, word in names.items()}
        with Servers(args.build, folder, args.cold, list(names), extra, baselines=()) as servers:
            pairs = [servers.pair(name) for name in names]
            samples = {one.name: [] for one in pairs}
            for _ in range(args.rounds):
                for one in pairs:
                    samples[one.name].append(fio(one, "randwrite", "4k", 16, args.seconds))
        base = median(samples["fullsync-no"], lambda s: s.iops)
        for one in pairs:
            own = samples[one.name]
            iops = median(own, lambda s: s.iops)
            print(f"| {io} | {names[one.name]} | {iops:,.0f} | {median(own, lambda s: s.p50):,.0f} "
                  f"| {median(own, lambda s: s.p99):,.0f} | {cpu_words(own, one.processes)} | {iops / base:.2f} "
                  f"| ±{100 * half_spread(own):.0f} % |", file=out, flush=True)


def measure_threads(folder, args, out):
    """Threads of hastd against resources that are busy at once."""
    print(f"\n### Threads in {folder}: 4 KiB random write, fullsync, QD 4 a resource\n", file=out)
    print("| threads | resources | IOPS of all | CPU-µs per operation |", file=out)
    print("|--:|--:|--:|--:|", file=out, flush=True)
    for threads in (1, 2, 4):
        for count in (1, 8):
            names = [f"fullsync-{number}" for number in range(count)]
            with Servers(args.build, folder, 64, names, threads=threads, baselines=()) as servers:
                busy = [servers.pair(name) for name in names]
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


def measure_resync(folder, args, out):
    course = resync.table(args.build, folder, args.resync, max(1, args.rounds // 2), out)
    curves.write_csv(args, "resync", ["seconds", "iops", "phase"], resync.timeline(course))


# name, what measures it, the first or the last of the folders (all: once in each)
PARTS = {
    "paths": (measure, "all"),
    "cold": (measure_cold, "last"),
    "resync": (measure_resync, "first"),
    "threads": (measure_threads, "first"),
    "depth": (curves.measure_depth, "first"),
    "resources": (curves.measure_resources, "first"),
    "size": (curves.measure_size, "first"),
}
TABLES = ["paths", "cold", "resync", "threads"]
PLOTTED = ["depth", "resync", "resources", "size"]
DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "performance")


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
    parser.add_argument("--resync", type=int, default=3072, help="MiB of the volume that is resynchronised")
    parser.add_argument("--parts", type=lambda text: text.split(","), help=f"of the benchmark: {','.join(PARTS)}")
    parser.add_argument("--plots", action="store_true", help="measure what is plotted, and plot it")
    parser.add_argument("--data", help="folder for the plots and their numbers (docs/performance)")
    parser.add_argument("--output", help="also write the tables to this file")
    parser.add_argument("--publish", metavar="FILE", help="all parts, plots, and the tables between the marks in FILE")
    args = parser.parse_args()
    if args.parts is None:
        args.parts = list(PARTS) if args.publish else PLOTTED if args.plots else TABLES
    for part in args.parts:
        if part not in PARTS:
            parser.error(f"no part {part!r}: say some of {', '.join(PARTS)}")
    args.plots = args.plots or bool(args.publish)
    settle(args)
    return args


def settle(args):
    """What follows from the words on the command line."""
    if args.plots and not args.data:
        args.data = DATA
    if args.quick:
        args.rounds, args.seconds, args.size, args.dir = 1, 0.5, 64, args.dir[:1]
        args.cold = args.resync = 256
    args.plot_rounds, args.plot_seconds = max(1, args.rounds // 2), min(args.seconds, 0.7)
    args.deadline = time.monotonic() + 60 * args.minutes
    args.workloads = [one for one in WORKLOADS if args.workload in one[0]]


def folders(which, args):
    return {"all": args.dir, "first": args.dir[:1], "last": args.dir[-1:]}[which]


def heading(args, out):
    print(f"{time.strftime('%F')}, `./dev bench {' '.join(sys.argv[2:])}`: {args.rounds} rounds of {args.seconds:g} s, "
          f"{os.cpu_count()} cores, load average at the start {os.getloadavg()[0]:.1f}.", file=out)
    print("Medians. CPU: the server, or primary + secondary. Ratio: IOPS against nbdkit on the same disk.", file=out)


def main():
    args = arguments()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in its background
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))  # clean up on the way out
    if args.plots:
        plots.need_gnuplot()
    with Report(args.output, args.publish) as out:
        heading(args, out)
        for part, (run, which) in PARTS.items():
            for folder in folders(which, args) if part in args.parts else []:
                run(folder, args, out)
    if args.plots:
        plots.draw(args.data)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
