#!/usr/bin/env python3
"""The client of the failover test. It writes records over TCP for ever, comes back after every loss of
its server, and keeps a history of what was acknowledged.

  record_client.py write HISTORY ADDRESS PORT   until SIGTERM
  record_client.py count HISTORY                acknowledged records so far
  record_client.py gap HISTORY MOMENT_MS        the long pause after that moment: how long, and how long
                                                after the moment it ended, in ms
  record_client.py verify HISTORY FILE          every acknowledged record is in the file, whole, in order
"""
import signal
import socket
import sys
import time
import zlib

PATIENCE = 0.3  # seconds for a connection or an answer; then another try
PAUSE = 0.005


def now_ms():
    return time.time_ns() // 1_000_000


def text_of(number):
    """What record NUMBER holds: 10 to 400 bytes that nothing else could have written."""
    seed = zlib.crc32(str(number).encode())
    return f"{seed:08x}" * (1 + seed % 50) + f"-{zlib.crc32(str(seed).encode()):08x}"


class Client:
    def __init__(self, history, address):
        self.history, self.address, self.stream, self.number = open(history, "a", buffering=1), address, None, 0
        try:
            self.number = max((int(line.split()[0]) for line in open(history)), default=0)
        except FileNotFoundError:
            pass

    def put(self):
        self.number += 1  # a record without an answer is never sent again: it may be there or not
        sent = now_ms()
        if self.stream is None:
            self.socket = socket.create_connection(self.address, timeout=PATIENCE)
            self.stream = self.socket.makefile("rb")
        self.socket.sendall(f"put {self.number} {text_of(self.number)}\n".encode())
        if self.stream.readline() != f"ok {self.number}\n".encode():
            raise OSError("no answer")
        self.history.write(f"{self.number} {sent} {now_ms()}\n")

    def run(self):
        while True:
            try:
                self.put()
            except OSError:
                if self.stream is not None:
                    self.socket.close()
                self.stream = None
            time.sleep(PAUSE)


def acknowledged(history):
    return [tuple(map(int, line.split())) for line in open(history) if line.endswith("\n")]


def gap(history, moment):
    """The pause that the death made: the first after that moment that is at least half as long as the longest."""
    answers = [moment] + [answered for _, _, answered in acknowledged(history) if answered > moment]
    pauses = [(after - before, after - moment) for before, after in zip(answers, answers[1:])]
    if not pauses:
        return 1
    print(*next(pause for pause in pauses if 2 * pause[0] >= max(pauses)[0]))
    return 0


def verify(history, file):
    wanted = [number for number, _, _ in acknowledged(history)]
    found, promised, last = set(), set(wanted), 0
    for line in open(file, errors="replace"):
        number, _, text = line.rstrip("\n").partition(" ")
        if not number.isdigit() or text != text_of(int(number)):
            continue  # torn by a death in the middle: it was not acknowledged, or it is missed below
        found.add(int(number))
        if int(number) not in promised:
            continue  # one that went unanswered may have been written late
        if int(number) < last:
            print(f"record {number} after {last}: the order is wrong")
            return 1
        last = int(number)
    missing = [number for number in wanted if number not in found]
    print(f"{len(wanted)} records were acknowledged, {len(found)} are there, {len(missing)} are missing")
    if missing:
        print("missing:", *missing[:20])
    return 1 if missing or not wanted else 0


def main():
    command, history, *rest = sys.argv[1:]
    if command == "write":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        Client(history, (rest[0], int(rest[1]))).run()
    if command == "count":
        print(len(acknowledged(history)))
        return 0
    return gap(history, int(rest[0])) if command == "gap" else verify(history, rest[0])


if __name__ == "__main__":
    sys.exit(main())
