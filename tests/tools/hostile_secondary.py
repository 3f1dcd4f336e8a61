#!/usr/bin/python3
"""A secondary that lies: answers a primary's handshake and requests with what no honest one sends.
The primary must close that connection, stay primary, and serve its client all the while.

  hostile_secondary.py HOST PORT CONTROL URI DATASIZE EXTENTSIZE
"""
import socket
import struct
import sys
import threading

import control
import hast_wire as wire

TOKEN = bytes(range(16))


class Liar:
    """One lie: what to answer to step 1, to step 2, and to each request (None: an honest answer)."""

    def __init__(self, name, first=None, second=None, reply=None):
        self.name, self.first, self.second, self.reply = name, first, second, reply


def honest_first():
    return wire.frame(wire.nv(("version", "uint8", 2), ("token", "bytes", TOKEN)))


def second(data_bytes, extent_bytes, **changes):
    fields = {"datasize": ("int64", data_bytes), "extentsize": ("int32", extent_bytes), "localcnt": ("uint64", 0),
              "remotecnt": ("uint64", 0), "syncsrc": ("uint8", 1), "mapsize": ("uint32", 512),
              "compression": ("string", "hole"), "size": ("uint32", 4)}
    payload = changes.pop("payload", struct.pack("<I", 512))
    fields.update(changes)
    return wire.frame(wire.nv(*[(name, *value) for name, value in fields.items() if value]), payload)


def lies(datasize, extentsize):
    answer = lambda **changes: second(datasize, extentsize, **changes)
    yield Liar("closes at once", first=b"")
    yield Liar("length 0", first=struct.pack("<BI", 2, 0))
    yield Liar("length 4 GiB", first=struct.pack("<BI", 2, 0xffffffff))
    yield Liar("version 7", first=wire.frame(wire.nv(("version", "uint8", 7), ("token", "bytes", TOKEN))))
    yield Liar("no token", first=wire.frame(wire.nv(("version", "uint8", 2))))
    yield Liar("short token", first=wire.frame(wire.nv(("version", "uint8", 2), ("token", "bytes", b"x"))))
    yield Liar("element of 4 GiB", first=struct.pack("<BI", 2, 24) + struct.pack("<BBI", 17, 7, 0xfffffff9) + b"errmsg\0".ljust(18, b"\0"))
    yield Liar("a refusal of 60 KB", first=wire.frame(wire.nv(("errmsg", "string", "x\n\x1b[31m" * 7000))))
    yield Liar("a refusal that says nothing", first=wire.frame(wire.nv(("errmsg", "string", ""))))
    yield Liar("syncsrc 0", second=answer(syncsrc=("uint8", 0)))
    yield Liar("syncsrc 7", second=answer(syncsrc=("uint8", 7)))
    yield Liar("no syncsrc", second=answer(syncsrc=None))
    yield Liar("map too small", second=answer(mapsize=("uint32", 1), payload=struct.pack("<I", 1)))
    yield Liar("map of 4 GiB", second=answer(mapsize=("uint32", 0xffffffff)))
    yield Liar("map of 256 MiB, 512 sent", second=answer(mapsize=("uint32", 256 << 20)))
    yield Liar("map bigger than it says", second=answer(payload=struct.pack("<I", 1 << 30)))
    yield Liar("no map", second=answer(mapsize=("uint32", 0), compression=None, size=None, payload=b""))
    yield Liar("unknown compression", second=answer(compression=("string", "zip")))
    yield Liar("negative datasize", second=answer(datasize=("int64", -1)))
    yield Liar("negative extentsize", second=answer(extentsize=("int32", -1)))
    yield Liar("other datasize", second=answer(datasize=("int64", datasize * 2)))
    reply = lambda *fields, payload=b"": wire.frame(wire.nv(*fields), payload)
    yield Liar("garbage for a reply", reply=lambda seq, fields: b"\xff" * 64)
    yield Liar("seq 0", reply=lambda seq, fields: reply(("seq", "uint64", 0)))
    yield Liar("unknown seq with data", reply=lambda seq, fields: reply(
        ("seq", "uint64", seq + 999), ("size", "uint32", 4096), payload=bytes(4096)) + reply(("seq", "uint64", seq)))
    yield Liar("unknown seq for ever", reply=lambda seq, fields: reply(("seq", "uint64", seq + 999)) * 1000)
    yield Liar("data for a write", reply=lambda seq, fields: reply(
        ("seq", "uint64", seq), ("size", "uint32", 4096), payload=bytes(4096)))
    yield Liar("received twice", reply=lambda seq, fields: reply(("seq", "uint64", seq), ("received", "int8", 1)) * 2)
    yield Liar("answered twice", reply=lambda seq, fields: reply(("seq", "uint64", seq)) * 2)
    yield Liar("error -1", reply=lambda seq, fields: reply(("seq", "uint64", seq), ("error", "int16", -1)))
    yield Liar("error 32767", reply=lambda seq, fields: reply(("seq", "uint64", seq), ("error", "int16", 32767)))
    yield Liar("error on everything", reply=lambda seq, fields: reply(("seq", "uint64", seq), ("error", "int16", 5)))
    yield Liar("payload of 4 GiB", reply=lambda seq, fields: reply(("seq", "uint64", seq), ("size", "uint32", 0xffffffff)))
    yield Liar("half a reply", reply=lambda seq, fields: reply(("seq", "uint64", seq))[:11])


class Server(threading.Thread):
    """Serves one lie to whoever dials, until it is told to stop."""

    def __init__(self, listener, lie, answer):
        super().__init__(daemon=True)
        self.listener, self.lie, self.answer = listener, lie, answer
        self.told = threading.Event()  # the lie was told at least once
        self.over = False

    def run(self):
        while not self.over:
            try:
                self.serve()
            except (OSError, wire.Closed, KeyError, ValueError, struct.error):
                pass

    def serve(self):
        first, _ = self.listener.accept()
        with first:
            first.settimeout(5)
            wire.receive(first)
            first.sendall(honest_first() if self.lie.first is None else self.lie.first)
            if self.lie.first is not None:
                self.told.set()
                if self.lie.first:
                    first.recv(1)  # until the primary closes
                return
            second_connection, _ = self.listener.accept()
            with second_connection:
                second_connection.settimeout(5)
                wire.receive(second_connection)
                first.sendall(self.lie.second or self.answer)
                if self.lie.second:
                    self.told.set()
                    first.recv(1)
                    return
                while not self.over:
                    _, fields, _ = wire.receive(first)
                    if fields["cmd"] == wire.KEEPALIVE:
                        continue
                    second_connection.sendall(self.lie.reply(fields["seq"], fields))
                    self.told.set()


class Failure(Exception):
    pass


def client_is_served(uri, marker):
    import nbd
    handle = nbd.NBD()
    handle.connect_uri(uri)
    handle.pwrite(marker, 1 << 20)
    if bytes(handle.pread(len(marker), 1 << 20)) != marker:
        raise Failure("the client read something else than it wrote")
    handle.flush()
    handle.shutdown()


def main():
    host, port, control_path, uri, datasize, extentsize = sys.argv[1:]
    listener = socket.create_server((host, int(port)), backlog=16)
    listener.settimeout(1)
    ctl = control.Control(control_path)
    honest = second(int(datasize), int(extentsize))
    count = 0
    for lie in lies(int(datasize), int(extentsize)):
        server = Server(listener, lie, honest)
        server.start()
        ctl.call("role", role="primary", resources=["r0"])
        try:
            client_is_served(uri, bytes([count & 0xff]) * 4096)
            if not server.told.wait(10):
                raise Failure("the primary never came to hear it")
            client_is_served(uri, bytes([(count + 100) & 0xff]) * 4096)
            status = ctl.status("r0")
            if status["role"] != "primary":
                raise Failure(f"the role is {status['role']}")
        except (Failure, OSError, RuntimeError) as failure:
            print(f"'{lie.name}': {failure}")
            return 1
        finally:
            server.over = True
        ctl.call("role", role="init", resources=["r0"])
        server.join(10)
        count += 1
    print(f"{count} lies, and the client was served through all of them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
