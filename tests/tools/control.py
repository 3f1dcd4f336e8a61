#!/usr/bin/env python3
"""Asks a hastd over its control socket, for tests that wait for states and never for time.

  control.py wait SOCKET RESOURCE SECONDS CONDITION...   until all hold: status=complete dirty_bytes=0
                                                         dirty_bytes>0 resync=null reason~timed
  control.py get SOCKET RESOURCE FIELD...                values, one a line ("statistics.writes")
"""
import json
import re
import socket
import sys
import time

CONDITION = re.compile(r"([a-z_.]+)(=|!=|>|<|~)(.*)")


class Control:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(path)
        self.lines = self.sock.makefile("r")

    def call(self, method, **params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.sock.sendall((json.dumps(request) + "\n").encode())
        line = self.lines.readline()
        if not line:
            raise ConnectionError("the control connection was closed")
        return json.loads(line)

    def status(self, resource):
        return self.call("status", resources=[resource])["result"]["resources"][0]


def value_of(status, path):
    value = status
    for part in path.split("."):
        value = value[part] if isinstance(value, dict) else None
    return value


def words(value):
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def holds(status, condition):
    path, operator, wanted = CONDITION.fullmatch(condition).groups()
    value = value_of(status, path)
    if operator in "<>":
        return value is not None and (value > int(wanted) if operator == ">" else value < int(wanted))
    if operator == "~":
        return wanted in words(value)
    return (words(value) == wanted) == (operator == "=")


def wait(path, resource, seconds, conditions):
    deadline = time.monotonic() + float(seconds)
    control, last = None, "hastd does not answer"
    while True:
        try:
            control = control or Control(path)
            last = control.status(resource)
            if all(holds(last, condition) for condition in conditions):
                return 0
        except (OSError, ValueError) as error:
            control, last = None, f"hastd does not answer: {error}"
        if time.monotonic() > deadline:
            print(f"after {seconds} s not yet: {' '.join(conditions)}; it is: {json.dumps(last)}",
                  file=sys.stderr)
            return 1
        time.sleep(0.02)  # between two looks; what is waited for is the state


def main():
    command, path, resource, *rest = sys.argv[1:]
    if command == "wait":
        return wait(path, resource, rest[0], rest[1:])
    status = Control(path).status(resource)
    for field in rest:
        print(words(value_of(status, field)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
