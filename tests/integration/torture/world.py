"""Two hosts made of name spaces, a cable between them that can be cut in each direction, a disk each, and
the processes of hastd. Everything is inside name spaces of the test's own and ends with them.
"""
import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import control  # tests/tools

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS = {"a": "10.231.78.1", "b": "10.231.78.2"}
RESOURCE = "r0"
PATIENCE = 30  # seconds for a state that has to come


class Failure(Exception):
    pass


def other(node):
    return "b" if node == "a" else "a"


def command(*words, check=True, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        raise Failure(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return done


class FileDisk:
    """A sparse file on a tmpfs of its own, which can be filled up."""
    can = ("full",)
    loses_power = False

    def __init__(self, folder, size):
        self.folder = folder
        os.mkdir(folder)
        command("mount", "-t", "tmpfs", "-o", f"size={size * 2}", "tmpfs", folder)
        self.path, self.size = os.path.join(folder, "disk"), size
        self.make()

    def make(self):
        with open(self.path, "w") as file:
            file.truncate(self.size)

    def replace(self):
        """Whoever has it open keeps the old one; in its place is an empty one."""
        self.heal()
        os.unlink(self.path)
        self.make()

    def begin(self, fault):
        with open(os.path.join(self.folder, "ballast"), "wb") as file:
            while free := os.statvfs(self.folder).f_bavail:
                with contextlib.suppress(OSError):  # hastd takes some of it meanwhile
                    return os.posix_fallocate(file.fileno(), 0, free * os.statvfs(self.folder).f_frsize)

    def heal(self):
        path = os.path.join(self.folder, "ballast")
        if os.path.exists(path):
            os.unlink(path)


class VolatileDisk:
    """What volatile_disk.py serves, as a file: with a cache that can be lost, and faults on demand."""
    can = ("fail-reads", "fail-writes", "fail-flushes", "full", "slow")
    loses_power = True

    def __init__(self, folder, size, seed):
        self.folder, self.seed, self.lives = folder, seed, 0
        os.makedirs(os.path.join(folder, "faults"))
        os.mkdir(os.path.join(folder, "mount"))
        self.path = os.path.join(folder, "mount", "disk")
        self.file, self.size = os.path.join(folder, "file"), size
        self.make()
        self.power_on()

    def make(self):
        with open(self.file, "w") as file:
            file.truncate(self.size)

    def replace(self):
        """As pulled out of its slot; in its place is an empty one."""
        self.power_off()
        self.heal()
        self.make()
        self.power_on()

    def power_on(self):
        self.lives += 1
        at, pid = os.path.join(self.folder, f"socket{self.lives}"), os.path.join(self.folder, f"pid{self.lives}")
        self.server = subprocess.Popen([os.path.join(HERE, "volatile_disk.py"), at, self.file,
                                        os.path.join(self.folder, "faults"), f"{self.seed} {self.lives}"])
        self.wait_for(at)
        with open(os.path.join(self.folder, "nbdfuse.log"), "ab") as log:
            self.fuse = subprocess.Popen(["nbdfuse", "-P", pid, self.path, f"nbd+unix:///?socket={at}"], stderr=log)
        self.wait_for(pid)

    @staticmethod
    def wait_for(path):
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(path):
            if time.monotonic() > deadline:
                raise Failure(f"{path} does not appear: no FUSE here?")
            time.sleep(0.01)

    def power_off(self):
        """Whoever used it is dead; what was not flushed is gone."""
        self.server.kill()
        self.server.wait()
        self.fuse.kill()
        self.fuse.wait()
        command("umount", "-l", os.path.dirname(self.path))

    def begin(self, fault):
        open(os.path.join(self.folder, "faults", fault), "w").close()

    def heal(self):
        for fault in os.listdir(os.path.join(self.folder, "faults")):
            os.unlink(os.path.join(self.folder, "faults", fault))


class Node:
    """A host: its name space, disk, and hastd with its log."""

    def __init__(self, name, build, folder, disk):
        self.name, self.build, self.folder, self.disk = name, build, folder, disk
        self.config = os.path.join(folder, "hast.yaml")
        self.socket = os.path.join(folder, f"{name}.sock")
        self.control = os.path.join(folder, f"{name}.ctl")
        self.log = os.path.join(folder, f"{name}.log")
        self.process, self.is_stopped, self.log_start, self.log_seen = None, False, 0, 0
        self.role = "init"

    # The process -------------------------------------------------------------------------------------

    def start(self):
        with open(self.log, "ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.name}", os.path.join(self.build, "hastd"), "-F", "-d",
                 "-c", self.config, "--node", self.name], stdout=log, stderr=log)
        self.is_stopped, self.role = False, "init"

    def is_up(self):
        return self.process is not None

    def is_running(self):
        return self.is_up() and not self.is_stopped

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process, self.is_stopped, self.role = None, False, "init"

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)
        self.is_stopped = True

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.is_stopped = False

    def check_alive(self):
        if self.process is not None and self.process.poll() is not None:
            raise Failure(f"hastd {self.name} ended by itself with status {self.process.returncode}")

    # Talking to it -----------------------------------------------------------------------------------

    def status(self):
        """Of the resource; an empty one while hastd does not answer."""
        if not self.is_running():
            return {}
        try:
            connection = control.Control(self.control)
            try:
                return connection.status(RESOURCE)
            finally:
                connection.sock.close()
        except (OSError, ValueError, KeyError):
            return {}

    def words(self, *words):
        return [os.path.join(self.build, "hastctl"), words[0], "-c", self.config, "--node", self.name, *words[1:]]

    def log_lines(self):
        """Of the last process."""
        with open(self.log, errors="replace") as file:
            file.seek(self.log_start)
            return file.read().splitlines()

    def new_log_lines(self):
        """Those that were not asked for yet."""
        with open(self.log, "rb") as file:
            file.seek(self.log_seen)
            text = file.read()
        text = text[:text.rfind(b"\n") + 1]
        self.log_seen += len(text)
        return text.decode(errors="replace").splitlines()

    def peer_had_everything(self):
        """As primary, when it died or now: was the peer connected and in sync? Its log says so."""
        answer = False
        for line in self.log_lines():
            if "(primary)" not in line and "Role changed" not in line:
                continue
            if "Nodes are in sync" in line or "Synchronization complete" in line:
                answer = True
            elif any(words in line for words in ("Connected to", "lost:", "Synchronization started",
                                                 "Synchronization in", "The peer failed", "Role changed")):
                answer = False
        return answer


class World:
    def __init__(self, build, folder, size, extent_bytes, disks):
        self.folder, self.size = folder, size
        self.settings = {}
        self.nodes = {name: Node(name, build, folder, disks[name]) for name in "ab"}
        self.extent_bytes = extent_bytes
        self.cut = set()  # of "a deaf", "b deaf", "a resets", "b resets", "down"

    def make_net(self):
        os.makedirs("/run/netns", exist_ok=True)
        command("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        for name in "ab":
            command("ip", "netns", "add", name)
        command("ip", "link", "add", "eth0", "netns", "a", "type", "veth", "peer", "name", "eth0", "netns", "b")
        for name in "ab":
            command("ip", "-n", name, "address", "add", f"{ADDRESS[name]}/24", "dev", "eth0")
            command("ip", "-n", name, "link", "set", "lo", "up")
            command("ip", "-n", name, "link", "set", "eth0", "up")
            self.firewall(name, "add table inet torture; add chain inet torture input "
                                "{ type filter hook input priority 0; }")

    def firewall(self, name, rules):
        command("nsenter", f"--net=/run/netns/{name}", "nft", rules)

    def hinder(self, fault):
        """ "a deaf": nothing reaches a. "a resets": it answers with RST. "down": the cable is out."""
        self.cut.add(fault)
        if fault == "down":
            command("ip", "-n", "b", "link", "set", "eth0", "down")
            return
        name, how = fault.split()
        verdict = "drop" if how == "deaf" else "meta l4proto tcp reject with tcp reset"
        self.firewall(name, f"add rule inet torture input iifname eth0 {verdict}")

    def heal_net(self):
        for name in "ab":
            self.firewall(name, "flush chain inet torture input")
        command("ip", "-n", "b", "link", "set", "eth0", "up")
        self.cut.clear()

    def configure(self, **settings):
        self.settings.update(settings)
        resource = {"nodes": {}, **{key: self.settings[key] for key in
                                    ("replication", "checksum", "compression", "timeout", "heartbeat", "on_local_error")}}
        for name, node in self.nodes.items():
            resource["nodes"][name] = {
                "local": node.disk.path, "remote": f"tcp://{ADDRESS[other(name)]}:8457",
                "source": f"tcp://{ADDRESS[name]}", "io": self.settings["io"],
                "frontend": {"type": "nbd", "listen": f"unix://{node.socket}"}}
        config = {"threads": self.settings["threads"], "resources": {RESOURCE: resource}, "nodes": {
            name: {"listen": [f"tcp://{ADDRESS[name]}:8457"], "control": node.control,
                   "pidfile": os.path.join(self.folder, f"{name}.pid")} for name, node in self.nodes.items()}}
        with open(os.path.join(self.folder, "hast.yaml"), "w") as file:
            json.dump(config, file, indent=1)  # JSON is YAML

    def create(self, node):
        command(*node.words("create", "-e", str(self.extent_bytes), RESOURCE))

    def uri(self, name):
        return f"nbd+unix:///{RESOURCE}?socket={self.nodes[name].socket}"

    def close(self):
        for node in self.nodes.values():
            if node.is_up():
                node.resume()
                node.kill()
            if node.disk.loses_power:
                with contextlib.suppress(Failure):  # it may be what failed
                    node.disk.power_off()
