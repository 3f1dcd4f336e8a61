"""The peer protocol for tests, small and independent of the daemon's own codec (docs/protocol.md):
name/value lists, messages, payloads, and the two sides of a handshake."""
import hashlib
import socket
import struct
import zlib

TYPES = {1: ("int8", "b"), 2: ("uint8", "B"), 3: ("int16", "h"), 4: ("uint16", "H"), 5: ("int32", "i"),
         6: ("uint32", "I"), 7: ("int64", "q"), 8: ("uint64", "Q")}
NUMBERS = {name: number for number, (name, _) in TYPES.items()}
UINT8_ARRAY, STRING = 10, 17

READ, WRITE, DELETE, FLUSH, KEEPALIVE = range(1, 6)
CRC32, SHA256, HOLE, LZF = "crc32", "sha256", "hole", "lzf"


def roundup8(value):
    return (value + 7) & ~7


def element(name, kind, value):
    """One element; `kind` is a scalar's name, "string", "bytes", or a raw type number."""
    raw_name = name.encode() + b"\0"
    if kind == "string":
        number, data = STRING, value.encode() + b"\0"
    elif kind == "bytes":
        number, data = UINT8_ARRAY, bytes(value)
    elif isinstance(kind, int):
        number, data = kind, bytes(value)
    else:
        number = NUMBERS[kind]
        data = struct.pack("<" + TYPES[number][1], value)
    head = struct.pack("<BBI", number, len(raw_name), len(data))
    return (head + raw_name.ljust(roundup8(len(raw_name)), b"\0")
            + data.ljust(roundup8(len(data)), b"\0"))


def nv(*fields):
    """A list from (name, kind, value) triples; None is skipped."""
    return b"".join(element(*field) for field in fields if field)


def frame(block, payload=b"", version=2):
    return struct.pack("<BI", version, len(block)) + block + payload


def parse(block):
    """Fields of an nv block in order: name -> value; padding is not looked at."""
    fields, at = {}, 0
    while at < len(block) and block[at] != 0:
        number, name_size, data_size = struct.unpack_from("<BBI", block, at)
        name = block[at + 6:at + 6 + name_size - 1].decode()
        start = at + 6 + roundup8(name_size)
        data = block[start:start + data_size]
        if number == STRING:
            value = data[:-1].decode()
        elif number in TYPES:
            value = struct.unpack("<" + TYPES[number][1], data)[0]
        else:
            value = bytes(data)
        fields.setdefault(name, value)
        at = start + roundup8(data_size)
    return fields


class Closed(Exception):
    """The other side closed the connection (or reset it)."""


def receive_exactly(sock, size):
    data = bytearray()
    while len(data) < size:
        try:
            piece = sock.recv(size - len(data))
        except (ConnectionResetError, BrokenPipeError):
            raise Closed(f"reset after {len(data)} of {size} bytes") from None
        if not piece:
            raise Closed(f"closed after {len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def receive(sock):
    """(version, fields, payload): the payload as it travels."""
    version, size = struct.unpack("<BI", receive_exactly(sock, 5))
    fields = parse(receive_exactly(sock, size))
    return version, fields, receive_exactly(sock, fields.get("size", 0))


def messages(stream):
    """Every message of a recorded stream: (offset, version, fields, payload, raw bytes)."""
    at = 0
    while at < len(stream):
        version, size = struct.unpack_from("<BI", stream, at)
        fields = parse(stream[at + 5:at + 5 + size])
        end = at + 5 + size + fields.get("size", 0)
        yield at, version, fields, stream[at + 5 + size:end], stream[at:end]
        at = end


def lzf_decompress(data, size):
    out, at = bytearray(), 0
    while at < len(data):
        control = data[at]
        at += 1
        if control < 32:
            out += data[at:at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += data[at]
            at += 1
        distance = ((control & 31) << 8 | data[at]) + 1
        at += 1
        for _ in range(length + 2):
            out.append(out[-distance])
    if len(out) != size:
        raise ValueError(f"lzf made {len(out)} bytes of {size}")
    return bytes(out)


def expand(fields, payload):
    """Payload as it was before compression; raises when the checksum differs."""
    check = fields.get("checksum")
    if check == CRC32 and struct.pack("<I", zlib.crc32(payload)) != fields["hash"]:
        raise ValueError("crc32 differs")
    if check == SHA256 and hashlib.sha256(payload).digest() != fields["hash"]:
        raise ValueError("sha256 differs")
    method = fields.get("compression")
    if method == HOLE:
        return bytes(struct.unpack("<I", payload)[0])
    if method == LZF:
        return lzf_decompress(payload[4:], struct.unpack_from("<I", payload)[0])
    return payload


def request(command, seq, offset=0, length=0, payload=None, memsync=False, version=2, checksum=None):
    fields = [("cmd", "uint8", command)]
    if command != KEEPALIVE:
        fields += [("seq", "uint64", seq), ("offset", "uint64", offset), ("length", "uint64", length)]
    if memsync:
        fields.append(("memsync", "uint8", 1))
    if payload is not None:
        if checksum == CRC32:
            fields += [("checksum", "string", CRC32), ("hash", "bytes", struct.pack("<I", zlib.crc32(payload)))]
        fields.append(("size", "uint32", len(payload)))
    return frame(nv(*fields), payload or b"", version)


def dial(host, port, source=None, timeout=10):
    sock = socket.create_connection((host, port), timeout, (source, 0) if source else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class PrimaryPeer:
    """Plays the primary towards a secondary: two connections and a handshake."""

    def __init__(self, host, port, source, resource="r0"):
        self.where = (host, port, source)
        self.resource = resource
        self.requests = self.replies = None
        self.hello = self.answer = None
        self.map = b""

    def connect(self, resuid=0x1234567890abcdef, localcnt=0, remotecnt=0, virgin=True, version=2):
        self.requests = dial(*self.where)
        self.requests.sendall(frame(nv(("resource", "string", self.resource),
                                       ("version", "uint8", version)), version=1))
        _, self.hello, _ = receive(self.requests)
        if "errmsg" in self.hello:
            raise Closed(self.hello["errmsg"])
        self.replies = dial(*self.where)
        self.replies.sendall(frame(nv(("resource", "string", self.resource),
                                      ("token", "bytes", self.hello["token"]),
                                      ("virgin", "int8", 1) if virgin else None,
                                      ("resuid", "uint64", resuid), ("localcnt", "uint64", localcnt),
                                      ("remotecnt", "uint64", remotecnt)), version=self.hello["version"]))
        _, self.answer, payload = receive(self.requests)
        if "errmsg" in self.answer:
            raise Closed(self.answer["errmsg"])
        self.map = expand(self.answer, payload) if self.answer.get("mapsize") else b""
        return self

    def send(self, *args, **kwargs):
        self.requests.sendall(request(*args, **kwargs))

    def reply(self):
        """Fields and expanded payload of the next reply."""
        _, fields, payload = receive(self.replies)
        return fields, expand(fields, payload)

    def close(self):
        for sock in (self.requests, self.replies):
            if sock:
                sock.close()


class SecondaryPeer:
    """Plays the secondary towards a primary that dials in."""

    def __init__(self, host, port):
        self.listener = socket.create_server((host, port), backlog=16)
        self.listener.settimeout(20)
        self.requests = self.replies = None

    def accept_handshake(self, datasize, extentsize, localcnt=0, remotecnt=0, virgin=True, map_bytes=0,
                         syncsrc=1, token=bytes(range(16)), version=2):
        """The whole handshake; returns the fields of the primary's two messages."""
        self.requests, _ = self.listener.accept()
        self.requests.settimeout(20)
        _, first, _ = receive(self.requests)
        self.requests.sendall(frame(nv(("version", "uint8", version), ("token", "bytes", token))))
        self.replies, _ = self.listener.accept()
        self.replies.settimeout(20)
        _, second, _ = receive(self.replies)
        fields = [("datasize", "int64", datasize), ("extentsize", "int32", extentsize),
                  ("localcnt", "uint64", localcnt), ("remotecnt", "uint64", remotecnt),
                  ("virgin", "int8", 1) if virgin else None, ("syncsrc", "uint8", syncsrc),
                  ("mapsize", "uint32", map_bytes)]
        payload = b""
        if map_bytes:
            payload = struct.pack("<I", map_bytes)
            fields += [("compression", "string", HOLE), ("size", "uint32", 4)]
        self.requests.sendall(frame(nv(*fields), payload, version))
        return first, second

    def close(self):
        for sock in (self.requests, self.replies, self.listener):
            if sock:
                sock.close()
