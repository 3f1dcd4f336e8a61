"""What a client was promised: stamped sectors, the log of its operations, and the judge of a volume.

Every sector a client writes says which operation wrote it and where. The log has one line an event:

    R RUN               a run of the client begins (everything older has ended)
    I SEQ KIND OFF LEN  operation SEQ was issued: w write, f write with FUA, t trim, z zeroes, F flush
    A SEQ               it was acknowledged
    E SEQ ERRNO         it was answered with an error
    D                   the connection died: what was in flight may or may not have happened
    O RUN SEQ OFF       the client, back again, saw this operation's sector there (SEQ 0: zeros)

An operation that is sent again after D is issued again, under its old number.

The rule of the judge is the one of atomic registers: a sector may hold the value of an operation X
unless an acknowledged operation on it was issued after X had ended. So the last acknowledged write
must be there, or one that was in flight beside it, or an unacknowledged one issued later. What the
client saw while nothing was in flight counts as acknowledged then: it does not go away again.
"""
import random
import struct
import zlib

SECTOR = 512
HEADER = struct.Struct("<4sIQQQ")
MAGIC = b"hist"
ZEROS = bytes(SECTOR)
FILL = SECTOR - HEADER.size
POOL = random.Random(8457).randbytes(65536 + FILL)  # does not compress, and is the same everywhere
WRITES, BLANKS = "wf", "tz"


def stamp(run, seq, offset):
    """The 512 bytes that operation `seq` of `run` leaves at `offset`."""
    head = HEADER.pack(MAGIC, zlib.crc32(b"%d %d" % (seq, offset)), run, seq, offset)
    start = (seq * 7919 + offset // SECTOR * 104729) & 0xffff
    return head + POOL[start:start + FILL]


def stamps(run, seq, offset, length):
    return b"".join(stamp(run, seq, at) for at in range(offset, offset + length, SECTOR))


def stamp_of(sector):
    """(run, seq) of the operation that wrote these 512 bytes, (0, 0) of zeros, None if it is neither."""
    if sector == ZEROS:
        return 0, 0
    _, _, run, seq, offset = HEADER.unpack(sector[:HEADER.size])
    return (run, seq) if sector == stamp(run, seq, offset) else None


def describe(sector):
    """A sector's contents in words, for the report of a mismatch."""
    if sector == ZEROS:
        return "zeros"
    magic, crc, run, seq, offset = HEADER.unpack(sector[:HEADER.size])
    if magic != MAGIC or crc != zlib.crc32(b"%d %d" % (seq, offset)):
        return "foreign bytes " + sector[:16].hex()
    whole = "" if sector == stamp(run, seq, offset) else ", torn"
    return f"operation {seq} for offset {offset}{whole}"


class Operation:
    __slots__ = ("run", "seq", "kind", "offset", "length", "issued", "ended", "acknowledged")

    def __init__(self, run, seq, kind, offset, length, issued):
        self.run, self.seq, self.kind = run, seq, kind
        self.offset, self.length = offset, length
        self.issued, self.ended, self.acknowledged = issued, None, False

    def content(self, offset):
        return ZEROS if self.kind in BLANKS else stamp(self.run, self.seq, offset)


class Log:
    """The file, appended to line by line; each line is out before the next event is waited for."""

    def __init__(self, path):
        self.next_seq = 1 + max((op.seq for op in read(path).operations), default=0)
        self.file = open(path, "a", buffering=1 << 16)

    def line(self, text):
        self.file.write(text + "\n")

    def flush(self):
        self.file.flush()


class History:
    def __init__(self):
        self.operations = []
        self.observed = []
        self.errors = 0

    @property
    def acknowledged(self):
        return sum(op.acknowledged for op in self.operations)

    def in_doubt(self):
        return [op for op in self.operations if not op.acknowledged]

    def data_operations(self):
        return [op for op in self.operations + self.observed if op.kind != "F"]


def read(path):
    """The history in `path`; a missing file is an empty one, a half last line is ignored."""
    history, open_ops, run = History(), {}, 0
    try:
        with open(path) as file:
            text = file.read()
    except FileNotFoundError:
        return history
    for position, line in enumerate(text[:text.rfind("\n") + 1].splitlines()):
        word = line.split()
        if word[0] == "I":
            op = Operation(run, int(word[1]), word[2], int(word[3]), int(word[4]), position)
            history.operations.append(op)
            open_ops[op.seq] = op
        elif word[0] in "AE":
            op = open_ops.pop(int(word[1]))
            op.ended, op.acknowledged = position, word[0] == "A"
            history.errors += word[0] == "E"
        elif word[0] == "O":
            kind = "w" if int(word[2]) else "z"
            op = Operation(int(word[1]), int(word[2]), kind, int(word[3]), SECTOR, position)
            op.ended, op.acknowledged = position + 0.5, True
            history.observed.append(op)
        else:  # R, D: nothing of before is in flight any more
            for op in open_ops.values():
                op.ended = position
            open_ops.clear()
            run = int(word[1]) if word[0] == "R" else run
    return history


class Judge:
    """Compares a volume with a history. Per sector it keeps the operations that may be visible."""

    def __init__(self, history, initial):
        self.initial = initial  # "zero": what was never written reads as zeros; "any"
        self.by_sector = {}
        self.all_by_sector = {}
        self.history = history
        self.impossible = []  # observations of what could not be there any more, or never was
        observed = set(map(id, history.observed))
        for op in sorted(history.data_operations(), key=lambda op: op.issued):
            if id(op) in observed and not self.is_possible(op):
                self.impossible.append(op)
            for sector in range(op.offset // SECTOR, (op.offset + op.length) // SECTOR):
                self.all_by_sector.setdefault(sector, []).append(op)

    def is_possible(self, observed):
        """Could the client see this then? The operations of later are not there yet."""
        ops, untouched = self.candidates(observed.offset // SECTOR, observed.issued)
        found = observed.content(observed.offset)
        return untouched and self.is_initial(found) or any(op.content(observed.offset) == found for op in ops)

    def candidates(self, sector, since=float("inf")):
        """Operations whose value may be the last; and whether the initial contents may still be."""
        ops = self.all_by_sector.get(sector, ())
        latest = max((op.issued for op in ops if op.acknowledged and op.ended < since), default=None)
        if latest is None:
            return ops, True
        return [op for op in ops if op.ended is None or op.ended > latest], False

    def is_initial(self, sector):
        return self.initial == "any" or sector == ZEROS

    def strict(self, first_sector, data, complain):
        """Checks a piece of the volume; complain(offset, text) for each wrong sector."""
        for index in range(len(data) // SECTOR):
            sector = first_sector + index
            found = data[index * SECTOR:(index + 1) * SECTOR]
            ops, untouched = self.candidates(sector)
            offset = sector * SECTOR
            if untouched and self.is_initial(found):
                continue
            if any(op.content(offset) == found for op in ops):
                continue
            wanted = " or ".join(f"{op.seq}({op.kind})" for op in ops[-4:]) or "nothing"
            complain(offset, f"found {describe(found)}, expected operation {wanted}")

    def visible(self, sector, found):
        """The operations of a sector that `found` may come from, oldest first; None: the initial."""
        offset = sector * SECTOR
        seen = [None] if self.is_initial(found) else []
        return seen + [op for op in self.all_by_sector.get(sector, ())
                       if op.content(offset) == found]


class PrefixJudge:
    """For async after a failover: acknowledged writes may be missing, but only the last ones. What
    is visible must not have been issued after something that is missing had been acknowledged."""

    def __init__(self, judge):
        self.judge = judge
        self.lost = {}      # seq -> operation, acknowledged and not visible
        self.latest = None  # of the visible operations, the one issued last

    def piece(self, first_sector, data, complain):
        for index in range(len(data) // SECTOR):
            sector = first_sector + index
            if sector not in self.judge.all_by_sector:
                continue
            found = data[index * SECTOR:(index + 1) * SECTOR]
            seen = self.judge.visible(sector, found)
            if not seen:
                complain(sector * SECTOR, f"found {describe(found)}, which was never written here")
                continue
            newest = seen[-1]
            ended = -1 if newest is None else newest.ended
            for op in self.judge.all_by_sector[sector]:
                if op.acknowledged and ended is not None and op.issued > ended:
                    self.lost[op.seq] = op
            oldest = seen[0]
            if oldest and (self.latest is None or oldest.issued > self.latest.issued):
                self.latest = oldest

    def finish(self, complain):
        if not self.lost or self.latest is None:
            return
        first = min(self.lost.values(), key=lambda op: op.ended)
        if self.latest.issued > first.ended:
            complain(first.offset, f"operation {first.seq} is missing, though operation "
                     f"{self.latest.seq}, issued after its acknowledgement, is there")
