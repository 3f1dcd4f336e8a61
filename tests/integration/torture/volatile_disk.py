#!/usr/bin/python3
"""A disk with a write cache that can lose its power, and that fails on demand: an NBD server.

  volatile_disk.py SOCKET FILE FAULTS SEED

What was written stays in this process until a flush (or a write with FUA, or chance, as a cache evicts
what it likes) takes it to FILE: kill -9 is the loss of power. Faults are files in the folder FAULTS:
fail-reads, fail-writes (and flushes) and fail-flushes answer EIO, full answers ENOSPC, slow takes its
time. One client at a time; the protocol is fixed newstyle with simple replies.
"""
import errno
import os
import random
import socket
import struct
import sys
import time

SECTOR = 512
ZEROS = bytes(SECTOR)
HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_ZEROES = 1, 4, 8, 32, 64
READ, WRITE, CLOSE, FLUSH, TRIM, CACHE, ZEROES = range(7)
ABORT, GO = 2, 7


class Disk:
    def __init__(self, path, faults, seed):
        self.fd = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.fd).st_size
        self.cache = {}  # sector -> bytes: what a loss of power takes
        self.faults = faults
        self.random = random.Random(seed)

    def has(self, fault):
        return os.path.exists(os.path.join(self.faults, fault))

    def read(self, offset, length):
        data = bytearray(os.pread(self.fd, length, offset))
        if self.cache:
            first = offset // SECTOR
            for index in range(length // SECTOR):
                cached = self.cache.get(first + index)
                if cached is not None:
                    data[index * SECTOR:(index + 1) * SECTOR] = cached
        return data

    def write(self, offset, data):
        first = offset // SECTOR
        for index in range(len(data) // SECTOR):
            self.cache[first + index] = data[index * SECTOR:(index + 1) * SECTOR]
        if self.random.random() < 0.1:
            self.evict(self.random.sample(list(self.cache), min(len(self.cache), self.random.randint(1, 40))))

    def evict(self, sectors):
        for sector in sectors:
            os.pwrite(self.fd, self.cache.pop(sector), sector * SECTOR)

    def flush(self):
        self.evict(sorted(self.cache))

    def obey(self, kind, fua, offset, length, data):
        """(errno, data) of a request."""
        if self.has("slow"):
            time.sleep(0.003)
        if kind == READ:
            return (errno.EIO, b"") if self.has("fail-reads") else (0, self.read(offset, length))
        if self.has("fail-writes") or (kind == FLUSH and self.has("fail-flushes")):
            return errno.EIO, b""
        if kind in (WRITE, TRIM, ZEROES):
            if kind == WRITE and self.has("full"):
                return errno.ENOSPC, b""
            self.write(offset, data if kind == WRITE else bytes(length))
        if kind == FLUSH or fua:
            self.flush()
        return 0, b""


class Client:
    def __init__(self, sock, disk):
        self.sock, self.disk = sock, disk
        self.stream = sock.makefile("rb", buffering=1 << 18)

    def take(self, length):
        data = self.stream.read(length)
        if len(data) != length:
            raise EOFError
        return data

    def negotiate(self):
        self.sock.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
        self.take(4)
        while True:
            _, option, length = struct.unpack(">8sII", self.take(16))
            self.take(length)
            if option == GO:
                flags = HAS_FLAGS | SEND_FLUSH | SEND_FUA | SEND_TRIM | SEND_ZEROES
                self.reply(option, 3, struct.pack(">HQH", 0, self.disk.size, flags))
                return self.reply(option, 1)
            self.reply(option, 1 if option == ABORT else 0x80000001)
            if option == ABORT:
                raise EOFError

    def reply(self, option, kind, data=b""):
        self.sock.sendall(struct.pack(">QIII", 0x3e889045565a9, option, kind, len(data)) + data)

    def serve(self):
        self.negotiate()
        while True:
            _, flags, kind, cookie, offset, length = struct.unpack(">IHHQQI", self.take(28))
            if kind == CLOSE:
                return
            data = self.take(length) if kind == WRITE else b""
            error, data = self.disk.obey(kind, flags & 1, offset, length, data)
            self.sock.sendall(struct.pack(">IIQ", 0x67446698, error, cookie) + data)


def main():
    path, file, faults, seed = sys.argv[1:]
    disk = Disk(file, faults, seed)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path + ".new")
    listener.listen(4)
    os.rename(path + ".new", path)  # whoever sees it may connect
    while True:
        sock, _ = listener.accept()
        try:
            Client(sock, disk).serve()
        except (EOFError, OSError):
            pass
        sock.close()


if __name__ == "__main__":
    main()
