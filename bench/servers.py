"""What is measured: a pair of hastd with a resource for each mode, beside nbdkit and qemu-nbd on plain
files. All on the loopback, in one temporary folder, with disks of the same size on the same file system.
Whatever ends the benchmark ends the processes and removes the folder."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BASELINES = ("nbdkit", "qemu-nbd")  # one node, no replication
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process, all its threads."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_until(fact, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: not within {seconds} s: {what}")
        time.sleep(0.002)


def resident_mib(pid):
    """VmRSS of a process."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


class Candidate:
    """One way to a disk: what to call it, where fio connects, whose CPU time counts."""

    def __init__(self, name, uri, processes):
        self.name, self.uri, self.processes = name, uri, processes  # {"primary": pid}

    def cpu(self):
        return {name: cpu_seconds(pid) for name, pid in self.processes.items()}


class Servers:
    def __init__(self, build, parent, size_mib, modes, extra=None, threads=1, baselines=BASELINES, disk="written"):
        """`modes` names the resources, each after its replication mode (what follows a dash only tells
        them apart); `extra` holds further lines of their configuration. A "sparse" disk holds nothing yet."""
        self.build, self.modes = os.path.abspath(build), modes
        self.extra, self.threads, self.baselines, self.disk = extra or {}, threads, baselines, disk
        self.folder = tempfile.mkdtemp(prefix="hast-bench.", dir=parent)
        self.size = size_mib << 20
        self.running = []
        self.pids, self.seconds = {}, {}

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def path(self, name):
        return os.path.join(self.folder, name)

    def spawn(self, name, *command):
        with open(self.path(name + ".log"), "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.running.append(process)
        self.pids[name] = process.pid

    def make_disk(self, name):
        """Written once from end to end, so that no candidate pays for allocation; or sparse."""
        if self.disk == "sparse":
            with open(self.path(name), "wb") as file:
                file.truncate(self.size)
            return
        piece = os.urandom(1 << 20)
        with open(self.path(name), "wb") as file:
            for _ in range(0, self.size, len(piece)):
                file.write(piece)
            os.fsync(file.fileno())

    def write_config(self):
        port = free_port()
        lines = [f"threads: {self.threads}", "nodes:"]
        for node, number in (("a", 1), ("b", 2)):
            lines.append(f"  {node}: {{ listen: \"tcp://127.0.0.{number}:{port}\", control: {self.path(node)}.ctl }}")
        lines.append("resources:")
        for mode in self.modes:
            lines += [f"  {mode}:", f"    replication: {mode.split('-')[0]}"]
            lines += [f"    {line}" for line in self.extra.get(mode, [])] + ["    nodes:"]
            for node, own, peer in (("a", 1, 2), ("b", 2, 1)):
                lines.append(f"      {node}: {{ local: {self.path(mode)}.{node}, remote: \"tcp://127.0.0.{peer}:{port}\", "
                             f"source: tcp://127.0.0.{own}, frontend: {{ type: nbd, listen: \"unix://{self.path(mode)}.{node}.sock\" }} }}")
        with open(self.path("hast.yaml"), "w") as file:
            file.write("\n".join(lines) + "\n")

    def hastctl(self, node, command, *words):
        subprocess.run([f"{self.build}/hastctl", command, "-c", self.path("hast.yaml"), "--node", node, *words],
                       check=True, stdout=subprocess.PIPE)

    def answers(self, node):
        return subprocess.run([f"{self.build}/hastctl", "status", "-c", self.path("hast.yaml"), "--node", node],
                              capture_output=True).returncode == 0

    def complete(self):
        run = subprocess.run([f"{self.build}/hastctl", "status", "-c", self.path("hast.yaml"), "--node", "a"],
                             check=True, capture_output=True, text=True)
        return run.stdout.count("\tcomplete") == len(self.modes)

    def start_baselines(self):
        if "nbdkit" in self.baselines:
            self.make_disk("plain")
            self.spawn("nbdkit", "nbdkit", "-f", "-U", self.path("plain.sock"), "file", self.path("plain"))
            wait_until(lambda: os.path.exists(self.path("plain.sock")), "nbdkit listens")
        if "qemu-nbd" in self.baselines and shutil.which("qemu-nbd"):
            self.make_disk("qemu")
            self.spawn("qemu-nbd", "qemu-nbd", "-t", "-e", "8", "-f", "raw", "--cache=writeback",
                       "-k", self.path("qemu.sock"), self.path("qemu"))
            wait_until(lambda: os.path.exists(self.path("qemu.sock")), "qemu-nbd listens")

    def start_node(self, node):
        self.spawn(node, f"{self.build}/hastd", "-F", "-c", self.path("hast.yaml"), "--node", node)
        wait_until(lambda: self.answers(node), f"hastd {node} answers")

    def start(self):
        """Notes how many seconds each step took, for whom that is the question."""
        self.start_baselines()
        self.write_config()
        for mode in self.modes:
            for node in "ab":
                self.make_disk(f"{mode}.{node}")
        self.timed("create", lambda: [self.hastctl(node, "create", *self.modes) for node in "ab"])
        self.timed("start", lambda: [self.start_node(node) for node in "ba"])
        self.hastctl("b", "role", "secondary", "all")
        self.timed("primary", lambda: self.hastctl("a", "role", "primary", "all"))
        wait_until(self.complete, "the nodes are connected")

    def timed(self, what, step):
        begun = time.monotonic()
        step()
        self.seconds[what] = time.monotonic() - begun

    def pair(self, mode):
        return Candidate(mode, f"nbd+unix:///{mode}?socket={self.path(mode)}.a.sock",
                         {"primary": self.pids["a"], "secondary": self.pids["b"]})

    def candidates(self):
        sockets = {"nbdkit": ("nbdkit file", "plain.sock"), "qemu-nbd": ("qemu-nbd", "qemu.sock")}
        return [Candidate(name, f"nbd+unix:///?socket={self.path(sock)}", {"server": self.pids[which]})
                for which, (name, sock) in sockets.items() if which in self.pids] + \
            [self.pair(mode) for mode in self.modes]

    def close(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave the rest behind
        self.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def stop(self):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
