"""What happens in the torture test: faults and commands drawn from a seed. Each event is legal in some
states only; many of them may be open at once. The operator never promotes a node that lacks something
acknowledged: then nothing may be lost, and no split-brain may ever be reported.
"""
import signal

import nbd

from operation import ACKNOWLEDGED, FLUSHED, Operation
from world import RESOURCE, Failure

NET_FAULTS = ["a deaf", "b deaf", "a resets", "b resets", "down"]


class Story(Operation):
    """Events are methods named after what happens; `legal` says when."""

    def begin(self):
        for name in "ba":
            self.start(self.world.nodes[name])
        self.role(self.s, "secondary")
        self.serve(self.p)
        self.until(self.is_connected, "the first connection")
        self.compare()
        self.write(200)

    def step(self):
        """One event, and what the client makes of it. Returns its name."""
        events = [name for name, (weight, legal) in EVENTS.items() if legal(self) for _ in range(weight)]
        event = self.random.choice(events)
        state = f"{self.p.role} {self.primary}, {self.s.name} {self.state_of(self.s)}" + \
            "".join(f", {fault}" for fault in sorted(self.world.cut))
        self.say(f"{event.replace('_', ' ')}  ({state})")
        getattr(self, event)()
        self.write(self.random.choice((5, 50, 200, 400)))
        self.check()
        if self.random.random() < 0.4:
            self.look()
        if self.random.random() < 0.3:
            self.make_whole()
            self.look()
            self.compare()

    def end(self):
        self.make_whole()
        self.write(50)
        self.look()
        self.compare()
        self.give_up_service()
        for node in (self.p, self.s):
            self.role(node, "init")
        first, second = (self.data_of(node) for node in (self.p, self.s))
        if first != second:
            raise Failure("after an orderly end the nodes' data differ")
        for node in (self.p, self.s):
            self.shut_down(node)

    @staticmethod
    def state_of(node):
        return "hangs" if node.is_stopped else node.role if node.is_up() else "is dead"

    # The secondary -----------------------------------------------------------------------------------

    def secondary_dies(self):
        self.s.kill()

    def secondary_loses_power(self):
        self.s.kill()
        self.cycle_power(self.s)

    def secondary_returns(self):
        self.return_secondary()
        self.pass_time(self.random.choice((0, 0.05, 0.2, 1)))  # how far its resync gets

    def secondary_hangs(self):
        self.s.stop()
        self.pass_time(self.random.choice((0, 0.5, 4)))

    def secondary_wakes(self):
        self.s.resume()

    def secondary_restarts(self):
        self.shut_down(self.s, self.random.choice((signal.SIGTERM, signal.SIGUSR2)))
        self.return_secondary()

    def disk_of_secondary_fails(self):
        self.trusted = False
        self.begin_fault(self.s, self.s.disk.can)
        self.write(self.random.choice((20, 200)))
        if self.random.random() < 0.3 and self.s.is_up():
            self.s.kill()
        self.s.disk.heal()

    def begin_fault(self, node, faults):
        fault = self.random.choice(faults)
        self.say(f"  {node.name}: {fault}")
        node.disk.begin(fault)

    # The primary -------------------------------------------------------------------------------------

    def after_the_death_of_the_primary(self, lost_power=False):
        """Who goes on: who has everything. The other one is started later, or never."""
        self.give_up_service()
        if self.successor_is_fit() and self.random.random() < 0.6:
            return self.promote()
        if lost_power and self.successor_is_fit() and self.random.random() < 0.5:
            return self.promote()
        self.start_primary(FLUSHED if lost_power else ACKNOWLEDGED)

    def primary_dies(self):
        self.p.kill()
        self.after_the_death_of_the_primary()

    def primary_loses_power(self):
        self.p.kill()
        self.cycle_power(self.p)
        self.after_the_death_of_the_primary(lost_power=True)

    def primary_hangs(self):
        self.p.stop()
        self.pass_time(self.random.choice((0.1, 1, 4)))
        if self.random.random() < 0.5:
            self.p.resume()
        else:  # it is fenced
            self.p.kill()
            self.after_the_death_of_the_primary()

    def primary_restarts(self):
        self.shut_down(self.p, self.random.choice((signal.SIGTERM, signal.SIGUSR2)))
        self.give_up_service()
        self.start_primary()

    def primary_takes_its_role_anew(self):
        self.give_up_service()
        self.role(self.p, "init")
        self.serve(self.p)
        self.look()

    def both_die(self):
        self.kill_both()
        can_follow = self.world.settings["replication"] == "fullsync" and self.successor_is_fit()
        if can_follow and self.random.random() < 0.5:
            return self.promote()
        self.start_primary()

    def both_lose_power(self):
        self.kill_both()
        for node in (self.p, self.s):
            self.cycle_power(node)
        if self.successor_is_fit() and self.random.random() < 0.5:
            return self.promote(FLUSHED)
        self.start_primary(FLUSHED)

    def kill_both(self):
        nodes = [node for node in (self.p, self.s) if node.is_up()]
        self.random.shuffle(nodes)
        for node in nodes:
            node.process.kill()
        for node in nodes:
            node.kill()
        self.give_up_service()

    def cycle_power(self, node):
        if node.disk.loses_power:
            node.disk.power_off()
            node.disk.power_on()

    def disk_of_primary_reads_fail(self):
        self.p.disk.begin("fail-reads")
        self.write(self.random.choice((50, 300)))
        self.p.disk.heal()

    def disk_of_primary_is_slow(self):
        self.p.disk.begin("slow")
        self.write(100)
        self.p.disk.heal()

    def disk_of_primary_fails(self):
        """The peer stands in. Then the disk comes back, or a new one, or the service moves to the peer, or
        this node dies and the peer is promoted."""
        self.begin_fault(self.p, [fault for fault in self.p.disk.can if fault in ("fail-writes", "fail-flushes", "full")])
        self.write(self.random.choice((50, 300)))
        self.look()
        after = self.random.choice(("dies", "attach", "attach", "new disk", "move"))
        self.say(f"  {self.p.name}: {after}")
        if after == "dies":
            self.p.kill()
            self.p.disk.heal()
            self.give_up_service()
            return self.promote()
        if after == "new disk" and self.p.status().get("detached"):
            self.p.disk.replace()
            self.world.create(self.p)
        else:
            self.p.disk.heal()
        self.write(20)
        if after == "move":
            self.hand_over()
            return self.look()
        self.attach()
        self.look()

    # Both --------------------------------------------------------------------------------------------

    def planned_move(self):
        self.make_whole()
        self.pause()
        self.until(self.is_in_sync, "in sync before a planned move", 60)
        self.trusted, self.was_async = True, self.is_async()
        self.client.writing = True
        self.pass_time(0.2)
        if not self.successor_is_fit() and not self.is_async():
            return
        self.hand_over()
        self.look()

    def split_brain(self):
        """Somebody promotes the secondary while the primary lives, and writes there: the one event in which
        the procedure is not followed. The primary's data are those to keep."""
        self.world.hinder("down")
        self.until(lambda: self.p.status().get("status") == "degraded", "the cut is noticed")
        self.write(20)
        status, output = self.run(*self.s.words("role", "--force", "primary", RESOURCE))
        if status:
            raise Failure(f"role --force primary: {output}")
        self.write_wrongly(self.s)
        self.role(self.s, "secondary")
        self.world.heal_net()
        for node in (self.p, self.s):
            self.until(lambda: node.status().get("split_brain"), f"the split-brain is noticed on {node.name}")
        self.write(20)
        backup = self.random.choice((["--no-backup"], ["--backup", f"{self.world.folder}/backup{self.client.seq}"]))
        status, output = self.run(*self.s.words("resolve", "--discard", "local", *backup, RESOURCE))
        if status:
            raise Failure(f"resolve: {output}")
        self.until(self.is_connected, "the split-brain is over", 60)
        for node in (self.p, self.s):
            node.new_log_lines()  # this once they may say so
        self.look()
        self.compare()

    def write_wrongly(self, node):
        handle = nbd.NBD()
        handle.connect_uri(self.world.uri(node.name))
        for _ in range(self.random.randint(1, 30)):
            length = self.random.choice((512, 4096, 65536))
            offset = self.random.randrange(0, self.client.size // length) * length
            handle.pwrite(bytes([0xbb]) * length, offset)
        handle.flush()
        handle.shutdown()

    def net_fails(self):
        for fault in self.random.sample(NET_FAULTS, self.random.choice((1, 1, 2))):
            self.world.hinder(fault)
        self.pass_time(self.random.choice((0, 0.3, 1.5, 4)))

    def net_heals(self):
        self.world.heal_net()

    def net_flaps(self):
        for _ in range(self.random.randint(1, 4)):
            self.world.hinder(self.random.choice(NET_FAULTS))
            self.pass_time(self.random.choice((0.05, 0.3, 1)))
            self.world.heal_net()
            self.pass_time(self.random.choice((0.05, 0.5)))

    def configuration_changes(self):
        self.world.configure(**draw_settings(self.random))
        self.was_async = self.was_async or self.is_async()
        for node in (self.p, self.s):
            if node.is_running():
                node.process.send_signal(signal.SIGHUP)
        wanted = self.world.settings["replication"]
        self.until(lambda: self.p.status().get("replication") == wanted, "the reload")


def draw_settings(random):
    return {"replication": random.choice(("fullsync", "fullsync", "memsync", "memsync", "async")),
            "checksum": random.choice(("none", "crc32", "sha256")),
            "compression": random.choice(("none", "hole", "lzf")),
            "timeout": random.choice((4, 6)), "heartbeat": 1,
            "on_local_error": random.choice(("detach", "pass"))}


def healthy(story):
    return story.s.is_running() and story.s.role == "secondary" and not story.world.cut


def can_stand_in(story):
    return healthy(story) and story.successor_is_fit()


EVENTS = {
    "secondary_dies": (3, lambda story: story.s.is_up()),
    "secondary_loses_power": (3, lambda story: story.s.is_up() and story.s.disk.loses_power),
    "secondary_returns": (12, lambda story: not story.s.is_up()),
    "secondary_hangs": (2, lambda story: story.s.is_running()),
    "secondary_wakes": (8, lambda story: story.s.is_stopped),
    "secondary_restarts": (1, lambda story: story.s.is_running()),
    "disk_of_secondary_fails": (2, healthy),
    "primary_dies": (6, lambda story: True),
    "primary_loses_power": (3, lambda story: story.p.disk.loses_power),
    "primary_hangs": (3, lambda story: True),
    "primary_restarts": (2, lambda story: True),
    "primary_takes_its_role_anew": (1, lambda story: True),
    "both_die": (2, lambda story: True),
    "both_lose_power": (2, lambda story: story.p.disk.loses_power and story.s.disk.loses_power),
    "disk_of_primary_reads_fail": (2, lambda story: "fail-reads" in story.p.disk.can and can_stand_in(story)),
    "disk_of_primary_is_slow": (1, lambda story: "slow" in story.p.disk.can),
    "disk_of_primary_fails": (4, can_stand_in),
    "split_brain": (1, healthy),
    "planned_move": (3, lambda story: True),
    "net_fails": (4, lambda story: not story.world.cut),
    "net_heals": (12, lambda story: story.world.cut),
    "net_flaps": (3, lambda story: not story.world.cut),
    "configuration_changes": (2, lambda story: True),
}
