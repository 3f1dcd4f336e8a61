#!/usr/bin/env python3
"""Sends what no honest peer sends, to the peer port of a secondary, and demands each time that the
connection is closed and that the daemon goes on. The list of the original's weaknesses 20 to 24.

  hostile_peer.py HOST PORT SOURCE STRANGER RESOURCE
"""
import os
import random
import socket
import struct
import sys

import hast_wire as wire

FIRST = wire.frame(wire.nv(("resource", "string", "r0"), ("version", "uint8", 2)), version=1)
TOKEN_ZERO = bytes(16)


def raw_element(kind, name, dsize, data=b""):
    raw = name + b"\0"
    return struct.pack("<BBI", kind, len(raw), dsize) + raw.ljust(wire.roundup8(len(raw)), b"\0") + data


def header(size, version=1):
    return struct.pack("<BI", version, size)


def first_messages(resource):
    """Name and bytes of first messages that must end in a closed connection."""
    ok = wire.nv(("resource", "string", resource), ("version", "uint8", 2))
    yield "length 0", header(0)
    yield "length 4 GiB - 1", header(0xffffffff)
    yield "length 16 MiB", header(16 << 20) + bytes(4096)
    yield "version 4", header(len(ok), 4) + ok
    yield "version 255", header(len(ok), 255) + ok
    for size in (0xfffffff9, 0xfffffffc, 0xffffffff, 0x80000000, 0x7fffffff):
        block = raw_element(wire.STRING, b"resource", size)
        yield f"element of {size:#x} bytes", header(len(block)) + block
    block = raw_element(wire.STRING, b"resource", 0)
    yield "empty string", header(len(block)) + block
    block = struct.pack("<BBI", wire.STRING, 255, 3) + b"resource"
    yield "name longer than the block", header(len(block)) + block
    block = struct.pack("<BBI", wire.STRING, 0, 3) + b"\0" * 16
    yield "name of no bytes", header(len(block)) + block
    block = wire.element("resource", 99, b"r0\0")
    yield "unknown type", header(len(block)) + block
    block = wire.element("resource", wire.STRING, b"r0")
    yield "string without its end", header(len(block)) + block
    block = wire.element("resource", wire.STRING, b"r\0" b"0\0")
    yield "string with an inner end", header(len(block)) + block
    block = wire.element("resource", "uint8", 1)
    yield "resource as a number", header(len(block)) + block
    yield "no resource", wire.frame(wire.nv(("version", "uint8", 2)), version=1)
    yield "zero token before any step 1", wire.frame(
        wire.nv(("resource", "string", resource), ("token", "bytes", TOKEN_ZERO), ("resuid", "uint64", 1),
                ("localcnt", "uint64", 0), ("remotecnt", "uint64", 0)))
    yield "short token", wire.frame(wire.nv(("resource", "string", resource), ("token", "bytes", bytes(8))))
    yield "long token", wire.frame(wire.nv(("resource", "string", resource), ("token", "bytes", bytes(4096))))
    yield "a name of 60000 bytes", wire.frame(wire.nv(("resource", "string", "x" * 60000)), version=1)
    yield "ten thousand elements", wire.frame(wire.nv(*[("resource", "uint8", 1)] * 2900), version=1)
    dice = random.Random(24)
    for number in range(60):
        yield f"random bytes {number}", dice.randbytes(dice.randrange(6, 3000))
    for number in range(200):
        damaged = bytearray(FIRST)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        yield None, bytes(damaged)  # anything but a crash
    yield "half a message", FIRST[:30]


def requests(size):
    """Name, bytes, and whether the session must be closed; else an error answer is wanted."""
    write = lambda seq, offset, length, payload, *more: wire.frame(wire.nv(
        ("cmd", "uint8", wire.WRITE), ("seq", "uint64", seq), ("offset", "uint64", offset),
        ("length", "uint64", length), *more, ("size", "uint32", len(payload))), payload)
    yield "unknown command", wire.request(9, 1), True
    yield "command 0", wire.request(0, 1), True
    yield "no command", wire.frame(wire.nv(("seq", "uint64", 1))), True
    yield "seq 0", wire.request(wire.READ, 0, 0, 512), True
    yield "read that wraps", wire.request(wire.READ, 1, 0xfffffffffffff000, 8192), True
    yield "write that wraps", write(1, 0xffffffffffffe000, 4096 * 4, b"x" * 16384), True
    yield "read behind the end", wire.request(wire.READ, 1, size, 512), False
    yield "read into the metadata", wire.request(wire.READ, 1, size - 512, 4096), False
    yield "delete behind the end", wire.request(wire.DELETE, 1, 512, size), False
    yield "delete of everything and more", wire.request(wire.DELETE, 1, 0, 0xfffffffffffffe00), None
    yield "read of 1 GiB", wire.request(wire.READ, 1, 0, 1 << 30), False
    yield "read of nothing", wire.request(wire.READ, 1, 0, 0), False
    yield "write behind the end", write(1, size, 4096, b"x" * 4096), False
    yield "misaligned write", write(1, 100, 4096, b"x" * 4096), False
    yield "write shorter than its length", write(1, 0, 4096, b"x" * 512), True
    yield "write longer than its length", write(1, 0, 512, b"x" * 4096), True
    yield "write without size", wire.frame(wire.nv(
        ("cmd", "uint8", wire.WRITE), ("seq", "uint64", 1), ("offset", "uint64", 0), ("length", "uint64", 4096))), True
    yield "payload of 4 GiB", wire.frame(wire.nv(
        ("cmd", "uint8", wire.WRITE), ("seq", "uint64", 1), ("offset", "uint64", 0), ("length", "uint64", 4096),
        ("size", "uint32", 0xffffffff)), b"x" * 4096), True
    for length in (0xffffffff, 0x7fffffff, 512, 0):
        hole = struct.pack("<I", length)
        yield f"hole of {length:#x}", write(1, 0, 4096, hole, ("compression", "string", "hole")), True
        lzf = struct.pack("<I", length) + b"\xe0\xff\xff" * 20
        yield f"lzf of {length:#x}", write(1, 0, 4096, lzf, ("compression", "string", "lzf")), True
    yield "hole of three bytes", write(1, 0, 4096, b"\0\x10\0", ("compression", "string", "hole")), True
    yield "lzf that reaches before its start", write(
        1, 0, 4096, struct.pack("<I", 4096) + b"\x3f\xff" * 10, ("compression", "string", "lzf")), True
    yield "unknown compression", write(1, 0, 4096, b"x" * 4096, ("compression", "string", "zip")), True
    yield "unknown checksum", write(1, 0, 4096, b"x" * 4096, ("checksum", "string", "md5"), ("hash", "bytes", bytes(16))), True
    yield "wrong crc32", write(1, 0, 4096, b"x" * 4096, ("checksum", "string", "crc32"), ("hash", "bytes", bytes(4))), True
    yield "crc32 of 3 bytes", write(1, 0, 4096, b"x" * 4096, ("checksum", "string", "crc32"), ("hash", "bytes", bytes(3))), True
    yield "checksum without hash", write(1, 0, 4096, b"x" * 4096, ("checksum", "string", "crc32")), True
    yield "header of length 0", header(0, 2), True
    yield "header of 4 GiB", header(0xffffffff, 2), True
    yield "version 9", wire.request(wire.FLUSH, 1, version=9), True
    yield "half a payload, then the end", write(1, 0, 131072, b"x" * 131072)[:5000], "end"


class Failure(Exception):
    pass


def closed(sock, seconds=10):
    """Waits for the close; a refusal in words may come first. At most one message."""
    sock.settimeout(seconds)
    seen = b""
    try:
        while True:
            piece = sock.recv(65536)
            if not piece:
                return True
            seen += piece
            if len(seen) > 4096:
                return False
    except ConnectionResetError:
        return True
    except socket.timeout:
        return False


def hostile_first_messages(where, resource):
    count = 0
    for name, data in first_messages(resource):
        sock = wire.dial(*where)
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass
        if not closed(sock):
            if name:
                raise Failure(f"first message '{name}': not closed")
        sock.close()
        count += 1
    return count


class Target:
    """A session per hostile request; what the volume holds is checked in between."""

    def __init__(self, where, resource):
        self.where, self.resource = where, resource
        self.resuid, self.fresh = 0x0badc0de, True
        self.size = 0

    def session(self):
        peer = wire.PrimaryPeer(*self.where, resource=self.resource)
        peer.connect(resuid=self.resuid, virgin=self.fresh)
        self.fresh, self.size = False, peer.answer["datasize"]
        return peer

    def write(self, marker):
        peer = self.session()
        for offset in (0, self.size - 4096):
            peer.send(wire.WRITE, 7, offset, 4096, marker)
            if peer.reply()[0].get("error"):
                raise Failure("an honest write failed")
        peer.close()

    def check(self, marker, after):
        peer = self.session()
        for offset in (0, self.size - 4096):
            peer.send(wire.READ, 9, offset, 4096)
            if peer.reply()[1] != marker:
                raise Failure(f"the data at {offset} changed after '{after}'")
        peer.close()


def hostile_requests(where, resource):
    target = Target(where, resource)
    marker = os.urandom(4096)
    target.write(marker)
    count = 0
    for name, data, must_close in requests(target.size):
        peer = target.session()
        peer.requests.sendall(data)
        if must_close == "end":
            peer.requests.shutdown(socket.SHUT_WR)
            must_close = True
        if must_close:
            if not closed(peer.replies) or not closed(peer.requests):
                raise Failure(f"'{name}': the session goes on")
        else:
            try:
                fields, _ = peer.reply()
                if must_close is False and not fields.get("error"):
                    raise Failure(f"'{name}': answered {fields}")
                if fields.get("error"):
                    peer.send(wire.FLUSH, 99)  # the stream is still in step
                    if peer.reply()[0] != {"seq": 99}:
                        raise Failure(f"'{name}': the stream is out of step")
            except wire.Closed:
                if must_close is False:
                    raise Failure(f"'{name}': closed instead of an error answer") from None
        peer.close()
        target.check(marker, name)
        count += 1
    return count


def hostile_handshakes(where, resource):
    """Step 2 with a foreign, a stale and a second token; step 1 again and again."""
    count = 0
    for token in (bytes(16), b"\xff" * 16, os.urandom(16)):
        first = wire.dial(*where)
        first.sendall(wire.frame(wire.nv(("resource", "string", resource), ("version", "uint8", 2)), version=1))
        wire.receive(first)
        second = wire.dial(*where)
        second.sendall(wire.frame(wire.nv(("resource", "string", resource), ("token", "bytes", token),
                                          ("resuid", "uint64", 1), ("localcnt", "uint64", 0),
                                          ("remotecnt", "uint64", 0))))
        if not closed(second):
            raise Failure("a foreign token was taken")
        first.close()
        second.close()
        count += 1
    for _ in range(50):  # each replaces the former, none may leak
        sock = wire.dial(*where)
        sock.sendall(wire.frame(wire.nv(("resource", "string", resource), ("version", "uint8", 2)), version=1))
        wire.receive(sock)
        sock.close()
        count += 1
    return count


def stranger(host, port, source):
    sock = wire.dial(host, port, source)
    try:
        sock.sendall(FIRST)
    except OSError:
        pass
    if not closed(sock):
        raise Failure("a stranger was heard")


def main():
    host, port, source, foreign, resource = sys.argv[1:]
    where = (host, int(port), source)
    try:
        total = hostile_first_messages(where, resource) + hostile_handshakes(where, resource)
        total += hostile_requests(where, resource)
        stranger(host, int(port), foreign)
    except (Failure, wire.Closed) as failure:
        print(failure)
        return 1
    print(f"{total} hostile conversations, each ended alone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
