"""The servers that are measured, each on one core: ours and the floor. Those beside them are in peers/peers.py."""

import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

READY_WAIT_S = 30
STOP_WAIT_S = 30


class BenchError(Exception):
    """Something that makes the measurement impossible; its text says what."""


def first_line(error):
    """What went wrong, without the log behind it, which is gone after the run."""
    return str(error).partition("\n")[0].partition("; see ")[0].rstrip(":")


def free_port():
    """Free now: for a foreign server that cannot take port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tail(path, lines=8):
    try:
        return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


class Process:
    """A server that is ended by its id when the block ends, however it ends.

    `core` is what taskset takes: 0, or "0,1". `config` is the file that it was started with, for the record of a run, and
    `does_not` says what this server does not do that ours does.
    """

    protocol = "http"
    version_flag = "--version"
    does_not: str | None = None

    def __init__(self, command, log, core, cwd=None, config=None):
        self.command = ["taskset", "-c", str(core), *map(str, command)]
        self.log = log
        self.cwd = cwd
        self.config = config
        self.target = None
        self.wire = None

    def __enter__(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, cwd=self.cwd, text=True)
        self.pid = self.process.pid  # taskset becomes the program: the id stays
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_ready(self):
        # A timer ends a server that never gets ready, and with it the wait for its line.
        signal.signal(signal.SIGALRM, lambda *_: self.process.kill())
        signal.alarm(READY_WAIT_S)
        line = self.process.stdout.readline()
        signal.alarm(0)
        self.take_ready(line)

    def take_ready(self, line):
        """The line in which a server of ours says where it listens; without it, it is not ready."""
        try:
            ready = json.loads(line)
            self.target, self.wire = ready["http"], ready.get("wire")
        except (ValueError, KeyError):
            raise BenchError(f"{self.command[3]} did not get ready; see {self.log}:\n{tail(self.log)}") from None

    def wait_listening(self, name):
        """For a foreign server, which tells nobody that it is ready."""
        host, port = self.target.split(":")
        end = time.monotonic() + READY_WAIT_S
        while time.monotonic() < end and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            time.sleep(0.05)
        raise BenchError(f"{name} did not get ready; see {self.log}:\n{tail(self.log)}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                print(f"bench: {self.command[3]} did not end within {STOP_WAIT_S} s of SIGTERM; killed", file=sys.stderr)
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()

    def version(self):
        """The first line that the program prints when asked."""
        asked = subprocess.run([self.command[3], self.version_flag], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, check=False)
        return asked.stdout.partition("\n")[0].strip()

    def about(self):
        """What the record of a run says of a server."""
        config = pathlib.Path(self.config).read_text(encoding="utf-8") if self.config else ""
        return {"version": self.version(), "command": self.command, "config": config, "does_not": self.does_not}

    def answered(self, _protocol):
        """How many requests this server has answered by its own count, but for what opens a connection and for the asking
        itself; None where it does not count."""
        return None

    def rss(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) * 1024


class Spoken:
    """A server that runs, spoken to in another protocol than HTTP."""

    def __init__(self, server, protocol):
        self.server = server
        self.protocol = protocol
        self.target = server.wire if protocol == "wire" else server.target

    def __getattr__(self, name):
        return getattr(self.server, name)


class Freshet(Process):
    """A server on a new data directory, or on `data`."""

    def __init__(self, program, folder, core, *, durability="sync", cache=None, shards=4, threads=1, name="data", data=None,
                 more=()):
        self.data = data or folder / f"{name}-{time.monotonic_ns()}"
        config = folder / f"{self.data.name}.yaml"
        config.write_text(f"shards: {shards}\n", encoding="ascii")
        command = [program, "serve", "--config", config, "--data", self.data, "--http", "127.0.0.1:0", "--wire",
                   "127.0.0.1:0", "--threads", threads, "--durability", durability, "--log-level", "warning", *more]
        if cache is not None:
            command += ["--cache-bytes", cache]
        super().__init__(command, folder / "freshet.log", core, config=config)

    def samples(self, name):
        """(labels, value) of a metric's series."""
        with urllib.request.urlopen(f"http://{self.target}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        if f"# TYPE {name} " not in text:
            raise BenchError(f"/metrics has no {name}")
        return [(labels, float(value))
                for labels, value in re.findall(rf"^{name}((?:\{{.*\}})?) ([0-9.e+]+)$", text, re.MULTILINE)]

    def metric(self, name):
        return sum(value for _, value in self.samples(name))

    def answered(self, protocol):
        if protocol == "http":
            name, ours = "freshet_http_requests_total", 'route="/metrics"'
        else:
            name, ours = "freshet_wire_requests_total", 'opcode="HELLO"'
        return int(sum(value for labels, value in self.samples(name) if ours not in labels))


class Floor(Process):
    """What the kernel alone costs: it answers each request with the bytes of a file."""

    does_not = "anything but send fixed bytes"

    def __init__(self, program, folder, core, answer, *, bodies=False):
        command = [program, "--answer-file", answer] + (["--body"] if bodies else [])
        super().__init__(command, folder / "floor.log", core)

    def version(self):
        return ""
