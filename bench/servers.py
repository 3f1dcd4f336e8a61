"""What is measured: a pair of hastd with a resource for each mode, and nbdkit on a plain file. All on
the loopback, in one temporary folder, with disks of the same size on the same file system."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

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
        time.sleep(0.02)


class Candidate:
    """One way to a disk: what to call it, where fio connects, whose CPU time counts."""

    def __init__(self, name, uri, processes):
        self.name, self.uri, self.processes = name, uri, processes  # {"primary": pid}

    def cpu(self):
        return {name: cpu_seconds(pid) for name, pid in self.processes.items()}


class Servers:
    def __init__(self, build, parent, size_mib, modes, extra=None, threads=1):
        """`modes` names the resources, each after its replication mode (what follows a dash only tells
        them apart); `extra` holds further lines of their configuration."""
        self.build, self.modes = os.path.abspath(build), modes
        self.extra, self.threads = extra or {}, threads
        self.folder = tempfile.mkdtemp(prefix="hast-bench.", dir=parent)
        self.size = size_mib << 20
        self.running = []
        self.pids = {}

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
        """Written once from end to end, so that no candidate pays for allocation."""
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

    def start(self):
        self.make_disk("plain")
        self.spawn("nbdkit", "nbdkit", "-f", "-U", self.path("plain.sock"), "file", self.path("plain"))
        if shutil.which("qemu-nbd"):
            self.make_disk("qemu")
            self.spawn("qemu", "qemu-nbd", "-t", "-e", "8", "-f", "raw", "--cache=writeback",
                       "-k", self.path("qemu.sock"), self.path("qemu"))
            wait_until(lambda: os.path.exists(self.path("qemu.sock")), "qemu-nbd listens")
        self.write_config()
        for mode in self.modes:
            for node in "ab":
                self.make_disk(f"{mode}.{node}")
                self.hastctl(node, "create", mode)
        for node in "ba":
            self.spawn(node, f"{self.build}/hastd", "-F", "-c", self.path("hast.yaml"), "--node", node)
            wait_until(lambda: self.answers(node), f"hastd {node} answers")
        self.hastctl("b", "role", "secondary", "all")
        self.hastctl("a", "role", "primary", "all")
        wait_until(self.complete, "the nodes are connected")
        wait_until(lambda: os.path.exists(self.path("plain.sock")), "nbdkit listens")

    def candidates(self):
        plain = Candidate("nbdkit file", f"nbd+unix:///?socket={self.path('plain.sock')}", {"server": self.pids["nbdkit"]})
        pair = {"primary": self.pids["a"], "secondary": self.pids["b"]}
        servers = [plain]
        if "qemu" in self.pids:
            servers.append(Candidate("qemu-nbd", f"nbd+unix:///?socket={self.path('qemu.sock')}",
                                     {"server": self.pids["qemu"]}))
        return servers + [Candidate(mode, f"nbd+unix:///{mode}?socket={self.path(mode)}.a.sock", pair)
                          for mode in self.modes]

    def close(self):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
