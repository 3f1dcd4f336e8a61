#!/usr/bin/python3
"""Plays the secondary's recorded side to our primary: sends the original secondary's answers as they
were recorded, and checks that what our primary sends is a legal conversation that carries the same
operations.

  replay_primary.py list | config SCENARIO        "replication checksum compression"
  replay_primary.py prepare SCENARIO COMPONENT
  replay_primary.py run SCENARIO HOST PORT URI CONTROL
"""
import sys
import threading
import time

import control
import hast_wire as wire
import recorded
from replay_secondary import Complaint, load

MAX_IO = 131072  # what an original of FreeBSD 12 takes
KNOWN = {"cmd", "seq", "offset", "length", "memsync", "compression", "checksum", "hash", "size"}


def prepare(scenario, path):
    """Our primary as the original primary was when it said hello."""
    answer = scenario.sessions[0].answers[-1][1]
    datasize, extent = answer.get("datasize", 4189696), answer.get("extentsize", 131072)
    if "datasize-differs" in scenario.name:
        datasize -= 1 << 20
    elif "extentsize-differs" in scenario.name:
        extent *= 2
    hello = scenario.sessions[0].second_hello
    facts = hello[1] if hello else {}
    fresh = "virgin" in facts or not facts
    dirty, blocks = bytearray(4096), []
    for _, fields, payload, _ in scenario.sessions[0].requests:
        command, offset, length, data = recorded.operation(fields, payload)
        if is_sync(scenario, fields):
            extent_number = offset // extent
            dirty[extent_number // 8] |= 1 << extent_number % 8
            blocks.append((offset, data))
    recorded.write_component(path, datasize, extent, 0 if fresh else facts["resuid"], facts.get("localcnt", 0),
                             facts.get("remotecnt", 0), bytes(dirty), blocks, role="primary")


def is_sync(scenario, fields):
    return bool(scenario.params.get("syncs")) and fields["cmd"] == wire.WRITE and "memsync" not in fields


class Peer(threading.Thread):
    """The recorded secondary. Collects what the primary sent; a complaint ends the test."""

    def __init__(self, scenario, host, port):
        super().__init__(daemon=True)
        self.scenario, self.session = scenario, scenario.sessions[0]
        self.listener = wire.SecondaryPeer(host, port)
        self.operations, self.seqs = [], set()
        self.error = None
        self.connected = threading.Event()
        self.memsync = scenario.params.get("replication") == "memsync"
        self.size = self.session.answers[-1][1].get("datasize", 0)

    def run(self):
        try:
            self.handshake()
            while True:
                self.take(*wire.receive(self.listener.requests))
        except wire.Closed as closed:
            if not str(closed).startswith(("closed after 0", "reset")):
                self.error = self.error or f"the primary stopped within a message: {closed}"
        except (Complaint, ValueError, KeyError, OSError) as error:
            self.error = self.error or f"{type(error).__name__} {error}"
        finally:
            self.connected.set()

    def handshake(self):
        listener = self.listener
        listener.requests, _ = listener.listener.accept()
        listener.requests.settimeout(30)
        version, first, _ = wire.receive(listener.requests)
        if first != {"resource": "r0", "version": 3} or version not in (1, 2):
            raise Complaint(f"step 1 is {first}, header version {version}")
        listener.requests.sendall(self.session.answers[0][3])
        if "errmsg" in self.session.answers[0][1]:
            return
        listener.replies, _ = listener.listener.accept()
        listener.replies.settimeout(30)
        _, second, _ = wire.receive(listener.replies)
        if second.get("token") != self.session.answers[0][1]["token"]:
            raise Complaint("step 2 has another token")
        theirs = self.session.second_hello[1]
        if list(second) != list(theirs):
            raise Complaint(f"the fields of step 2 are {list(second)}, the original's {list(theirs)}")
        for name in ("localcnt", "remotecnt") + (() if "virgin" in theirs else ("resuid",)):
            if second[name] != theirs[name]:
                raise Complaint(f"{name} is {second[name]}, the original's {theirs[name]}")
        if second["resuid"] == 0:
            raise Complaint("a zero resuid")
        listener.requests.sendall(self.session.answers[1][3])
        self.connected.set()

    def take(self, version, fields, payload):
        """Checks one request and answers it as the original would: replies as recorded, seq ours."""
        if version != 2 or not set(fields) <= KNOWN or not 1 <= fields["cmd"] <= 5:
            raise Complaint(f"an illegal request: version {version}, {fields}")
        if fields["cmd"] == wire.KEEPALIVE:
            if list(fields) != ["cmd"]:
                raise Complaint(f"a keepalive with {fields}")
            return
        seq = fields["seq"]
        if seq == 0 or seq in self.seqs:
            raise Complaint(f"seq {seq} is used twice")
        self.seqs.add(seq)
        command, offset, length, data = recorded.operation(fields, payload)
        if offset % 512 or length % 512 or offset + length > self.size:
            raise Complaint(f"a range outside of the volume: {fields}")
        if command in (wire.READ, wire.WRITE) and not 0 < length <= MAX_IO:
            raise Complaint(f"too long for an original: {length}")
        if command == wire.WRITE and len(data) != length:
            raise Complaint(f"{len(data)} bytes of data in a write of {length}")
        if "memsync" in fields and not (self.memsync and command == wire.WRITE):
            raise Complaint("memsync where none belongs")
        if "checksum" in fields and fields["checksum"] != self.scenario.params.get("checksum"):
            raise Complaint(f"checksum {fields['checksum']}")
        self.operations.append((command, offset, length, data, "memsync" in fields))
        answer = [("seq", "uint64", seq)]
        if "memsync" in fields:
            self.listener.replies.sendall(wire.frame(wire.nv(*answer, ("received", "int8", 1))))
        self.listener.replies.sendall(wire.frame(wire.nv(*answer)))


def wait_until(seconds, fact, what):
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            raise Complaint(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def drive(session, handle):
    """The recorded client operations, through our export, one after the other."""
    done = []
    for _, fields, payload, _ in session.requests:
        command, offset, length, data = recorded.operation(fields, payload)
        if command == wire.WRITE:
            handle.pwrite(data, offset)
        elif command == wire.DELETE:
            handle.trim(length, offset)
        elif command == wire.FLUSH:
            handle.flush()
        else:
            continue
        done.append((command, offset, length, data))
    return done


def compare_operations(peer, wanted, memsync):
    """What the client did arrived in that order; flushes may be more."""
    sent = [op for op in peer.operations if op[0] != wire.FLUSH]
    pieces = [op for op in wanted if op[0] != wire.FLUSH]
    if [op[:4] for op in sent] != pieces:
        raise Complaint(f"{len(sent)} operations arrived of {len(pieces)}: "
                        f"{[op[:3] for op in sent][:4]}… of {[op[:3] for op in pieces][:4]}…")
    if memsync and not all(op[4] for op in sent if op[0] == wire.WRITE):
        raise Complaint("a write in memsync mode that asks for one reply only")
    flushes = sum(op[0] == wire.FLUSH for op in peer.operations)
    if flushes < sum(op[0] == wire.FLUSH for op in wanted):
        raise Complaint("a flush of the client did not arrive")


def check_sync(scenario, peer, status):
    """Every block that the original copied, ours copies too, with the same bytes."""
    wanted = {}
    for _, fields, payload, _ in scenario.sessions[0].requests:
        if is_sync(scenario, fields):
            _, offset, _, data = recorded.operation(fields, payload)
            wanted.update((offset + at, data[at:at + 512]) for at in range(0, len(data), 512))
    wait_until(20, lambda: status()["resync"] is None and status()["dirty_bytes"] == 0, "in sync")
    got = {}
    for command, offset, length, data, memsync in peer.operations:
        if command == wire.WRITE:
            if memsync:
                raise Complaint("a resync write with memsync")
            got.update((offset + at, data[at:at + 512]) for at in range(0, length, 512))
    missing = [at for at in wanted if got.get(at) != wanted[at]]
    if missing or not wanted:
        raise Complaint(f"{len(missing)} of {len(wanted)} sectors were not copied")


def check_refusal(scenario, status):
    text = scenario.sessions[0].answers[-1][1].get("errmsg", "")
    if "Split-brain" in text:
        wait_until(20, lambda: status()["split_brain"], "split_brain in the status")
    elif "differs" in scenario.name:
        wait_until(20, lambda: "disagree" in (status()["reason"] or ""), "the sizes in the status")
    else:
        wait_until(20, lambda: text.split(" for ")[0].rstrip(".") in (status()["reason"] or "")
                   or "primary" in (status()["reason"] or ""), f"the reason: {text}")
    if status()["role"] != "primary":
        raise Complaint("the role did not survive a refusal")


def run(scenario, host, port, uri, control_path):
    ctl = control.Control(control_path)
    status = lambda: ctl.status("r0")
    peer = Peer(scenario, host, port)
    peer.start()
    ctl.call("role", role="primary", resources=["r0"])
    if not peer.connected.wait(20) and not peer.session.refused:
        raise Complaint("no handshake within 20 s")
    if peer.error:
        raise Complaint(peer.error)
    if peer.session.refused or "differs" in scenario.name:
        check_refusal(scenario, status)
    elif scenario.params.get("syncs") and scenario.name.startswith("sync"):
        check_sync(scenario, peer, status)
    else:
        import nbd
        wait_until(20, lambda: status()["status"] == "complete", "status complete")
        handle = nbd.NBD()
        handle.set_strict_mode(0)
        handle.connect_uri(uri)
        wanted = drive(scenario.sessions[0], handle)
        compare_operations(peer, wanted, peer.memsync)
        handle.shutdown()
    if peer.error:
        raise Complaint(peer.error)
    print(f"{scenario.name}: legal, {len(peer.operations)} requests")


def main():
    command, *rest = sys.argv[1:]
    if command == "list":
        print("\n".join(recorded.vectors("wire")))
        return 0
    scenario = load(rest[0])
    params = scenario.params
    if command == "config":
        print(params.get("replication", "memsync"), params.get("checksum", "none"), params.get("compression", "hole"))
    elif command == "prepare":
        prepare(scenario, rest[1])
    else:
        try:
            run(scenario, rest[1], int(rest[2]), rest[3], rest[4])
        except Complaint as error:
            print(f"{scenario.name}: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
