#!/usr/bin/env python3
"""Plants each mutant of tests/sim/mutants (one rule removed) in a copy of the sources, builds the
simulator and runs it until a life goes wrong. Writes the table tests/sim/mutants.md.

usage: mutants.py [--build DIR] [--seeds N] [--table FILE] [--jobs N] [NAME...]
       mutants.py --check: do they still fit the sources, and do the documents name each of them?

A mutant is a text: `rule:`, `removes:`, then for each edit `file:` and the old and the new lines
between <<<<, ==== and >>>>. The old ones must be there exactly once. All must be caught within N
seeds (2000); the table is written only when all of them were run. Each job has a copy of the
sources and a build of its own; the compiler cache knows what they share.

`judge: TARGET` names the unit tests that have to see what no life shows; why: docs/testing.md.
"""
import argparse
import concurrent.futures
import filecmp
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the judges say, and who they are. The first that fits.
JUDGES = [
    ("promised by the former", "history: a half of a split brain is lost"),
    ("not counted", "counts: an acknowledgement that nobody counted"),
    ("went back:", "history: acknowledged data are missing"),
    ("never written there", "history: strange data"),
    ("the last read failed", "history: data cannot be read"),
    ("noted nowhere", "lags: an acknowledgement that only one node can keep"),
    ("not marked", "marks: a write under a bit that is not durable"),
    ("marked on neither node", "difference under no mark"),
    ("bytes differ", "difference when in sync"),
    ("was merged", "split-brain is merged"),
    ("Split-brain", "split-brain without a cause"),
    ("counted an episode", "facts: a count without a cause"),
    ("counters went back", "facts: counters"),
    ("metadata", "facts: metadata"),
    ("left bits in the map", "leftovers"),
    ("INV-13", "liveness"),
    ("never answered", "liveness"),
    ("waits for minutes", "liveness"),
    ("does not become", "liveness"),
    ("says itself that", "roles: an unfit node is promoted"),
    ("refuses to be", "a role is refused"),
    ("aborted", "assertion"),
    ("unexpected:", "an error in the log without a cause"),
]


class Mutant:
    def __init__(self, path):
        self.name = path.stem
        text = path.read_text()
        self.rule = re.search(r"^rule: (.*)$", text, re.M).group(1)
        self.removes = re.search(r"^removes: (.*)$", text, re.M).group(1)
        tests = re.search(r"^judge: (.*)$", text, re.M)
        self.tests = tests and tests.group(1)  # None: the simulator
        edit = r"^file: ([^\n]*)\n<<<<\n(.*?)\n====\n(.*?)>>>>$"
        self.edits = [(file, old, new.rstrip("\n"))
                      for file, old, new in re.findall(edit, text, re.M | re.S)]
        if not self.edits:
            raise SystemExit(f"{path}: no edits")

    def misfits(self, tree):
        for file, old, _ in self.edits:
            path = tree / file
            times = path.read_text().count(old) if path.is_file() else 0
            if times != 1:
                yield (f"{self.name}: its lines are {times} times in {file};"
                       " adapt the mutant to the code")

    def plant(self, tree):
        originals = {}
        for misfit in self.misfits(tree):
            raise SystemExit(misfit)
        for file, old, new in self.edits:
            path = tree / file
            text = path.read_text()
            originals.setdefault(path, text)
            path.write_text(text.replace(old, new))
        return originals


def copy_sources(tree):
    """Only what has changed, so that little is built anew."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others",
                             "--exclude-standard"], capture_output=True, text=True, check=True)
    wanted = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    present = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    for name in present - wanted:
        (tree / name).unlink()
    for name in wanted:
        source, target = ROOT / name, tree / name
        if target.is_file() and filecmp.cmp(source, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


class Workshop:
    """A copy of the sources and a build of the simulator from it, for one mutant at a time."""

    def __init__(self, folder):
        self.tree, self.build = folder / "source", folder / "build"
        # Two copies of the same file are one to the compiler cache.
        self.environment = dict(os.environ, CCACHE_BASEDIR=str(self.tree), CCACHE_NOHASHDIR="1")

    def prepare(self):
        copy_sources(self.tree)
        if not (self.build / "build.ninja").exists():
            self.command("cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja",
                         "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                         "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O2", "-DHAST_WERROR=OFF")

    def command(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, env=self.environment)
        if done.returncode != 0:
            raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])

    def run(self, mutant, seeds):
        originals = mutant.plant(self.tree)
        try:
            self.command("ninja", "-C", self.build, "-j", "1", mutant.tests or "sim_run")
            return failed_test(self.build, mutant.tests) if mutant.tests else hunt(self.build, seeds)
        finally:
            for path, text in originals.items():
                path.write_text(text)


def judge(text):
    for words, name in JUDGES:
        if words in text:
            return name
    return "?"


def hunt(build, seeds):
    """(seeds lived, what was said) or None if no life goes wrong."""
    command = [build / "tests/sim/sim_run", "--seeds", f"1..{seeds}", "--first"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        return seeds, "it runs in a circle"
    if done.returncode == 0:
        return None
    found = re.search(r"^seed (\d+): (.*)$", done.stdout, re.M)
    if not found:
        return 1, "aborted without a word"
    return int(found.group(1)), found.group(2)


def failed_test(build, target):
    """("", name of the first test that fails) or None."""
    try:
        [program] = (path for path in build.glob(f"tests/**/{target}") if path.is_file())
        done = subprocess.run([program, "--abort"], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "", f"{target}: it runs in a circle"
    if done.returncode == 0:
        return None
    named = re.search(r"^-{20,}\n(.*?)\n-{20,}$", done.stdout, re.M | re.S)
    name = " ".join(named.group(1).split()) if named else "aborted"
    return "", f"{target}: {name}"


def table(results, seeds):
    lines = ["# Mutants",
             "",
             "Each removes one rule from the sources (`mutants/NAME.mutant`); the simulator must notice it within",
             f"{seeds} seeds, or a unit test what no life shows. Written by `./dev mutants`; the seeds are 1, 2, 3, ...",
             "",
             "| mutant | rule | what it removes | caught by | at seed |",
             "|---|---|---|---|--:|"]
    for mutant, found in results:
        seed, said = found or ("", "**not caught**")
        caught = said if mutant.tests or not found else judge(said)
        lines.append(f"| {mutant.name} | {mutant.rule} | {mutant.removes} | {caught} | {seed} |")
    return "\n".join(lines) + "\n"


def check(mutants):
    """Quick, without a build."""
    problems = [misfit for mutant in mutants for misfit in mutant.misfits(ROOT)]
    for document in ["docs/invariants.md", "tests/sim/mutants.md"]:
        named = set(re.findall(r"[a-z0-9-]+", (ROOT / document).read_text()))
        problems += [f"{document} does not name the mutant {mutant.name}"
                     for mutant in mutants if mutant.name not in named]
    for problem in problems:
        print(problem)
    print(f"{len(mutants)} mutants: {len(problems)} problems")
    return 1 if problems or not mutants else 0


def main():
    parser = argparse.ArgumentParser(description="Plants mutants and lets the simulator find them.")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/mutants")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--table", type=pathlib.Path, default=ROOT / "tests/sim/mutants.md")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()

    mutants = [Mutant(path) for path in sorted((ROOT / "tests/sim/mutants").glob("*.mutant"))
               if not arguments.names or path.stem in arguments.names]
    if arguments.check:
        return check(mutants)
    free = queue.Queue()
    for job in range(arguments.jobs):
        workshop = Workshop(arguments.build / str(job))
        workshop.prepare()
        free.put(workshop)

    def run(mutant):
        workshop = free.get()
        began = time.monotonic()
        try:
            found = workshop.run(mutant, arguments.seeds)
        finally:
            free.put(workshop)
        seed = f" at seed {found[0]}" if found and found[0] else ""
        outcome = f"caught{seed}: {found[1]}" if found else "NOT CAUGHT"
        print(f"{mutant.name:32} {outcome}  [{time.monotonic() - began:.0f} s]", flush=True)
        return mutant, found

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(run, mutants))
    missed = [mutant.name for mutant, found in results if not found]
    if not arguments.names:
        arguments.table.write_text(table(results, arguments.seeds))
    print(f"{len(results) - len(missed)} of {len(results)} mutants caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
