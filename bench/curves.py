"""What is plotted: one quantity against another. Each function measures, prints a table, and writes its
numbers as CSV into the folder of the plots, where plots.py finds them."""
import csv
import os
import statistics
import tempfile
import time

import load
from servers import Servers, resident_mib

MIB = 1 << 20
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
COUNTS = (1, 2, 4, 8, 16, 32, 64)
SIZES_GIB = (1, 4, 16, 64, 256, 1024, 4096, 16384)
BUCKETS_AN_OCTAVE = 8  # of the latency histogram; fio's own are finer than the eye


def write_csv(args, name, header, rows):
    """Without a folder of plots the tables are all that remains."""
    if not args.data:
        return
    os.makedirs(args.data, exist_ok=True)
    path = os.path.join(args.data, name + ".csv")
    with open(path + ".new", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    os.replace(path + ".new", path)


def print_table(title, header, rows, out):
    print(f"\n### {title}\n\n| {' | '.join(header)} |\n|{'--:|' * len(header)}", file=out)
    for row in rows:
        print(f"| {' | '.join(row)} |", file=out, flush=True)


def measure_depth(folder, args, out):
    """Rate against queue depth, and how the latencies at depth 1 are spread."""
    depths = DEPTHS[::4] if args.quick else DEPTHS
    with Servers(args.build, folder, args.size, args.modes) as servers:
        candidates = servers.candidates()
        samples = {(one.name, depth): [] for one in candidates for depth in depths}
        for number in range(args.plot_rounds):
            for depth in depths:
                if number and time.monotonic() > args.deadline:
                    break
                for one in candidates:
                    samples[one.name, depth].append(load.fio(one, "randwrite", "4k", depth, args.plot_seconds))
    names = [one.name for one in candidates]
    iops = {key: load.median(own, lambda s: s.iops) for key, own in samples.items()}
    write_csv(args, "depth", ["candidate", "depth", "iops", "p50_us", "cpu_us"],
              [(name, depth, iops[name, depth], load.median(samples[name, depth], lambda s: s.p50),
                load.median(samples[name, depth], load.Sample.cpu_of_all)) for name in names for depth in depths])
    write_csv(args, "latency", ["candidate", "us", "operations"],
              [(name, us, count) for name in names for us, count in histogram(samples[name, 1])])
    print_table(f"IOPS against depth in {folder}: 4 KiB random write", ["depth", *names],
                [[str(depth)] + [f"{iops[name, depth]:,.0f}" for name in names] for depth in depths], out)


def histogram(samples):
    """(lower end of a bucket in µs, operations), of all rounds."""
    buckets = {}
    for sample in samples:
        for us, count in sample.bins.items():
            octave, rest = 0, us
            while rest >= 2:
                octave, rest = octave + 1, rest / 2
            low = 2 ** octave * (1 + int((rest - 1) * BUCKETS_AN_OCTAVE) / BUCKETS_AN_OCTAVE)
            buckets[low] = buckets.get(low, 0) + count
    return sorted(buckets.items())


def measure_resources(folder, args, out):
    """Cost of an operation when all of N resources are busy, and when only one of them is."""
    facts = []
    for count in COUNTS[::6] if args.quick else COUNTS:
        names = [f"fullsync-{number}" for number in range(count)]
        with Servers(args.build, folder, 32, names, baselines=()) as servers:
            pairs = [servers.pair(name) for name in names]
            every, one = [], []
            for _ in range(args.plot_rounds):
                every.append(load.together(pairs, "randwrite", "4k", 1, args.plot_seconds))
                one.append(load.fio(pairs[0], "randwrite", "4k", 16, args.plot_seconds))
            facts.append((count, load.median(every, lambda s: s.iops), load.median(every, load.Sample.cpu_of_all),
                          load.median(one, lambda s: s.iops), load.median(one, load.Sample.cpu_of_all),
                          resident_mib(servers.pids["a"])))
    write_csv(args, "resources", ["resources", "all_iops", "all_cpu_us", "one_iops", "one_cpu_us", "rss_mib"], facts)
    print_table(f"Number of resources in {folder}: 4 KiB random write, fullsync",
                ["resources", "all busy, QD 1 each: IOPS", "CPU-µs per operation", "one busy, QD 16: IOPS",
                 "CPU-µs per operation", "VmRSS of the primary, MiB"],
                [[f"{row[0]}", f"{row[1]:,.0f}", f"{row[2]:.1f}", f"{row[3]:,.0f}", f"{row[4]:.1f}", f"{row[5]:.1f}"]
                 for row in facts], out)


def holds(folder, gib):
    """Does its file system have files of that size? ext4 ends short of 16 TiB."""
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            file.truncate(gib << 30)
        except OSError:
            return False
    return True


def measure_size(folder, args, out):
    """What a large device costs: to create, to start, to promote, in memory, per operation. The files are
    sparse; the load stays in the first 64 MiB, so that they remain so."""
    region = 64 * MIB
    facts = []
    for gib in SIZES_GIB[::7] if args.quick else SIZES_GIB:
        if not holds(folder, gib):
            print(f"\n{folder} has no files of {gib:,} GiB: that size and larger ones are left out.", file=out)
            break
        starts, cpu, rss = [], [], []
        for _ in range(args.plot_rounds):
            with Servers(args.build, folder, gib * 1024, ["fullsync"], baselines=(), disk="sparse") as servers:
                pair = servers.pair("fullsync")
                starts.append([1000 * servers.seconds[step] for step in ("create", "start", "primary")])
                load.fio(pair, "write", "1m", 4, 0, f"--size={region}")
                cpu.append(load.fio(pair, "randwrite", "4k", 16, args.plot_seconds, f"--size={region}"))
                rss.append(resident_mib(servers.pids["a"]))
        facts.append((gib, *(statistics.median(step) for step in zip(*starts)), statistics.median(rss),
                      load.median(cpu, load.Sample.cpu_of_all)))
    write_csv(args, "size", ["gib", "create_ms", "start_ms", "primary_ms", "rss_mib", "cpu_us"], facts)
    print_table(f"Size of the device (sparse, in {folder}): fullsync",
                ["GiB", "create both, ms", "start both, ms", "role primary, ms", "VmRSS of the primary, MiB",
                 "CPU-µs per operation, QD 16"],
                [[f"{row[0]:,}", *(f"{cell:,.0f}" for cell in row[1:4]), *(f"{cell:.1f}" for cell in row[4:])]
                 for row in facts], out)
