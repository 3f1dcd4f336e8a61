#!/usr/bin/env python3
"""Opens many connections and says nothing, or too little: silent_clients.py CONTROL EXPORT HOST PORT
SOURCE. Prints "holding" and keeps them until it is killed; what the daemon closes is opened again."""
import signal
import socket
import sys

import hast_wire as wire

COUNT = 20  # of each kind


def unix(path, said=b""):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(5)
    sock.connect(path)
    sock.sendall(said)
    return sock


def main():
    control, export, host, port, source = sys.argv[1:]
    held = []
    for number in range(COUNT):
        # Nothing; half a request; requests whose answers are never read.
        said = [b"", b'{"jsonrpc":"2.0","id":1,"meth', b'{"jsonrpc":"2.0","id":1,"method":"status"}\n' * 50]
        held.append(unix(control, said[number % 3]))
        held.append(unix(export, [b"", b"\0\0\0\3IHAVE", b"\0\0\0\1"][number % 3]))
        peer = wire.dial(host, int(port), source)
        hello = wire.frame(wire.nv(("resource", "string", "r0"), ("version", "uint8", 2)), version=1)
        peer.sendall(hello[:[0, 3, 20][number % 3]])
        held.append(peer)
    print("holding", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
