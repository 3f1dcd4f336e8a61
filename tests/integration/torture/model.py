"""What a volume may hold, sector by sector, while a client writes it: an atomic register each.

A sector may show the value of operation X unless an acknowledged operation on it was issued after X had
ended. After every node lost its power, "acknowledged" becomes "flushed": X may also be shown if nothing
durable was issued after it. What a reader saw while nothing was on its way counts as acknowledged from
then on: what is in doubt may turn out old or new, but not first one and later the other. A read beside a
write of the same sector may show part of it: no disk orders them, nor does a page cache.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
import history  # noqa: E402

SECTOR = history.SECTOR
WORD = 8
ACKNOWLEDGED, FLUSHED = "acknowledged", "flushed"


class Volume:
    def __init__(self, run, trim_is_advice=False):
        self.run, self.trim_is_advice = run, trim_is_advice
        self.now = 0           # each event has its moment
        self.durable_from = 0  # the latest acknowledged flush was issued then
        self.by_sector = {}    # sector -> operations, oldest first, that may still be seen
        self.acknowledged = 0

    # What the client tells ------------------------------------------------------------------------

    def issue(self, seq, kind, offset, length):
        self.now += 1
        op = history.Operation(self.run, seq, kind, offset, length, self.now)
        if kind != "F":
            for sector in sectors(offset, length):
                self.by_sector.setdefault(sector, []).append(op)
        return op

    def acknowledge(self, op):
        self.now += 1
        self.acknowledged += 1
        op.ended, op.acknowledged = self.now, True
        if op.kind == "F":
            self.durable_from = max(self.durable_from, op.issued)

    def give_up(self, op):
        """It failed, or its connection died: it happened, or not, but nothing of it is on its way."""
        self.now += 1
        op.ended = self.now

    # What may be seen -----------------------------------------------------------------------------

    def binds(self, op, since, promise):
        """May nothing older than `op` be seen by a reader who began at `since`?"""
        if not op.acknowledged or op.ended >= since or (op.kind == "t" and self.trim_is_advice):
            return False
        return promise == ACKNOWLEDGED or op.kind == "f" or op.ended < self.durable_from

    def candidates(self, sector, since, promise):
        """The operations that may be seen, and whether the sector may be as it was in the beginning."""
        ops = self.by_sector.get(sector, ())
        latest = max((op.issued for op in ops if self.binds(op, since, promise)), default=None)
        if latest is None:
            return ops, True
        return [op for op in ops if op.ended is None or op.ended > latest], False

    def seen(self, sector, found, since, promise):
        """The operation that the sector shows, None for its first contents; KeyError: nothing that may be."""
        ops, untouched = self.candidates(sector, since, promise)
        for op in reversed(ops):
            if op.content(sector * SECTOR) == found:
                return op
        if untouched and found == history.ZEROS:
            return None
        raise KeyError(sector)

    def judge(self, offset, data, since=None, promise=ACKNOWLEDGED):
        """Complaints, one line a wrong sector."""
        since = self.now + 1 if since is None else since
        wrong = []
        for index, sector in enumerate(sectors(offset, len(data))):
            found = data[index * SECTOR:(index + 1) * SECTOR]
            try:
                self.seen(sector, found, since, promise)
            except KeyError:
                if not self.is_being_written(sector, found, since, promise):
                    wrong.append(self.complaint(sector, found, since, promise))
        return wrong

    def is_being_written(self, sector, found, since, promise):
        """Each word is of an operation that may be seen, and one of those was on its way meanwhile."""
        ops, untouched = self.candidates(sector, since, promise)
        if not any(op.ended is None or op.ended >= since for op in ops):
            return False
        contents = [op.content(sector * SECTOR) for op in ops] + [history.ZEROS] * untouched
        return all(any(content[at:at + WORD] == found[at:at + WORD] for content in contents)
                   for at in range(0, SECTOR, WORD))

    def complaint(self, sector, found, since, promise):
        ops, untouched = self.candidates(sector, since, promise)
        wanted = ["nothing"] * untouched + [f"{op.seq}({op.kind})" for op in ops[-4:]]
        return f"offset {sector * SECTOR}: found {history.describe(bytes(found))}, expected {' or '.join(wanted)}"

    def settle(self, pieces, promise=ACKNOWLEDGED):
        """A quiet volume shows this, and is flushed next: from now on each sector has this one value. Or
        complaints, and nothing is settled."""
        self.now += 1
        wrong, values = [], {}
        for offset, data in pieces:
            for index, sector in enumerate(sectors(offset, len(data))):
                found = data[index * SECTOR:(index + 1) * SECTOR]
                try:
                    op = self.seen(sector, found, self.now, promise)
                    if sector in self.by_sector:
                        values[sector] = [self.settled(op, sector)]
                except KeyError:
                    wrong.append(self.complaint(sector, found, self.now, promise))
        self.now += 2
        if not wrong:
            self.by_sector.update(values)
            self.durable_from = self.now
        return wrong

    def settled(self, op, sector):
        kind = "w" if op and op.kind in history.WRITES else "z"
        copy = history.Operation(self.run, op.seq if op else 0, kind, sector * SECTOR, SECTOR, self.now)
        copy.ended, copy.acknowledged = self.now + 1, True
        return copy


def sectors(offset, length):
    return range(offset // SECTOR, (offset + length) // SECTOR)
