#!/usr/bin/env python3
"""Sends each hand-made request that was once sent to an original secondary to ours, and demands the
original's answer, or the stricter one that docs/protocol.md gives where the original was unsafe.

  probe_secondary.py HOST PORT SOURCE STRANGER      (r0 must be secondary; STRANGER is no peer)
"""
import json
import pathlib
import socket
import sys

import hast_wire as wire
import recorded

CLOSED = "connection closed"
# Where ours differs on purpose: the original wrote stale memory, or lost its framing.
STRICTER = {
    "write-size-smaller-than-length": [CLOSED],
    "write-no-size": [CLOSED],
    "missing-offset": [CLOSED],
    # The refused payload is skipped, so the stream goes on: the second request is answered.
    "write-misaligned-offset-then-data": [{"seq": 30, "error": 22}],
    # Accepted up to 1 MiB, as FreeBSD 13 and newer do.
    "read-too-long": [{"seq": 8, "size": 131584}],
}


# A version that only ours speaks: the original refuses it.
NEWER = {"hs-main-header-version3": {"version": 2}}


def essence(fields):
    return {name: value for name, value in fields.items() if name not in ("token", "_ver")}


def answers_until_quiet(sock, count):
    got = []
    sock.settimeout(0.5)
    while len(got) < count + 1:
        try:
            got.append(essence(wire.receive(sock)[1]))
        except socket.timeout:
            break
        except wire.Closed:
            got.append(CLOSED)
            break
    return got


def probe_handshake(folder, where):
    sock = wire.dial(*where)
    sock.sendall((folder / "conn0.c2s.bin").read_bytes())
    try:
        return essence(wire.receive(sock)[1])
    except wire.Closed:
        return CLOSED
    finally:
        sock.close()


def probe_session(folder, where, expected):
    recorded_requests = (folder / "conn0.c2s.bin").read_bytes()
    hello = next(wire.messages(recorded_requests))[4]
    peer = wire.PrimaryPeer(*where)
    peer.connect(resuid=probe_session.resuid, virgin=probe_session.fresh)
    probe_session.fresh = False
    try:
        peer.requests.sendall(recorded_requests[len(hello):])
        return answers_until_quiet(peer.replies, len(expected))
    finally:
        peer.close()


probe_session.resuid, probe_session.fresh = 0x1122334455667788, True


def main():
    host, port, source, stranger = sys.argv[1:]
    wrong = 0
    folders = recorded.vectors("probe")
    for name, folder in sorted(folders.items()):
        index = json.loads((pathlib.Path(folder) / "index.json").read_text())
        where = (host, int(port), stranger if name == "hs-unknown-peer" else source)
        original = index["result"]
        if name.startswith("hs-"):
            expected = NEWER.get(name, essence(original) if isinstance(original, dict) else original)
            got = probe_handshake(folder, where)
        else:
            expected = [essence(one) if isinstance(one, dict) else one for one in original]
            expected = STRICTER.get(name, [one for one in expected if not str(one).startswith("timeout")])
            got = probe_session(folder, where, expected)
        if got != expected:
            wrong += 1
            print(f"{name} ({index['what']}): we answer {got}, expected {expected}")
    print(f"{len(folders)} probes, {wrong} answered wrongly")
    return 1 if wrong or not folders else 0


if __name__ == "__main__":
    sys.exit(main())
