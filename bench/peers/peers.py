"""The servers that stand beside ours: how each is configured, started and stopped, and what it does not do.

A peer's configuration is a file of this folder. @NAME@ in it is filled in at each start: ports, folders, the answer. The
file as it was filled in is in the record of a run. README.md says why each is configured as it is.
"""

import getpass
import os
import pathlib
import re
import resource
import shlex
import shutil
import socket
import subprocess
import time

from harness.results import FOLDER
from harness.servers import BenchError, Floor, Process, free_port, tail

HERE = pathlib.Path(__file__).resolve().parent
# Where ./dev puts what server.js needs beside Node.
NODE_MODULES = FOLDER / "node" / "node_modules"
# What an answer may be longer or shorter than asked for: headers with a number in them, as Age and X-Varnish.
ANSWER_BYTES_OFF_MAX = 8


def filled(template, values):
    """The text of a configuration file, with the values in it."""
    text = (HERE / template).read_text(encoding="utf-8")
    return re.sub(r"@([A-Z_]+)@", lambda found: str(values[found[1].lower()]), text)


def options_in(text):
    """The words of a file of command line options; a line that begins with # is a comment."""
    return [word for line in text.splitlines() if not line.startswith("#") for word in shlex.split(line)]


def program_of(name, package):
    """Debian keeps some servers where the path of a user does not look."""
    found = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin")
    if found is None:
        raise BenchError(f"{name} is not installed: apt-get install {package}")
    return found


class Peer(Process):
    """A foreign server on a free port, with a folder of its own for all that it writes."""

    package = ""
    program = ""
    # The first is what the program is told to read, or whose lines are its options.
    templates: tuple[str, ...] = ()

    def __init__(self, folder, core, **values):
        program = program_of(self.program, self.package)
        self.port = free_port()
        self.folder = pathlib.Path(folder) / f"{self.program}-{time.monotonic_ns()}"
        self.folder.mkdir()
        values = {"port": self.port, "folder": self.folder, "user": getpass.getuser(), **values}
        for template in self.templates:
            (self.folder / template).write_text(filled(template, values), encoding="utf-8")
        config = self.folder / self.templates[0]
        super().__init__([program, *self.arguments(config)], self.folder / "log", core, config=config)

    def arguments(self, config):
        return [config]

    def wait_ready(self):
        self.target = f"127.0.0.1:{self.port}"
        self.wait_listening(self.program)

    def about(self):
        config = "\n".join((self.folder / template).read_text(encoding="utf-8") for template in self.templates)
        return {**super().about(), "config": config}


# ---- over HTTP ----


class HttpPeer(Peer):
    """One whose answers are made as long as ours: a body of ours, and spaces at its end."""

    # Of its own head, for a body whose length has three digits.
    head_bytes = 0
    path = "/products/0000000000"

    def __init__(self, folder, core, answer, **values):
        self.answer_bytes = answer.stat().st_size
        super().__init__(folder, core, body=self.body(answer), path=self.path, **values)

    @classmethod
    def body(cls, answer):
        """Of a captured answer, as long as it must be behind the peer's own head."""
        text = answer.read_bytes().partition(b"\r\n\r\n")[2].decode("ascii")
        return text.ljust(answer.stat().st_size - cls.head_bytes)

    def wait_ready(self):
        super().wait_ready()
        size = self.asked()
        if abs(size - self.answer_bytes) > ANSWER_BYTES_OFF_MAX:
            raise BenchError(f"{self.program} answers with {size} bytes, and {self.answer_bytes} were asked for")

    def asked(self):
        """The size of its second answer, head and body: the first of a cache may differ, being the origin's."""
        request = f"GET {self.path} HTTP/1.1\r\nHost: {self.target}\r\n\r\n".encode("ascii")
        size = 0
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            for _ in range(2):
                connection.sendall(request)
                data = b""
                while (size := whole_answer(data)) == 0:
                    more = connection.recv(65536)
                    if not more:
                        raise BenchError(f"{self.program} closed the connection; see {self.log}:\n{tail(self.log)}")
                    data += more
                if not data.startswith(b"HTTP/1.1 200 "):
                    raise BenchError(f"{self.program} answers {data[:40]!r}; see {self.log}:\n{tail(self.log)}")
        return size


def whole_answer(data):
    """The size of the answer that these bytes begin with, 0 while some of it is missing."""
    head, end, _ = data.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
    if not end or length is None:
        return 0
    size = len(head) + len(end) + int(length[1])
    return size if len(data) >= size else 0


class NginxFixed(HttpPeer):
    package, program, templates = "nginx-light", "nginx", ("nginx-fixed.conf",)
    version_flag = "-v"
    head_bytes = 148
    does_not = "look anything up: it answers all requests with one text"

    def arguments(self, config):
        return ["-p", self.folder, "-c", config]


class CachePeer(HttpPeer):
    """A cache before a server, which is a floor on the load's core: it is asked once for each key, before the runs."""

    does_not = "know when a record changes, or store any: it repeats an origin's answers until their time is over"

    def __init__(self, folder, core, answer, floor_program, floor_core):
        body = self.body(answer).encode("ascii")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        origin_answer = pathlib.Path(folder) / f"origin-{self.program}"
        origin_answer.write_bytes(head.encode("ascii") + body)
        self.origin = Floor(floor_program, pathlib.Path(folder), floor_core, origin_answer)
        self.origin.__enter__()
        try:
            host, port = self.origin.target.split(":")
            super().__init__(folder, core, answer, origin_host=host, origin_port=port)
        except BaseException:
            self.origin.stop()
            raise

    def __enter__(self):
        try:
            return super().__enter__()
        except BaseException:
            self.origin.stop()
            raise

    def __exit__(self, *details):
        try:
            super().__exit__(*details)
        finally:
            self.origin.stop()


class NginxCache(CachePeer):
    package, program, templates = "nginx-light", "nginx", ("nginx-cache.conf",)
    version_flag = "-v"
    head_bytes = 148

    def arguments(self, config):
        return ["-p", self.folder, "-c", config]


class Varnish(CachePeer):
    """What is started is the manager, which waits; its child answers, and is what is measured."""

    package, program, templates = "varnish", "varnishd", ("varnish.options", "varnish.vcl")
    version_flag = "-V"
    head_bytes = 213

    def arguments(self, config):
        return options_in(config.read_text(encoding="utf-8"))

    def wait_ready(self):
        super().wait_ready()
        children = children_of(self.process.pid)
        if len(children) != 1:
            raise BenchError(f"varnishd has {len(children)} children, not one; see {self.log}:\n{tail(self.log)}")
        self.pid = children[0]


def children_of(parent):
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2]
        except OSError:
            continue  # it has ended meanwhile
        if int(after_name.split()[1]) == parent:
            found.append(int(stat.parent.name))
    return found


class H2o(HttpPeer):
    package, program, templates = "h2o", "h2o", ("h2o.conf",)
    head_bytes = 220
    does_not = "look anything up but one open file, whose path is the only one that it is asked for"

    def __init__(self, folder, core, answer):
        # As root it would become nobody, who may not look into the folder; who is not root may not name a user.
        super().__init__(folder, core, answer, user="user: root" if os.geteuid() == 0 else "")
        (self.folder / "record.json").write_text(self.body(answer), encoding="ascii")

    def arguments(self, config):
        return ["-c", config]


class Node(Process):
    """What people build by hand: server.js. Durable: each write is synced before its answer."""

    does_not = "cache, validate beyond JSON's grammar, know versions, or keep a stream of changes"

    def __init__(self, folder, core, *, durable=True):
        program = program_of("node", "nodejs")
        data = pathlib.Path(folder) / f"node-{time.monotonic_ns()}"
        data.mkdir()
        command = [program, HERE / "node" / "server.js", "--data", data, "--modules", NODE_MODULES,
                   "--synchronous", "FULL" if durable else "OFF"]
        super().__init__(command, data / "log", core, config=HERE / "node" / "server.js")


# ---- over protocols of their own ----


class Redis(Peer):
    """Without persistence, as it commonly stands beside a database. Durable: each write is synced before its answer."""

    package, program = "redis-server", "redis-server"
    protocol = "redis"

    def __init__(self, folder, core, *, durable=False):
        self.templates = ("redis-always.conf",) if durable else ("redis.conf",)
        self.does_not = ("know documents, versions or lists, or keep a stream of changes" if durable else
                         "store anything: its records are in memory alone")
        super().__init__(folder, core)


class Memcached(Peer):
    package, program, templates = "memcached", "memcached", ("memcached.options",)
    protocol = "memcached"
    does_not = "store anything: its records are in memory alone, until there is no room"

    def arguments(self, config):
        return options_in(config.read_text(encoding="utf-8"))


class Nats(Peer):
    """With JetStream."""

    package, program, templates = "nats-server", "nats-server", ("nats.conf",)
    protocol = "nats"
    does_not = "sync: a stream is written to its file, and to the disk every two minutes; keep records, or check documents"

    def arguments(self, config):
        return ["--config", config]


# ---- RocksDB, which is no server ----

DB_BENCH_PERCENTILES = {"P50": "p50", "P99": "p99", "P99.9": "p99.9", "P99.99": "p99.99"}


class DbBench:
    """RocksDB's own benchmark of durable puts, as one run after another."""

    package, program = "rocksdb-tools", "db_bench"
    does_not = "answer anyone: it has no network, no documents and no stream of changes"

    def __init__(self, folder, core, *, seconds, key_bytes, value_bytes):
        self.folder = pathlib.Path(folder) / f"db_bench-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.text = filled("db_bench.options", {"folder": self.folder, "seconds": max(1, round(seconds)),
                                                "key_bytes": key_bytes, "value_bytes": value_bytes})
        self.command = ["taskset", "-c", str(core), program_of(self.program, self.package), *options_in(self.text)]

    def about(self):
        asked = subprocess.run([self.command[3], "--version"], stdout=subprocess.PIPE, text=True, check=False)
        return {"version": asked.stdout.strip(), "command": self.command, "config": self.text, "does_not": self.does_not}

    def run(self):
        """One run on an empty database; a report with the names of bench_load's."""
        shutil.rmtree(self.folder / "db", ignore_errors=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with open(self.log, "wb") as log:
            done = subprocess.run(self.command, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        total = re.search(r"(\d+) ops/sec ([\d.]+) seconds (\d+) operations", done.stdout)
        if done.returncode != 0 or total is None:
            raise BenchError(f"db_bench ended with {done.returncode}; see {self.log}:\n{tail(self.log)}")
        count = int(total[3])
        latency = {ours: float(found[1]) for theirs, ours in DB_BENCH_PERCENTILES.items()
                   if (found := re.search(rf" {re.escape(theirs)}: ([\d.]+)", done.stdout))}
        return {"operations": count, "elapsed_s": float(total[2]), "rate_per_s": float(total[1]), "errors": 0,
                "latency_us": latency, "server": {"cpu_s": cpu_s, "cpu_us_per_op": cpu_s * 1e6 / count}}
