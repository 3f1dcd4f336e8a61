#!/usr/bin/env python3
"""A wire between two nodes that can be cut: forwards TCP from LISTEN to TARGET.

  relay.py LISTEN_HOST:PORT TARGET_HOST:PORT SOURCE_HOST

SIGUSR1 cuts (connections are closed, new ones refused), SIGUSR2 heals, SIGSTOP makes the network
silent without closing anything, SIGCONT lets it speak again. Prints "ready" once it listens.
"""
import selectors
import signal
import socket
import sys


def split(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Relay:
    def __init__(self, listen, target, source):
        self.listen_address, self.target, self.source = listen, target, source
        self.selector = selectors.DefaultSelector()
        self.listener = None
        self.other = {}    # socket -> the socket on the other side
        self.pending = {}  # socket -> bytes it could not take yet
        self.wanted = None
        self.heal()

    def heal(self):
        if not self.listener:
            self.listener = socket.create_server(self.listen_address, backlog=16)
            self.selector.register(self.listener, selectors.EVENT_READ)

    def cut(self):
        if self.listener:
            self.selector.unregister(self.listener)
            self.listener.close()
            self.listener = None
        for sock in list(self.other):
            self.close(sock)

    def close(self, sock):
        for end in (sock, self.other.pop(sock, None)):
            if end and self.pending.pop(end, None) is not None:
                self.other.pop(end, None)
                if end in self.selector.get_map():
                    self.selector.unregister(end)
                end.close()

    def accept(self):
        near, _ = self.listener.accept()
        try:
            far = socket.create_connection(self.target, 5, (self.source, 0))
        except OSError:
            near.close()
            return
        for one, two in ((near, far), (far, near)):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.other[one] = two
            self.pending[one] = b""
            self.selector.register(one, selectors.EVENT_READ)

    def watch(self, sock):
        """Reads from a side only while the other takes what it is given."""
        blocked = self.pending[self.other[sock]]
        events = (0 if blocked else selectors.EVENT_READ) | (selectors.EVENT_WRITE if self.pending[sock] else 0)
        if sock in self.selector.get_map():
            self.selector.unregister(sock)
        if events:
            self.selector.register(sock, events)

    def move(self, sock, events):
        other = self.other.get(sock)
        if other is None:
            return
        try:
            if events & selectors.EVENT_WRITE and self.pending[sock]:
                self.pending[sock] = self.pending[sock][sock.send(self.pending[sock]):]
            if events & selectors.EVENT_READ and not self.pending[other]:
                data = sock.recv(262144)
                if not data:
                    return self.close(sock)
                try:
                    data = data[other.send(data):]
                except BlockingIOError:
                    pass
                self.pending[other] = data
        except BlockingIOError:
            pass
        except OSError:
            return self.close(sock)
        self.watch(sock)
        self.watch(other)

    def run(self):
        while True:
            if self.wanted:
                action, self.wanted = self.wanted, None
                action()
            for key, events in self.selector.select(0.05):
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.move(key.fileobj, events)


def main():
    relay = Relay(split(sys.argv[1]), split(sys.argv[2]), sys.argv[3])
    signal.signal(signal.SIGUSR1, lambda *_: setattr(relay, "wanted", relay.cut))
    signal.signal(signal.SIGUSR2, lambda *_: setattr(relay, "wanted", relay.heal))
    print("ready", flush=True)
    relay.run()


if __name__ == "__main__":
    main()
