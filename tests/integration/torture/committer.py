#!/usr/bin/python3
"""Commits to a file system or a database without end, and remembers what was committed.

  committer.py write files|sqlite|postgresql PLACE LIST     until SIGTERM, or until the place is gone
  committer.py verify files|sqlite|postgresql PLACE LIST    everything on the list is there, and right

PLACE is a folder, or for postgresql the folder of the server's socket. A number is on LIST only after its
commit returned: fsync of the file and its folder, or the database's COMMIT. What is committed under a
number follows from the number, so that verify knows it. Exit status of write: 0 asked to stop, 3 the
place is gone; of verify: 0, or 2 when something is missing.
"""
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import zlib


def content(number):
    """50 bytes to 70 KB that nothing else would have put there."""
    seed = zlib.crc32(b"%d" % number)
    length = 50 + seed % (700 if seed % 4 else 70000)
    piece = hashlib.sha512(b"%d" % number).digest()
    return (piece * (length // len(piece) + 1))[:length]


class Files:
    """A file a number, renamed into place; an old one is deleted or overwritten now and then."""

    def __init__(self, place, create):
        self.place = place
        if create:
            for folder in range(8):
                os.makedirs(self.folder(folder), exist_ok=True)
            self.sync(place)

    def folder(self, number):
        return os.path.join(self.place, f"d{number % 8}")

    @staticmethod
    def sync(path):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def commit(self, number):
        folder = self.folder(number)
        temporary = os.path.join(folder, "new")
        with open(temporary, "wb") as file:
            file.write(content(number))
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, os.path.join(folder, str(number)))
        self.sync(folder)
        # Churn beside it, of no promise: blocks are freed, trimmed and used again.
        with open(os.path.join(self.place, "churn"), "wb") as file:
            file.write(os.urandom(4096 * (1 + number % 30)))

    def committed(self):
        for folder in range(8):
            for name in os.listdir(self.folder(folder)):
                if name.isdigit():
                    with open(os.path.join(self.folder(folder), name), "rb") as file:
                        yield int(name), file.read()


class Sqlite:
    """Two databases, one with a rollback journal, one with a write-ahead log."""

    def __init__(self, place, create):
        self.bases = []
        for journal in ("delete", "wal"):
            base = sqlite3.connect(os.path.join(place, journal + ".db"), isolation_level=None)
            if create:
                base.execute(f"pragma journal_mode={journal}")
                base.execute("create table if not exists t (number integer primary key, content blob)")
            base.execute("pragma synchronous=extra")  # full does not sync the deletion of the journal
            base.execute("pragma wal_autocheckpoint=50")
            self.bases.append(base)

    def commit(self, number):
        base = self.bases[number % 2]
        base.execute("begin")
        base.execute("insert into t values (?, ?)", (number, content(number)))
        if number % 5 == 0:  # the row of an older number moves within the file
            base.execute("update t set content = content where number % 11 = ?", (number % 11,))
        base.execute("commit")

    def committed(self):
        for base in self.bases:
            verdict = base.execute("pragma integrity_check").fetchall()
            if verdict != [("ok",)]:
                raise OSError(f"SQLite's integrity check: {verdict[:5]}")
            yield from base.execute("select number, content from t")


class PostgreSQL:
    """One psql that is fed statements and asked for the word of each commit."""

    def __init__(self, place, create):
        self.psql = subprocess.Popen(
            ["psql", "-h", place, "-U", "postgres", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "postgres"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
        if create:
            self.ask("create table if not exists t (number bigint primary key, content bytea);")

    def ask(self, statement):
        """The lines of its answer."""
        self.psql.stdin.write(statement + "\n\\echo done\n")
        self.psql.stdin.flush()
        lines = []
        while True:
            line = self.psql.stdout.readline()
            if not line:
                raise OSError("psql ended")
            if line == "done\n":
                return lines
            lines.append(line.rstrip("\n"))

    def commit(self, number):
        self.ask(f"begin; insert into t values ({number}, '\\x{content(number).hex()}'); commit;")
        if number % 20 == 0:
            self.ask(f"update t set content = content where number % 50 = {number % 50};")

    def committed(self):
        for line in self.ask("select number, encode(content, 'hex') from t;"):
            number, text = line.split("|")
            yield int(number), bytes.fromhex(text)


KINDS = {"files": Files, "sqlite": Sqlite, "postgresql": PostgreSQL}


def numbers(path):
    try:
        with open(path) as file:
            return [int(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []


def write(kind, place, path):
    wanted = []
    signal.signal(signal.SIGTERM, lambda *_: wanted.append("stop"))
    number = 1000 * (1 + max(numbers(path), default=0) // 1000)  # never one that may be there in doubt
    with open(path, "a", buffering=1) as committed:
        try:
            store = KINDS[kind](place, create=True)
            while not wanted:
                number += 1
                store.commit(number)
                committed.write(f"{number}\n")
        except (OSError, sqlite3.Error) as error:
            print(f"the place is gone: {error}")
            return 3
    return 0


def verify(kind, place, path):
    promised = set(numbers(path))
    there = dict(KINDS[kind](place, create=False).committed())
    missing = sorted(number for number in promised if number not in there)
    wrong = sorted(number for number, found in there.items() if bytes(found) != content(number))
    print(f"{len(promised)} were committed, {len(there)} are there, {len(missing)} are missing, {len(wrong)} are wrong")
    if missing or wrong:
        print("missing:", *missing[:10], "wrong:", *wrong[:10])
    return 2 if missing or wrong or not promised else 0


if __name__ == "__main__":
    command, kind, place, path = sys.argv[1:]
    sys.exit({"write": write, "verify": verify}[command](kind, place, path))
