"""The operator of the torture test: brings nodes and roles to where they should be by the documented
procedure, waits for states while the client works, and looks at everything the client was promised.
"""
import signal
import subprocess
import time

from model import ACKNOWLEDGED, FLUSHED
from world import PATIENCE, RESOURCE, Failure, other


# The operator promotes nobody who lacks something, so no log ever says
UNHEARD_OF = ("plit-brain", "AddressSanitizer", "runtime error", "Assertion failed", "bug in hast")
WORTH_A_WORD = 5  # seconds; a silent peer is noticed in three


class Operation:
    def __init__(self, world, client, random, say):
        self.world, self.client, self.random, self.say = world, client, random, say
        self.primary = "a"
        self.trusted = False       # the secondary's disk did not fail since both were seen equal
        self.was_async = False     # some acknowledged write may have been in async since then
        self.compared = 0

    @property
    def p(self):
        return self.world.nodes[self.primary]

    @property
    def s(self):
        return self.world.nodes[other(self.primary)]

    # Waiting -------------------------------------------------------------------------------------------

    def until(self, holds, what, seconds=PATIENCE):
        started = time.monotonic()
        while not holds():
            self.client.turn()
            for node in self.world.nodes.values():
                node.check_alive()
            if time.monotonic() - started > seconds:
                raise Failure(f"not within {seconds} s: {what}; primary: {self.p.status()}; other: {self.s.status()}")
        if time.monotonic() - started > WORTH_A_WORD:
            self.say(f"  {time.monotonic() - started:.1f} s until: {what}")

    def pass_time(self, seconds):
        """Not to wait for something, but to vary at which moment the next thing happens."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.client.turn()

    def run(self, *words):
        """(exit status, output) of a command; the client works on meanwhile."""
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.until(lambda: process.poll() is not None, " ".join(words), 60)
        return process.returncode, process.stdout.read().strip()

    def role(self, node, role):
        status, output = self.run(*node.words("role", role, RESOURCE))
        if status:
            raise Failure(f"role {role} on {node.name}: {output}")
        node.role = role

    def start(self, node):
        node.start()
        self.until(lambda: bool(node.status()), f"hastd {node.name} answers")

    def write(self, count):
        """Until so many more operations were acknowledged. A device that is there works (INV-12, INV-13)."""
        wanted = self.client.acknowledged + count
        self.client.writing = True
        self.until(lambda: self.client.acknowledged >= wanted, f"{count} more acknowledged operations")

    # What is known ---------------------------------------------------------------------------------------

    def is_async(self):
        return self.world.settings["replication"] == "async"

    def successor_is_fit(self):
        """Has the secondary everything that was acknowledged? Asked before a promotion, of a primary that
        runs or of what it wrote down before it died."""
        return (self.trusted and not self.was_async and not self.is_async() and self.p.peer_had_everything())

    def net_is_whole(self):
        return not self.world.cut

    def is_connected(self):
        status = self.p.status()
        return status.get("status") == "complete" and status.get("resync") is None

    def is_in_sync(self):
        status = self.p.status()
        return (status.get("status") == "complete" and status.get("resync") is None
                and status.get("dirty_bytes") == 0 and not status.get("inconsistent"))

    # Roles -----------------------------------------------------------------------------------------------

    def serve(self, node):
        """The node is made primary, and the client finds it."""
        self.role(node, "primary")
        self.primary = node.name
        self.client.serve_from(self.world.uri(node.name))

    def give_up_service(self):
        self.client.serve_from(None)

    def start_primary(self, promise=ACKNOWLEDGED):
        """The primary, whose process is gone, comes back as what it was."""
        self.start(self.p)
        self.serve(self.p)
        self.look(promise)

    def promote(self, promise=ACKNOWLEDGED):
        """The documented procedure after the primary's death: its process is gone; role primary here; the
        dead one comes back later, as secondary."""
        if not self.s.is_up():
            self.start(self.s)
        if self.s.is_stopped:
            self.s.resume()
        self.serve(self.s)
        self.look(promise)

    def return_secondary(self):
        if self.s.is_stopped:
            self.s.resume()
        if not self.s.is_up():
            self.start(self.s)
        if self.s.role != "secondary":
            self.role(self.s, "secondary")

    def make_whole(self):
        """Everything is healed; connected and in sync by itself."""
        self.world.heal_net()
        for node in self.world.nodes.values():
            node.disk.heal()
        self.return_secondary()
        self.until(self.is_connected, "healed, but not connected and synced", 60)

    def hand_over(self):
        """A planned move: only from a primary whose peer is in sync."""
        self.give_up_service()
        self.role(self.p, "secondary")
        self.serve(self.s)

    def attach(self):
        """The primary's disk is well again, or a new one is there."""
        status, output = self.run(*self.p.words("attach", RESOURCE))
        if status:
            raise Failure(f"attach: {output}")
        self.until(lambda: self.is_connected() and not self.p.status().get("inconsistent"),
                   "attached, but not complete", 60)

    def shut_down(self, node, how=signal.SIGTERM):
        node.process.send_signal(how)
        self.until_gone(node)

    def until_gone(self, node):
        process, node.process = node.process, None
        self.until(lambda: process.poll() is not None, f"hastd {node.name} ends")
        node.role = "init"
        if process.returncode:
            raise Failure(f"hastd {node.name} ended with status {process.returncode}")

    # Looking -----------------------------------------------------------------------------------------------

    def pause(self):
        """Nothing is on its way, and the connection is there."""
        self.client.writing = False
        self.until(lambda: self.client.is_ready() and not self.client.in_flight, "every request is answered")

    def look(self, promise=ACKNOWLEDGED):
        """Everything the client was promised is there. What it sees now, it was promised from now on."""
        self.pause()
        wrong = self.client.volume.settle(self.client.read_everything(), promise)
        if wrong:
            raise Failure(f"{len(wrong)} sectors on {self.primary} are not what was {promise}:\n  "
                          + "\n  ".join(wrong[:10]))
        self.client.flush()
        self.check()

    def check(self):
        """Nothing went wrong that nobody asked for."""
        if self.client.wrong:
            raise Failure("\n  ".join(["wrong while it was written:"] + self.client.wrong[:10]))
        if self.client.errors:
            raise Failure("\n  ".join(["the client was answered with errors:"] + self.client.errors[:10]))
        for node in self.world.nodes.values():
            node.check_alive()
            for line in node.new_log_lines():
                if any(words in line for words in UNHEARD_OF):
                    raise Failure(f"in the log of {node.name}: {line}")

    def compare(self):
        """In sync and quiet: the data of both nodes are the same, byte for byte."""
        self.pause()
        self.until(self.is_in_sync, "in sync and clean", 60)
        self.trusted, self.was_async = True, self.is_async()
        areas = [self.data_of(node) for node in self.world.nodes.values()]
        if areas[0] != areas[1]:
            sectors = [at for at in range(0, len(areas[0]), 512)
                       if areas[0][at:at + 512] != areas[1][at:at + 512]]
            raise Failure(f"in sync, but {len(sectors)} sectors differ: offsets {sectors[:10]}")
        self.compared += 1

    def data_of(self, node):
        status, text = self.run(*node.words("dump", RESOURCE))
        if status:
            raise Failure(text)
        fields = dict(line.strip().split(": ", 1) for line in text.splitlines())
        with open(node.disk.path, "rb", buffering=0) as file:
            file.seek(int(fields["localoff"]))
            return file.read(int(fields["datasize"].split()[0]))


__all__ = ["ACKNOWLEDGED", "FLUSHED", "Operation"]
