"""What the tests of hastctl share: run it in a folder of its own, and be the hastd it talks to."""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

# `TEST.py HASTCTL GOLDEN_FOLDER [unittest arguments]`, as tests/hastctl/CMakeLists.txt calls them.
HASTCTL, GOLDEN = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()

CONFIG = """\
control: {folder}/ctl
resources:
  r0:
    checksum: crc32
    nodes:
      nodea: {{ local: {folder}/a.img, remote: "tcp4://127.77.15.2:18457", source: tcp4://127.77.15.1 }}
      nodeb: {{ local: {folder}/b.img, remote: "tcp4://127.77.15.1:18457", source: tcp4://127.77.15.2 }}
"""


class Daemon:
    """Listens on a control socket and answers each request with what `answer(request)` returns:
    an object (a line is made of it), bytes (sent as they are), or None (silence, then close)."""

    def __init__(self, path, answer):
        self.requests = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(4)
        self._path = path
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._done.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        os.unlink(self._path)

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._converse(client)

    def _converse(self, client):
        line = client.makefile("rb").readline()
        request = json.loads(line)
        self.requests.append(request)
        answer = self._answer(request)
        if answer is None:
            self._done.wait(60)
        elif isinstance(answer, bytes):
            client.sendall(answer)
        else:
            client.sendall(json.dumps(answer).encode() + b"\n")


def result(request, resources):
    return {"jsonrpc": "2.0", "id": request["id"], "result": {"resources": resources}}


def error(code, errc, detail="", errno=0):
    return {"code": code, "message": f"{errc}.",
            "data": {"errc": errc, "errno": errno, "detail": detail, "action": ""}}


def no_such(name):
    return {"name": name, "error": error(1, "no_such_resource", name)}


def status(name="r0", **fields):
    """A resource in role init, as hastd describes it."""
    return {"name": name, "role": "init", "provname": name, "localpath": "/dev/x",
            "remoteaddr": "none", "sourceaddr": None, "replication": "memsync", "checksum": "none",
            "compression": "hole", "workerpid": 0, "status": "absent", "reason": None,
            "split_brain": False, "detached": False, "inconsistent": False, "outdated": False,
            "frontend": None, "datasize_bytes": 0, "dirty_bytes": 0, "extentsize_bytes": 0, "keepdirty": 0,
            "statistics": dict.fromkeys(("reads", "writes", "deletes", "flushes",
                                         "activemap_updates", "read_errors", "write_errors",
                                         "delete_errors", "flush_errors", "reads_repaired"), 0),
            "queues": dict.fromkeys(("local", "send", "recv", "done", "idle"), 0),
            "resync": None, **fields}


class HastctlTest(unittest.TestCase):
    """Each test has a folder with hast.yaml for nodes nodea and nodeb, removed afterwards."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hastctl."))
        self.addCleanup(shutil.rmtree, self.folder)
        self.config = self.folder / "hast.yaml"
        self.config.write_text(CONFIG.format(folder=self.folder))

    def run_hastctl(self, *args, **options):
        return subprocess.run([HASTCTL, *map(str, args)], capture_output=True, text=True,
                              timeout=120, **options)

    def hastctl(self, command, *args, node="nodea", **options):
        return self.run_hastctl(command, "-c", self.config, "--node", node, *args, **options)

    def daemon(self, answer):
        return Daemon(self.folder / "ctl", answer)

    def make_image(self, name, size):
        path = self.folder / name
        with open(path, "wb") as image:
            image.truncate(size)
        return path

    def assert_ran(self, process, status=0, stdout="", stderr=""):
        self.assertEqual((process.stdout, process.stderr, process.returncode),
                         (stdout, stderr, status))

    def assert_failed(self, process, status, *words):
        """Exit status, nothing on stdout, and every one of `words` on stderr."""
        self.assertEqual(process.returncode, status, process.stderr)
        self.assertEqual(process.stdout, "")
        for word in words:
            self.assertIn(word, process.stderr)


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
