"""Recorded conversations of the original (tests/golden/wire, tests/golden/probe): loading them, and
making components of the original's format in the state in which a conversation began."""
import json
import os
import pathlib

import hast_wire as wire


class Session:
    """One handshake and what followed: the recorded messages of its two connections."""

    def __init__(self, folder, first, second):
        def load(conn, direction):
            path = folder / f"conn{conn}.{direction}.bin"
            data = path.read_bytes() if conn is not None and path.exists() else b""
            return [message[1:] for message in wire.messages(data)]  # (version, fields, payload, raw)

        self.hello = load(first, "c2s")[0]
        self.requests = load(first, "c2s")[1:]
        self.answers = load(first, "s2c")  # replies to both steps
        self.second_hello = (load(second, "c2s") or [None])[0]
        self.replies = load(second, "s2c")

    @property
    def refused(self):
        return "errmsg" in self.answers[-1][1] if self.answers else True


class Scenario:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.name = self.folder.name
        self.index = json.loads((self.folder / "index.json").read_text())
        self.params = self.index.get("params", {})
        numbers = sorted({int(path.name[4:].split(".")[0]) for path in self.folder.glob("conn*.c2s.bin")})
        self.sessions = []
        while numbers:
            first = numbers.pop(0)
            answers = list(wire.messages((self.folder / f"conn{first}.s2c.bin").read_bytes()))
            paired = numbers and answers and "token" in answers[0][2]
            self.sessions.append(Session(self.folder, first, numbers.pop(0) if paired else None))


def vectors(kind):
    """The folders of that kind: those of the repository, and HAST_VECTORS on top."""
    roots = [pathlib.Path(__file__).parent.parent / "golden"]
    if os.environ.get("HAST_VECTORS"):
        roots.append(pathlib.Path(os.environ["HAST_VECTORS"]))
    found = {}
    for root in roots:
        for index in sorted(root.glob(f"{kind}/*/index.json")):
            found[index.parent.name] = index.parent
    return found


# Components --------------------------------------------------------------------------------------


def map_bytes(media, extent, sector=512):
    extents = -(-(media - 4096) // extent)
    return -(-(8 * -(-extents // 64)) // sector) * sector


def media_for(datasize, extent):
    """The size of the component on which the original's create makes that datasize."""
    media = datasize + 4096
    while media - 4096 - map_bytes(media, extent) < datasize:
        media += 512
    return media


def write_component(path, datasize, extent, resuid=0, localcnt=0, remotecnt=0, bitmap=b"", blocks=(),
                    name="r0", role="init"):
    """A component as the original writes it; `blocks` are (offset, bytes) of the data area."""
    media = media_for(datasize, extent)
    offset = 4096 + map_bytes(media, extent)
    block = wire.nv(("resource", "string", name), ("datasize", "uint64", datasize),
                    ("extentsize", "uint32", extent), ("keepdirty", "uint32", 64),
                    ("offset", "uint64", offset), ("resuid", "uint64", resuid),
                    ("localcnt", "uint64", localcnt), ("remotecnt", "uint64", remotecnt),
                    ("prevrole", "string", role))
    with open(path, "wb") as file:
        file.truncate(media)
        file.write(block)
        file.seek(4096)
        file.write(bitmap[:offset - 4096])
        for at, data in blocks:
            file.seek(offset + at)
            file.write(data)
    return offset


class Model:
    """What the data area must hold: recorded reads tell what it held, recorded writes change it."""

    def __init__(self):
        self.initial, self.now = {}, {}

    def read(self, offset, data):
        for at in range(0, len(data), 512):
            if offset + at not in self.now:
                self.initial[offset + at] = self.now[offset + at] = data[at:at + 512]

    def write(self, offset, data):
        for at in range(0, len(data), 512):
            self.now[offset + at] = data[at:at + 512]

    def differences(self, path, data_offset):
        with open(path, "rb") as file:
            for at, expected in sorted(self.now.items()):
                file.seek(data_offset + at)
                if file.read(512) != expected:
                    yield at


def operation(fields, payload):
    """(cmd, offset, length, expanded data or None) of a request."""
    data = wire.expand(fields, payload) if fields["cmd"] == wire.WRITE else None
    return fields["cmd"], fields.get("offset", 0), fields.get("length", 0), data


def model_of(session, model=None):
    """Runs through a session as the original secondary did."""
    model = model or Model()
    reads = {}
    for _, fields, payload, _ in session.replies:
        if "size" in fields:
            reads.setdefault(fields["seq"], []).append(wire.expand(fields, payload))
    for _, fields, payload, _ in session.requests:
        command, offset, length, data = operation(fields, payload)
        if command == wire.WRITE:
            model.write(offset, data)
        elif command == wire.DELETE:
            model.write(offset, bytes(length))
        elif command == wire.READ and reads.get(fields["seq"]):
            model.read(offset, reads[fields["seq"]].pop(0))
    return model
