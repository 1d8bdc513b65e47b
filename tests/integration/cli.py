"""The program as a user runs it: its words, its exit code, its two outputs, with and without a terminal."""

import json
import os
import pathlib
import pty
import select
import signal
import subprocess
import tempfile
import time

import support

TIMEOUT_S = 60


class Run:
    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self):
        return f"Run({self.status}, {self.out[:400]!r}, {self.err[:400]!r})"


def environment(server=None, **more):
    result = {name: value for name, value in os.environ.items() if not name.startswith("FRESHET_")}
    if server is not None:
        result["FRESHET_URL"] = f"freshet://{server.ready['wire']}"
        result["FRESHET_HTTP_URL"] = f"http://{server.ready['http']}"
    return {**result, "LC_ALL": "C.UTF-8", "TERM": "xterm", **more}


def run(*words, server=None, stdin="", variables=None):
    ended = subprocess.run(
        [support.BINARY, *words],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=environment(server, **(variables or {})),
        timeout=TIMEOUT_S,
        check=False,
    )
    return Run(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def run_on_terminal(*words, server, stdin=None, stdout_too=True):
    """The same with stderr, and stdout unless told not to, on a pseudo-terminal: (status, what the terminal got)."""
    ours, theirs = pty.openpty()
    with open(stdin or os.devnull, "rb") as source:
        process = subprocess.Popen(
            [support.BINARY, *words],
            stdin=source,
            stdout=theirs if stdout_too else subprocess.DEVNULL,
            stderr=theirs,
            env=environment(server),
        )
    os.close(theirs)
    received = b""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if piece == b"":
            break
        received += piece
    os.close(ours)
    return process.wait(TIMEOUT_S), received.decode()


class Watch:
    """`freshet watch` in the background: its lines as they come."""

    def __init__(self, server, *words):
        self.folder = tempfile.TemporaryDirectory()
        self.out = pathlib.Path(self.folder.name, "out")
        self.err = pathlib.Path(self.folder.name, "err")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                [support.BINARY, "watch", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment(server),
            )

    @property
    def lines(self):
        return self.out.read_text("utf-8").splitlines()

    @property
    def changes(self):
        return [json.loads(line) for line in self.lines]

    def wait(self, count):
        """The first lines, when there are so many."""

        def attempt():
            if self.process.poll() is not None and len(self.lines) < count:
                raise AssertionError(f"watch ended with {self.process.returncode}: {self.err.read_text('utf-8')}")
            return len(self.lines) >= count and self.lines

        return support.eventually(attempt, TIMEOUT_S)

    def stop(self, signal_number=signal.SIGINT):
        self.process.send_signal(signal_number)
        return self.end()

    def end(self):
        status = self.process.wait(TIMEOUT_S)
        return Run(status, self.out.read_text("utf-8"), self.err.read_text("utf-8"))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


class CliTest(support.ServerTest):
    arguments = ("--threads", "1", "--durability", "none")

    def cli(self, *words, stdin="", status=0, variables=None):
        result = run(*words, server=self.server, stdin=stdin, variables=variables)
        self.assertEqual(result.status, status, result)
        return result

    def watch(self, *words):
        watch = Watch(self.server, *words)
        self.addCleanup(watch.close)
        return watch
