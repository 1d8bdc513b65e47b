"""What is counted: the series of the micro-benchmarks, and what a whole server does for one connection."""

import contextlib
import pathlib
import re
import subprocess

from harness.servers import BenchError, tail
from micro import callgrind
from micro.callgrind import CountedFreshet, PlainFreshet
from micro.lockstep import Http, Wire

PROGRAMS = ("http", "rest", "cache", "document", "near_cache", "store")
# The line of series_print (series/series.h).
SERIES = re.compile(r"^(.*\S)\s+best .* of (\d+)$", re.MULTILINE)
# Waits for other threads, so that its instructions are a matter of time.
NOT_COUNTED = ("store: flush",)
PROGRAM_WAIT_S = 120

BATCH = 16
# In flight -> operations.
OPERATIONS = {"GET": {1: 400, BATCH: 1600}, "PUT": {1: 512, BATCH: 2048}}
RECORDS = 1000
SETTLING = 64
# Writes go into a shard's buffer and, later and many together, into RocksDB. A list needs all that there is in RocksDB, so
# after so many writes a page is asked for: then each write counts with all that it costs, whatever came before. That is a
# little more than at full speed, where thousands of rows go over at a time.
PAGE_EVERY_IN_SHARD = 128
SHARDS = 4


def program_counts(bench, name):
    """{"NAME: series": instructions of one operation} of one micro-benchmark."""
    out = callgrind.out_file(f"micro-{name}")
    words = callgrind.command(out, "--toggle-collect=series_work", "--dump-before=series_print")
    log = bench.folder / f"micro-{name}.log"
    with open(log, "wb") as errors:
        ran = subprocess.run([*words, bench.program(f"bench/micro_{name}"), "--small"], stdout=subprocess.PIPE,
                             stderr=errors, text=True, timeout=PROGRAM_WAIT_S, check=False)
    series = SERIES.findall(ran.stdout)
    if ran.returncode != 0 or not series:
        raise BenchError(f"micro_{name} under callgrind went wrong (exit {ran.returncode}):\n{ran.stdout}{tail(log)}")
    counts = {f"{name}: {text}": callgrind.total(f"{out}.{number}") / int(operations)
              for number, (text, operations) in enumerate(series, 1)}
    return {text: count for text, count in counts.items() if text not in NOT_COUNTED}


class Served:
    """A server and what it has been counted at. Records are written and read one after the other, round and round."""

    def __init__(self, server, prefix, shards=SHARDS):
        self.server = server
        self.page_every = PAGE_EVERY_IN_SHARD * shards
        self.pages = Http(server.target)
        self.prefix = prefix
        self.serial = 0
        self.counts = {}

    def connect(self, protocol):
        return Http(self.server.target) if protocol == "http" else Wire(self.server.wire)

    def run(self, connection, kind, in_flight, operations, after):
        # Each protocol has records of its own: the cache holds a body in the form in which it was written last.
        first = 0 if isinstance(connection, Http) else RECORDS
        for batch in range(1, operations // in_flight + 1):
            requests = []
            for _ in range(in_flight):
                self.serial += 1
                number = first + self.serial % RECORDS
                requests.append(connection.get(number) if kind == "GET" else connection.put(number, self.serial))
            connection.exchange(requests)
            after(in_flight)
            if kind == "PUT" and batch * in_flight % self.page_every == 0:
                self.pages.exchange([self.pages.page()])

    def fill(self, protocol):
        with self.connect(protocol) as connection:
            self.run(connection, "PUT", BATCH, -(-RECORDS // self.page_every) * self.page_every, lambda _: None)

    def count(self, kind, protocol, in_flight, subscribed=False):
        """Instructions of all threads for one operation."""
        label = f"{self.prefix}: {kind}, {protocol}, {in_flight} in flight{', told to a subscriber' if subscribed else ''}"
        operations = OPERATIONS[kind][in_flight]
        settling = SETTLING
        if kind == "PUT":
            operations = max(operations, self.page_every)
            settling = self.page_every
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(self.connect(protocol))
            subscriber = stack.enter_context(Wire(self.server.wire)) if subscribed else None
            if subscriber is not None:
                subscriber.subscribe()
            after = subscriber.changes if subscriber else lambda _: None
            # A new connection, and what came before, are not counted.
            self.run(connection, kind, in_flight, settling, after)
            spent = self.server.count(lambda: self.run(connection, kind, in_flight, operations, after), label)
        self.counts[label] = spent / operations


def count_none(served):
    """Durability none: writes are in the journal's file, and applied."""
    for protocol in ("http", "wire"):
        served.fill(protocol)
        for kind in ("PUT", "GET"):
            for in_flight in OPERATIONS[kind]:
                served.count(kind, protocol, in_flight)
    served.count("PUT", "wire", BATCH, subscribed=True)


def count_sync(served):
    """Durability sync: writes are on the disk."""
    for protocol in ("http", "wire"):
        served.fill(protocol)
        for in_flight in OPERATIONS["PUT"]:
            served.count("PUT", protocol, in_flight)


def count_uncached(served):
    """Without a cache: records come from RocksDB's files, whose blocks it has in memory."""
    for protocol in ("http", "wire"):
        with served.connect(protocol) as connection:
            served.run(connection, "GET", BATCH, RECORDS, lambda _: None)
        for in_flight in OPERATIONS["GET"]:
            served.count("GET", protocol, in_flight)


def written(bench):
    """A data directory with all records, which a server that has ended put into files."""
    with PlainFreshet(bench, "written", durability="none") as server:
        for protocol in ("http", "wire"):
            Served(server, "").fill(protocol)
    return server.data


SERVERS = {
    "none": (count_none, {"durability": "none"}),
    "sync": (count_sync, {"durability": "sync"}),
    "uncached": (count_uncached, {"durability": "none", "cache": 0}),
}
PARTS = (*SERVERS, *PROGRAMS)


def server_counts(bench, name):
    function, how = SERVERS[name]
    if name == "uncached":
        how = how | {"data": written(bench)}
    with CountedFreshet(bench, f"server-{name}", **how) as server:
        served = Served(server, f"server, {name}")
        function(served)
    return served.counts


def part_counts(bench, name):
    return server_counts(bench, name) if name in SERVERS else program_counts(bench, name)


def shard_counts(bench, shards):
    """(protocol, kind, in flight) -> instructions of one operation of a server with so many shards on one thread, and what
    the server says of itself."""
    with CountedFreshet(bench, f"shards-{shards}", durability="none", shards=shards) as server:
        counts = {}
        served = Served(server, f"{shards} shards", shards)
        for protocol in ("http", "wire"):
            served.fill(protocol)
            for kind in ("PUT", "GET"):
                for in_flight in OPERATIONS[kind]:
                    served.count(kind, protocol, in_flight)
                    counts[protocol, kind, in_flight] = list(served.counts.values())[-1]
        return counts, server.about()


def compiler(build):
    """What the build folder was compiled with, as the compiler names itself."""
    cache = pathlib.Path(build) / "CMakeCache.txt"
    found = re.search(r"^CMAKE_C_COMPILER:\w+=(.*)$", cache.read_text("utf-8"), re.MULTILINE) if cache.exists() else None
    if found is None:
        raise BenchError(f"{build} is no build folder of CMake's; ./dev build makes build/release")
    said = subprocess.run([found.group(1), "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return said.partition("\n")[0].strip()
