#!/usr/bin/env python3
"""Compares builds of hastd with each other: the same load on a pair of each, interleaved (A B A B, ...).
CPU time per operation is what it is about: it bears a loaded machine. On a real disk the first pair's files may be
slower than the others' whatever the build: name a build twice to see that. Example:

    bench/compare.py build/release build/lto --rounds 9
"""
import argparse
import contextlib
import statistics

from load import cpu_words, fio, half_spread, median
from servers import Servers


def cost(runs):
    """CPU-µs of both nodes per operation, over all rounds: the clock of the processes ticks coarsely."""
    return sum(one.cpu_of_all() * one.operations for one in runs) / sum(one.operations for one in runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="+", help="folders with hastd and hastctl; the first is what the others are held to")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--rw", default="randwrite", help="as fio names it")
    parser.add_argument("--block", default="4k", help="bytes of an operation, as fio takes them")
    parser.add_argument("--mode", choices=["fullsync", "memsync", "async"], default="fullsync")
    parser.add_argument("--dir", default="/dev/shm")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(Servers(build, args.dir, 256, [args.mode], baselines=())).pair(args.mode)
                 for build in args.builds]
        runs = [[] for _ in pairs]
        for _ in range(args.rounds):
            for own, pair in zip(runs, pairs):
                own.append(fio(pair, args.rw, args.block, args.depth, args.seconds))
    print(f"{args.block} {args.rw}, QD {args.depth}, {args.mode}, {args.dir}: medians of {args.rounds} rounds of {args.seconds:g} s\n")
    print("| build | CPU-µs per operation | both | ratio | ratios of the rounds, quartiles | IOPS | spread | p50 µs |\n"
          "|---|--:|--:|--:|--:|--:|--:|--:|")
    base = cost(runs[0])
    for build, own, pair in zip(args.builds, runs, pairs):
        ratios = [one.cpu_of_all() / first.cpu_of_all() for one, first in zip(own, runs[0]) if first.cpu_of_all()]
        low, _, high = statistics.quantiles(ratios) if len(ratios) > 1 else ratios * 3
        print(f"| {build} | {cpu_words(own, pair.processes, '{:.2f}')} | {cost(own):.2f} | {cost(own) / base:.3f} "
              f"| {low:.2f}–{high:.2f} | {median(own, lambda s: s.iops):,.0f} | ±{100 * half_spread(own):.0f} % | {median(own, lambda s: s.p50):.0f} |")


if __name__ == "__main__":
    main()
