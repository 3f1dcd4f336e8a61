"""The client of the torture test: writes, reads and flushes through NBD without end, comes back whenever
its server went away, and has the model judge all it reads. One thread: whoever waits calls turn().
"""
import errno
import random
import select

import nbd

import history
from model import SECTOR, Volume

SIZES = (512, 4096, 4096, 4096, 16384, 65536, 131072)
KINDS = "w" * 70 + "f" * 3 + "t" * 3 + "z" * 4 + "F" * 4 + "r" * 16
PIECE = 1 << 18


class Request:
    def __init__(self, op, since, buffer):
        self.op, self.since, self.buffer = op, since, buffer


class Client:
    def __init__(self, seed, run, size, resend, trim_is_advice, log):
        self.random = random.Random(f"{seed} client")
        self.volume = Volume(run, trim_is_advice)
        self.run, self.size, self.resend, self.log = run, size, resend, log
        self.depth = self.random.choice((1, 4, 8, 16))
        self.uri = None        # where the primary serves; None: nowhere
        self.handle = None
        self.in_flight = {}    # seq -> Request
        self.answers = []      # (seq, errno) from libnbd's callbacks
        self.unanswered = []   # (kind, offset, length, seq), to be sent again
        self.seq = 0
        self.writing = False
        self.errors = []       # (moment, errno, operation): answers that were errors
        self.wrong = []        # what the model complained of
        self.reconnected = 0
        self.reads = 0

    @property
    def acknowledged(self):
        return self.volume.acknowledged

    # The connection --------------------------------------------------------------------------------

    def serve_from(self, uri):
        self.uri = uri

    def connect(self):
        self.handle = nbd.NBD()
        self.handle.set_strict_mode(0)
        self.handle.set_request_structured_replies(self.random.random() < 0.8)
        try:
            self.handle.aio_connect_uri(self.uri)
        except nbd.Error:
            self.handle = None

    def disconnected(self):
        """What was on its way is in doubt, and nothing of it comes later."""
        self.collect()
        for request in self.in_flight.values():
            op = request.op
            if op is None:
                continue
            self.volume.give_up(op)
            self.log(f"doubt {op.seq}")
            if op.kind != "F" and self.random.random() < self.resend:
                self.unanswered.append((op.kind, op.offset, op.length, op.seq))
        self.in_flight.clear()
        self.answers.clear()
        self.handle = None

    def is_ready(self):
        return self.handle is not None and self.handle.aio_is_ready()

    # Requests --------------------------------------------------------------------------------------

    def issue(self):
        if self.unanswered:
            kind, offset, length, seq = self.unanswered.pop(0)
        else:
            kind, (offset, length), seq = self.random.choice(KINDS), self.place(), None
        if kind == "r":
            return self.send_read(offset, length)
        if seq is None:
            self.seq += 1
            seq = self.seq
        if kind == "F":
            offset = length = 0
        op = self.volume.issue(seq, kind, offset, length)
        self.log(f"issue {seq} {kind} {offset} {length}")
        data = bytearray(history.stamps(self.run, seq, offset, length)) if kind in "wf" else None
        self.submit(seq, Request(op, None, data), kind, offset, length)

    def place(self):
        length = self.random.choice(SIZES)
        if self.random.random() < 0.5:  # half of everything meets in one place
            return self.random.randrange(0, self.size // 8 // length) * length, length
        return self.random.randrange(0, self.size // length) * length, length

    def send_read(self, offset, length):
        self.seq += 1
        buffer = nbd.Buffer(length)
        request = Request(None, self.volume.now + 1, buffer)
        request.offset = offset
        self.submit(self.seq, request, "r", offset, length)

    def submit(self, seq, request, kind, offset, length):
        def completed(error):
            self.answers.append((seq, error.value if hasattr(error, "value") else error))
            return 1
        self.in_flight[seq] = request
        handle = self.handle
        try:
            if kind in "wf":
                handle.aio_pwrite(request.buffer, offset, completed, nbd.CMD_FLAG_FUA if kind == "f" else 0)
            elif kind == "r":
                handle.aio_pread(request.buffer, offset, completed)
            elif kind == "t":
                handle.aio_trim(length, offset, completed)
            elif kind == "z":
                handle.aio_zero(length, offset, completed)
            else:
                handle.aio_flush(completed)
        except nbd.Error:
            pass  # the connection died: turn() notices

    def collect(self):
        answers, self.answers = self.answers, []
        alive = self.handle is not None and not (self.handle.aio_is_dead() or self.handle.aio_is_closed())
        for seq, error in answers:
            if error and not alive:
                continue  # no answer: libnbd ends what the dead connection owed
            request = self.in_flight.pop(seq)
            if error:
                self.refused(seq, request, error)
            elif request.op is None:
                self.reads += 1
                data = bytes(request.buffer.to_bytearray())
                self.wrong += [f"read {line}" for line in self.volume.judge(request.offset, data, request.since)]
            else:
                self.volume.acknowledge(request.op)
                self.log(f"ack {seq}")

    def refused(self, seq, request, error):
        what = f"{request.op.kind} at {request.op.offset}" if request.op else f"read at {request.offset}"
        self.log(f"error {seq} {error}")
        if request.op:
            self.volume.give_up(request.op)
        if error != errno.ESHUTDOWN:  # the role was taken away: that is an answer, not a fault
            self.errors.append(f"{errno.errorcode.get(error, error)} for operation {seq}, {what}")

    def turn(self, timeout_ms=10):
        """One round: connect, send, wait a moment, collect."""
        if self.handle is None:
            if self.uri is None:
                return select.poll().poll(timeout_ms)
            self.connect()
            if self.handle is None:
                return select.poll().poll(timeout_ms)
            self.reconnected += 1
        if self.is_ready() and self.writing:
            while len(self.in_flight) < self.depth and self.is_ready():
                self.issue()
        try:
            self.wait(timeout_ms)
        except nbd.Error:
            pass
        self.collect()
        if self.handle.aio_is_dead() or self.handle.aio_is_closed():
            self.disconnected()
            select.poll().poll(5)

    def wait(self, timeout_ms):
        if self.handle.aio_is_dead() or self.handle.aio_is_closed():
            return
        direction = self.handle.aio_get_direction()
        poller = select.poll()
        poller.register(self.handle.aio_get_fd(), (select.POLLIN if direction & 1 else 0)
                        | (select.POLLOUT if direction & 2 else 0))
        for _, events in poller.poll(timeout_ms):
            if direction & 1 and events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self.handle.aio_notify_read()
            elif direction & 2:
                self.handle.aio_notify_write()

    # Looking at everything ---------------------------------------------------------------------------

    def read_everything(self):
        """(offset, bytes) of the whole volume, through the connection that is there, nothing on its way."""
        for offset in range(0, self.size, PIECE):
            yield offset, bytes(self.handle.pread(min(PIECE, self.size - offset), offset))

    def flush(self):
        self.seq += 1
        op = self.volume.issue(self.seq, "F", 0, 0)
        self.handle.flush()
        self.volume.acknowledge(op)


assert SECTOR == 512
