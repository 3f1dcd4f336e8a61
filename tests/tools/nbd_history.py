#!/usr/bin/python3
"""A client with a memory: writes stamped sectors through NBD, and checks later what is there.

  nbd_history.py run URI --history FILE     write until told to stop or the server dies
  nbd_history.py verify URI --history FILE  read everything back and judge it
  nbd_history.py count --history FILE       operations acknowledged so far
  nbd_history.py compare A B --offset ...   two components' data areas, byte for byte

Exit status: 0 as promised, 2 the volume breaks a promise, 3 the server went away, 4 it answered an
operation with an error.
"""
import argparse
import os
import random
import select
import signal
import subprocess
import sys
import time

import history

PIECE = 1 << 20
SHOWN = 10  # mismatches printed in full


def size(text):
    units = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    return int(text[:-1]) * units[text[-1].lower()] if text[-1].lower() in units else int(text)


def connect(uri):
    import nbd  # here: compare and count work without libnbd
    handle = nbd.NBD()
    handle.set_strict_mode(0)
    handle.connect_uri(uri)
    return handle


# Writing -----------------------------------------------------------------------------------------


class Connection:
    def __init__(self, uri):
        self.handle = connect(uri)
        self.in_flight = {}  # seq -> the request; its buffer must outlive it
        self.answers = []    # (seq, errno) that the callbacks collected

    def alive(self):
        return not (self.handle.aio_is_dead() or self.handle.aio_is_closed())

    def submit(self, seq, kind, offset, length, data):
        def completed(error):
            self.answers.append((seq, error.value if hasattr(error, "value") else error))
            return 1
        import nbd
        handle = self.handle
        self.in_flight[seq] = (seq, kind, offset, length, data)
        if kind in "wf":
            handle.aio_pwrite(data, offset, completed, nbd.CMD_FLAG_FUA if kind == "f" else 0)
        elif kind == "t":
            handle.aio_trim(length, offset, completed)
        elif kind == "z":
            handle.aio_zero(length, offset, completed)
        else:
            handle.aio_flush(completed)


class Writer:
    def __init__(self, args):
        self.args = args
        self.random = random.Random(args.seed)
        self.log = history.Log(args.history)
        self.run = random.SystemRandom().getrandbits(48)
        self.connections = [Connection(args.uri) for _ in range(args.connections)]
        self.unanswered = []  # requests to be sent again
        self.returns = self.torn = 0
        total = self.connections[0].handle.get_size()
        self.begin = args.begin
        self.sectors = ((args.length or total - args.begin)) // history.SECTOR
        self.kinds = [kind for kind, weight in args.mix for _ in range(weight)]
        self.sizes = args.sizes
        self.issued = self.acknowledged = self.errors = 0
        self.stop_wanted = False
        self.started = time.monotonic()

    def stop(self, *_):
        self.stop_wanted = True

    def may_issue(self):
        if self.stop_wanted or (self.args.ops and self.issued >= self.args.ops):
            return False
        elapsed = time.monotonic() - self.started
        if self.args.seconds and elapsed >= self.args.seconds:
            return False
        return not self.args.rate or self.issued < elapsed * self.args.rate + 1

    def finished(self):
        if self.args.rate and not self.stop_wanted:
            over = (self.args.ops and self.issued >= self.args.ops or
                    self.args.seconds and time.monotonic() - self.started >= self.args.seconds)
            return over and not self.busy()
        return not self.may_issue() and not self.busy()

    def busy(self):
        return any(connection.in_flight for connection in self.connections)

    def issue(self, connection):
        if self.unanswered:
            seq, kind, offset, length, data = self.unanswered.pop(0)
            self.issued += 1
            self.log.line(f"I {seq} {kind} {offset} {length}")
            return connection.submit(seq, kind, offset, length, data)
        kind = self.random.choice(self.kinds)
        sectors = min(self.random.choice(self.sizes) // history.SECTOR, self.sectors)
        offset = length = 0
        if kind != "F":
            # Aligned to its own size: two operations overlap wholly, partly, or not at all.
            offset = self.random.randrange(0, self.sectors // sectors) * sectors * history.SECTOR
            offset, length = offset + self.begin, sectors * history.SECTOR
        seq = self.log.next_seq
        self.log.next_seq += 1
        self.issued += 1
        data = history.stamps(self.run, seq, offset, length) if kind in "wf" else None
        self.log.line(f"I {seq} {kind} {offset} {length}")
        connection.submit(seq, kind, offset, length, bytearray(data) if data else None)

    def collect(self, connection):
        answers, connection.answers = connection.answers, []
        for seq, error in answers:
            del connection.in_flight[seq]
            if error == 0:
                self.acknowledged += 1
                self.log.line(f"A {seq}")
            elif connection.alive():
                self.errors += 1
                self.log.line(f"E {seq} {error}")
        if answers:
            self.log.flush()

    def wait(self):
        poller = select.poll()
        by_fd = {}
        for connection in self.connections:
            direction = connection.handle.aio_get_direction()
            events = (select.POLLIN if direction & 1 else 0) | (select.POLLOUT if direction & 2 else 0)
            by_fd[connection.handle.aio_get_fd()] = connection
            poller.register(connection.handle.aio_get_fd(), events)
        for fd, events in poller.poll(20):
            handle = by_fd[fd].handle
            direction = handle.aio_get_direction()
            if direction & 1 and events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                handle.aio_notify_read()
            elif direction & 2:
                handle.aio_notify_write()

    def come_back(self):
        """The server went away. True if it was there again within the time that --reconnect gives it."""
        import nbd
        in_doubt = [request for connection in self.connections for request in connection.in_flight.values()]
        self.log.line("D")
        self.log.flush()
        deadline = time.monotonic() + self.args.reconnect
        while time.monotonic() < deadline and not self.stop_wanted:
            try:
                self.connections = [Connection(self.args.uri) for _ in range(self.args.connections)]
                self.look_at(in_doubt)
            except nbd.Error:
                time.sleep(0.01)
                continue
            self.returns += 1
            # Some are sent again, as clients that know their trade do; some stay in doubt for ever.
            self.unanswered += [request for request in in_doubt if self.random.random() < 0.7]
            return True
        return False

    def look_at(self, requests):
        """What is there of requests without an answer stays from now on; of each sector all or nothing."""
        for _, kind, offset, length, _ in requests:
            if kind == "F":
                continue
            found = bytes(self.connections[0].handle.pread(length, offset))
            for at in range(0, length, history.SECTOR):
                stamp = history.stamp_of(found[at:at + history.SECTOR])
                if stamp is None:
                    self.torn += 1
                    print(f"offset {offset + at}: {history.describe(found[at:at + history.SECTOR])}")
                else:
                    self.log.line(f"O {stamp[0]} {stamp[1]} {offset + at}")

    def write(self):
        """True when it ended as wanted, False when the server went away."""
        self.log.line(f"R {self.run}")
        while not self.write_here():
            if not self.args.reconnect or not self.come_back():
                return self.stop_wanted and bool(self.args.reconnect)
        return True

    def write_here(self):
        """The same, on the connections that there are."""
        import nbd
        try:
            while not self.finished():
                for connection in self.connections:
                    while len(connection.in_flight) < self.args.depth and self.may_issue():
                        self.issue(connection)
                self.log.flush()
                self.wait()
                for connection in self.connections:
                    self.collect(connection)
                    if not connection.alive():
                        return False
        except nbd.Error:
            return False
        finally:
            for connection in self.connections:
                self.collect(connection)
            if not self.args.reconnect or self.finished():
                self.log.line("D")
            self.log.flush()
        return True


def run(args):
    writer = Writer(args)
    signal.signal(signal.SIGTERM, writer.stop)
    signal.signal(signal.SIGINT, writer.stop)
    alive = writer.write()
    seconds = max(time.monotonic() - writer.started, 1e-6)
    in_doubt = writer.issued - writer.acknowledged - writer.errors
    print(f"{writer.acknowledged} acknowledged, {in_doubt} in doubt, {writer.errors} errors, "
          f"{writer.acknowledged / seconds:.0f} a second"
          + (f", came back {writer.returns} times" if args.reconnect else "")
          + ("" if alive else "; the server went away"))
    if writer.torn:
        return 2
    if writer.errors and not args.errors_ok:
        return 4
    return 0 if alive else 3


# Checking ----------------------------------------------------------------------------------------


def pieces(args):
    """(offset, bytes) of the whole volume, through NBD or straight from a component."""
    if args.component:
        with open(args.component, "rb", buffering=0) as file:
            for at in range(0, args.size, PIECE):
                yield at, os.pread(file.fileno(), min(PIECE, args.size - at), args.offset + at)
        return
    handle = connect(args.uri)
    total = handle.get_size()
    for at in range(0, total, PIECE):
        yield at, bytes(handle.pread(min(PIECE, total - at), at))
    handle.shutdown()


def verify(args):
    past = history.read(args.history)
    judge = history.Judge(past, args.initial)
    prefix = history.PrefixJudge(judge) if args.prefix else None
    wrong = []

    def complain(offset, text):
        wrong.append(offset)
        if len(wrong) <= SHOWN:
            print(f"offset {offset}: {text}")

    total = 0
    for at, data in pieces(args):
        total += len(data)
        (prefix.piece if prefix else judge.strict)(at // history.SECTOR, data, complain)
    if prefix:
        prefix.finish(complain)
    for op in judge.impossible:
        complain(op.offset, f"the client saw operation {op.seq}({op.kind}), which could not be there")
    touched = len(judge.all_by_sector)
    lost = f", {len(prefix.lost)} acknowledged ones not there yet" if prefix else ""
    print(f"{total >> 20} MiB read, {touched} sectors touched by {past.acknowledged} acknowledged and "
          f"{len(past.in_doubt())} other operations{lost}: {len(wrong)} wrong")
    if not past.acknowledged:
        print("nothing was acknowledged: the check proves nothing")
        return 2
    return 2 if wrong else 0


def count(args):
    print(history.read(args.history).acknowledged)
    return 0


# Comparing components ----------------------------------------------------------------------------


def dump(args, node):
    """offset, size and extent size of a component, as hastctl says."""
    command = [args.hastctl, "dump", "-c", args.config, "--node", node, args.resource]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    fields = dict(line.strip().split(": ", 1) for line in text.splitlines())
    return (int(fields["localoff"]), int(fields["datasize"].split()[0]),
            int(fields["extentsize"].split()[0]))


def dirty_extents(path, offset):
    """Numbers of the extents set in the activemap of a component."""
    with open(path, "rb") as file:
        file.seek(4096)
        bits = file.read(offset - 4096)
    return {8 * at + bit for at, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1}


def compare(args):
    nodes = args.nodes.split(",")
    (offset_a, size_a, extent), (offset_b, size_b, _) = (dump(args, node) for node in nodes)
    if size_a != size_b:
        print(f"the sizes differ: {size_a} and {size_b}")
        return 2
    masked = set()
    if args.mask_dirty:
        masked = dirty_extents(args.a, offset_a) | dirty_extents(args.b, offset_b)
    different = 0
    with open(args.a, "rb", buffering=0) as a, open(args.b, "rb", buffering=0) as b:
        for at in range(0, size_a, history.SECTOR * 256):
            length = min(history.SECTOR * 256, size_a - at)
            left = os.pread(a.fileno(), length, offset_a + at)
            right = os.pread(b.fileno(), length, offset_b + at)
            if left == right:
                continue
            for sector in range(0, length, history.SECTOR):
                one, other = left[sector:sector + 512], right[sector:sector + 512]
                if one == other or (at + sector) // extent in masked:
                    continue
                different += 1
                if different <= SHOWN:
                    print(f"offset {at + sector}: {history.describe(one)} | {history.describe(other)}")
    compared = size_a // history.SECTOR
    print(f"{compared} sectors compared, {len(masked)} extents masked: {different} differ")
    return 2 if different else 0


def parse_mix(text):
    words = {"write": "w", "fua": "f", "trim": "t", "zero": "z", "flush": "F"}
    return [(words[name], int(weight)) for name, weight in (part.split("=") for part in text.split(","))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    one = commands.add_parser("run")
    one.add_argument("uri")
    one.add_argument("--history", required=True)
    one.add_argument("--connections", type=int, default=1)
    one.add_argument("--depth", type=int, default=8)
    one.add_argument("--sizes", type=lambda text: [size(part) for part in text.split(",")],
                     default=[4096])
    one.add_argument("--mix", type=parse_mix, default=parse_mix("write=1"),
                     help="weights: write=90,fua=2,trim=2,zero=2,flush=4")
    one.add_argument("--ops", type=int, default=0)
    one.add_argument("--seconds", type=float, default=0)
    one.add_argument("--rate", type=float, default=0, help="operations a second")
    one.add_argument("--begin", type=size, default=0)
    one.add_argument("--length", type=size, default=0)
    one.add_argument("--seed", type=int, default=None)
    one.add_argument("--errors-ok", action="store_true")
    one.add_argument("--reconnect", type=float, default=0,
                     help="seconds to try again when the server went away; what had no answer is looked at, "
                     "and most of it sent again")
    one.set_defaults(call=run)

    one = commands.add_parser("verify")
    one.add_argument("uri", nargs="?")
    one.add_argument("--history", required=True)
    one.add_argument("--prefix", action="store_true", help="the last acknowledged ones may be missing")
    one.add_argument("--initial", choices=["zero", "any"], default="zero")
    one.add_argument("--component", help="read this file instead, with --offset and --size")
    one.add_argument("--offset", type=size, default=0)
    one.add_argument("--size", type=size, default=0)
    one.set_defaults(call=verify)

    one = commands.add_parser("count")
    one.add_argument("--history", required=True)
    one.set_defaults(call=count)

    one = commands.add_parser("compare")
    one.add_argument("a")
    one.add_argument("b")
    one.add_argument("--hastctl", required=True)
    one.add_argument("--config", required=True)
    one.add_argument("--nodes", default="a,b")
    one.add_argument("--resource", default="r0")
    one.add_argument("--mask-dirty", action="store_true")
    one.set_defaults(call=compare)

    args = parser.parse_args()
    sys.exit(args.call(args))


if __name__ == "__main__":
    main()
