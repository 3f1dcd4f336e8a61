#!/usr/bin/env python3
"""Holds a session with a secondary open and silent, as a primary that crashed without its peer
noticing: hold_session.py HOST PORT SOURCE RESOURCE RESUID. Ends with 0 when the secondary closes."""
import sys
import threading
import time

import hast_wire as wire


def main():
    host, port, source, resource, resuid = sys.argv[1:]
    peer = wire.PrimaryPeer(host, int(port), source, resource)
    peer.connect(resuid=int(resuid), virgin=False)
    print("holding", flush=True)
    started = time.monotonic()

    def keep_alive():
        while True:
            time.sleep(1)
            try:
                peer.send(wire.KEEPALIVE, 0)
            except OSError:
                return

    threading.Thread(target=keep_alive, daemon=True).start()
    peer.replies.settimeout(60)
    try:
        wire.receive(peer.replies)
    except wire.Closed:
        print(f"closed after {time.monotonic() - started:.1f} s")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
