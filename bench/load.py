"""The load: fio's nbd engine against one export or several, and what one run of it tells."""
import json
import statistics
import subprocess
import tempfile


class Sample:
    """One run of fio: rate, latencies in µs, CPU-µs per operation of each process."""

    def __init__(self, jobs, cpu):
        sides = [job["write"] if job["write"]["total_ios"] else job["read"] for job in jobs]
        operations = self.operations = sum(side["total_ios"] for side in sides)
        if not operations or any(job["error"] for job in jobs):
            raise SystemExit(f"bench: fio did nothing (errors {[job['error'] for job in jobs]})")
        self.iops = sum(side["iops"] for side in sides)
        self.mib = sum(side["bw_bytes"] for side in sides) / (1 << 20)
        percentiles = sides[0]["clat_ns"]["percentile"]
        self.p50 = percentiles["50.000000"] / 1000
        self.p99 = percentiles["99.000000"] / 1000
        self.p999 = percentiles["99.900000"] / 1000
        self.bins = {int(ns) / 1000: count for ns, count in sides[0]["clat_ns"].get("bins", {}).items()}
        self.cpu = {name: 1e6 * seconds / operations for name, seconds in cpu.items()}

    def cpu_of_all(self):
        return sum(self.cpu.values())


def run(command, seconds, folder):
    """fio leaves state files where it runs: in `folder`."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300 + 10 * seconds)
    if done.returncode:
        raise SystemExit(f"bench: fio failed: {done.stderr}{done.stdout}")
    return json.loads(done.stdout[done.stdout.index("{"):])["jobs"]


def options(rw, block, depth, seconds, more=()):
    words = ["fio", "--name=global", "--ioengine=nbd", f"--rw={rw}", f"--bs={block}", f"--iodepth={depth}", "--norandommap",
             "--randrepeat=0", "--refill_buffers=0", "--output-format=json+", *more]
    return words + (["--time_based", f"--runtime={seconds}"] if seconds else [])


def fio(candidate, rw, block, depth, seconds, *more):
    """One job on one candidate; `seconds` 0 is once over the whole of it."""
    return together([candidate], rw, block, depth, seconds, *more)


def together(candidates, rw, block, depth, seconds, *more):
    """One job on each of the candidates at once, which share their processes."""
    command = options(rw, block, depth, seconds, [*more, "--thread"])
    for number, one in enumerate(candidates):
        command += [f"--name=job{number}", f"--uri={one.uri}"]
    with tempfile.TemporaryDirectory() as scratch:
        before = candidates[0].cpu()
        jobs = run(command, seconds, scratch)
        after = candidates[0].cpu()
    return Sample(jobs, {name: after[name] - before[name] for name in after})


def median(samples, fact):
    return statistics.median(fact(sample) for sample in samples)


def cpu_words(samples, processes, form="{:.1f}"):
    """'primary + secondary', or the one server's."""
    return " + ".join(form.format(median(samples, lambda sample, who=who: sample.cpu[who])) for who in processes)


def half_spread(samples):
    """Half of what lies between the best and the worst run, as a share of the median rate."""
    rates = [sample.iops for sample in samples]
    middle = statistics.median(rates)
    return (max(rates) - min(rates)) / middle / 2 if middle else 0
