#!/usr/bin/env python3
"""The service of the failover test: keeps records, and acknowledges one when it is on stable storage.

  record_server.py FILE PORT

A client sends lines "put NUMBER TEXT" and gets "ok NUMBER" after the record was appended and fsynced.
Any trouble with the file ends the connection without an answer: silence promises nothing.
"""
import os
import socketserver
import sys
import threading


class Records:
    def __init__(self, path):
        self.lock = threading.Lock()
        self.fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self.fd).st_size
        if size and os.pread(self.fd, 1, size - 1) != b"\n":
            os.write(self.fd, b"\n")  # a record torn by a death must not spoil the next
        os.fsync(self.fd)
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def put(self, line):
        with self.lock:
            if os.write(self.fd, line) != len(line):
                raise OSError("short write")
            os.fsync(self.fd)


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            for line in self.rfile:
                word, number, _ = line.split(b" ", 2)
                if word != b"put" or not line.endswith(b"\n"):
                    return
                self.server.records.put(line[4:])
                self.wfile.write(b"ok " + number + b"\n")
        except (OSError, ValueError):
            return


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main():
    with Server(("0.0.0.0", int(sys.argv[2])), Connection) as server:
        server.records = Records(sys.argv[1])
        server.serve_forever()


if __name__ == "__main__":
    main()
