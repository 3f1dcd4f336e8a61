#!/usr/bin/python3
"""The torture test: two real hastd, each in a network name space, a client with a memory, and every fault
that can be made on one machine. What the client was promised is checked after each of them.

  torture.py BUILD [--seeds N,N...] [--seconds S]   each seed for S seconds
  torture.py BUILD --seed N [--seconds S]           one of them
  torture.py BUILD --hours H                        one random seed after the other

A failure prints the line that tries its seed again; the faults come in the same order, but real processes
are never at the same point twice. Exit status 77: not possible on this machine.
"""
import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tools"))
MIB = 1 << 20
FEWEST_EVENTS = 3  # also on a machine that is very busy


def skip(why):
    print(f"[torture] skipped: {why}")
    sys.exit(77)


def enter_lab():
    """Name spaces of our own: whatever we leave behind ends with them."""
    if os.environ.get("HAST_TORTURE_LAB"):
        return
    if sys.platform != "linux" or os.geteuid() != 0:
        skip("only root on Linux can make hosts of name spaces")
    for tool in ("ip", "nft", "nsenter", "unshare", "nbdfuse", "umount"):
        if not shutil.which(tool):
            skip(f"{tool} is missing")
    if not os.path.exists("/dev/fuse"):
        skip("no FUSE here")
    try:
        import nbd  # noqa: F401
    except ImportError:
        skip("Python has no libnbd (package python3-libnbd)")
    lab = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    if os.system(" ".join(lab + ["ip link add type veth"]) + " 2> /dev/null"):
        skip("no name spaces here")
    os.environ["HAST_TORTURE_LAB"] = "1"
    os.execvp(lab[0], lab + [sys.executable] + sys.argv)


def show_waiting(who, pid):
    """Each thread's place in the kernel, and what its rings hold."""
    print(f"--- where {who} waits", flush=True)
    os.system(f"""
        for task in /proc/{pid}/task/*; do echo $(cat $task/wchan); sed -n 1,4p $task/stack; done
        for fd in /proc/{pid}/fd/*; do
            case $(readlink $fd) in *io_uring*|*eventfd*) cat /proc/{pid}/fdinfo/${{fd##*/}};; esac
        done 2> /dev/null""")


class Run:
    """One seed, from two empty disks to the last comparison."""

    def __init__(self, build, seed, seconds):
        self.build, self.seed, self.seconds = build, seed, seconds
        self.random = random.Random(seed)
        self.folder = tempfile.mkdtemp(prefix="hast-torture.")
        self.started = time.monotonic()
        self.history = open(os.path.join(self.folder, "history"), "w", buffering=1)
        self.story = self.world = None

    def say(self, text):
        print(f"[torture {self.seed}] {time.monotonic() - self.started:5.1f} s  {text}", flush=True)
        self.history.write(f"# {text}\n")

    def disk(self, name, size):
        from world import FileDisk, VolatileDisk
        folder = os.path.join(self.folder, f"disk-{name}")
        if self.random.random() < 0.25:
            return FileDisk(folder, size)
        return VolatileDisk(folder, size, f"{self.seed} {name}")

    def prepare(self):
        from client import Client
        from story import Story, draw_settings
        from world import World
        size = 16 * MIB
        disks = {name: self.disk(name, size + 2 * MIB) for name in "ab"}
        self.world = World(self.build, self.folder, size, self.random.choice((1 << 16, 1 << 18, 1 << 20)), disks)
        self.world.make_net()
        self.world.configure(threads=self.random.choice((1, 1, 2)), io=self.random.choice(("auto", "direct")),
                             **draw_settings(self.random))
        for node in self.world.nodes.values():
            self.world.create(node)
        advice = False
        client = Client(self.seed, random.SystemRandom().getrandbits(48), size, self.random.random(), advice,
                        lambda line: self.history.write(line + "\n"))
        self.story = Story(self.world, client, self.random, self.say)
        settings = self.world.settings
        self.say(f"{settings['replication']}, threads {settings['threads']}, io {settings['io']}, depth {client.depth}, "
                 f"disks {' '.join(type(disk).__name__ for disk in disks.values())}")

    def live(self):
        """How many events there were; a Failure passes through."""
        self.prepare()
        self.story.begin()
        events = 0
        while time.monotonic() - self.started < self.seconds or events < FEWEST_EVENTS:
            self.story.step()
            events += 1
        self.say("the end: everything is healed and compared")
        self.story.end()
        return events

    def show_logs(self):
        for name, node in self.world.nodes.items() if self.world else ():
            if node.is_up():
                show_waiting(f"hastd {name}", node.process.pid)
            for part in ("server", "fuse"):
                if getattr(node.disk, part, None):
                    show_waiting(f"the {part} of the disk of {name}", getattr(node.disk, part).pid)
            path = os.path.join(self.folder, f"{name}.log")
            if os.path.exists(path):
                print(f"--- end of {name}.log")
                with open(path, errors="replace") as file:
                    print("".join(file.readlines()[-40:]))

    def close(self, keep):
        if self.world:
            self.world.close()
        os.system("umount -l /run/netns/a /run/netns/b /run/netns 2> /dev/null")
        for name in "ab":
            os.system(f"umount -l {self.folder}/disk-{name} 2> /dev/null")
        if keep:
            print(f"[torture] logs and history are kept in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def torture(build, seed, seconds, keep):
    """0: every promise was kept."""
    from world import Failure
    run, events = Run(build, seed, seconds), None
    try:
        events = run.live()
        client = run.story.client
        run.say(f"ok: {events} events, {client.acknowledged} operations acknowledged, {client.reads} reads judged, "
                f"{client.reconnected} connections, {run.story.compared} comparisons")
    except Exception as failure:  # whatever it is, the seed has to be told
        run.show_logs()
        if not isinstance(failure, Failure):
            traceback.print_exc()
        print(f"[torture {seed}] FAILED: {type(failure).__name__}: {failure}")
        print(f"[torture {seed}] replay: ./dev torture --seed {seed} --seconds {seconds:g}")
    finally:
        run.close(keep and events is None)
    return 1 if events is None else 0


def in_a_process(*args):
    """Each seed begins with fresh memory, and hours do not fill it. True if it passed."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        sys.exit(torture(*args))
    # Whoever ends this process, the first of its name space, wants the child to clean up.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) > 1:
        sys.exit(143)
    return status == 0


def seeds_of(args):
    if args.seed is not None:
        yield args.seed
    elif args.hours:
        end = time.monotonic() + args.hours * 3600
        while time.monotonic() < end:
            yield random.SystemRandom().randrange(1, 1 << 31)
    else:
        yield from args.seeds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2, 3])
    parser.add_argument("--seconds", type=float, default=20, help="of each seed")
    parser.add_argument("--hours", type=float)
    parser.add_argument("--keep", action="store_true", help="keep logs and history of a failure")
    args = parser.parse_args()
    enter_lab()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    build = os.path.abspath(args.build)
    failed = [seed for seed in seeds_of(args) if not in_a_process(build, seed, args.seconds, args.keep)]
    if failed:
        print(f"[torture] FAILED: seeds {failed}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
