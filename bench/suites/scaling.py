"""The cost of one operation as one thing grows: connections, records, the size of a value, threads, subscribers, shards.

Each dimension is a table and a curve. Where the kernel's share grows too, the floor stands beside it: a step that the floor
takes as well is none of ours. A step is marked: a point that costs half as much again as the one before, measured by the
floor where there is one; of values, which cost more the longer they are, half as much again for each byte.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import shutil
import statistics
import time
from collections.abc import Callable

from harness.results import PREPARATION
from harness.tables import MIB, cpu_us, middle

RUNS_MAX = 3  # of each point: there are many
SECONDS = 1.5
WARM_S = 1
READ_PER_S = 200000
STEP_MAX = 1.5
MARK = "*"
KEYS = 10000
CONNECTIONS = 50
GET = ("--expect-status", 200)
PUT = ("--method", "put", "--expect-status", "200,201")
# A disk that is behind with what earlier runs have written holds up a write for seconds. That shows as latency, and is no
# reason to stop.
PATIENT = ("--timeout-ms", 60000)
FORGETFUL = ("--retention-bytes", "1GiB")  # the journal of runs that write for long


@dataclasses.dataclass(frozen=True)
class Column:
    """One kind of work on one server; floor: the column that shows what the kernel alone costs."""

    scenario: str
    label: str
    floor: str | None = None
    value: Callable = cpu_us


class Sweep:
    """The runs of one dimension: at each point, repetitions in each column. grows: the work at a point is as much more."""

    def __init__(self, bench, point_name, title, columns, *, grows=False):
        self.grows = grows
        self.bench = bench
        self.point_name = point_name
        self.title = title
        self.columns = {f"{column.label} {column.scenario}": column for column in columns}
        self.rows = {}

    def load(self, at, servers, *arguments, scenario):
        """Runs of bench_load at one point, each server in turn. servers: label -> server."""
        seconds = self.bench.seconds(SECONDS)
        shape = [*arguments, *PATIENT, "--seconds", seconds, "--warmup", min(1, seconds / 4)]
        reports = self.bench.alternate(servers, runs(self.bench), shape, scenario=scenario, point={self.point_name: at})
        for label, some in reports.items():
            self.add(at, f"{label} {scenario}", some)

    def stream(self, at, label, server, *arguments, scenario):
        seconds = self.bench.seconds(SECONDS)
        shape = [*arguments, "--seconds", seconds, "--warmup", min(1, seconds / 4)]
        self.add(at, f"{label} {scenario}",
                 [self.bench.stream(label, server, *shape, scenario=scenario, point={self.point_name: at})
                  for _ in range(runs(self.bench))])

    def add(self, at, column, reports):
        self.rows.setdefault(at, {})[column] = reports

    def cost(self, at, name):
        reports = self.rows[at].get(name)
        return None if reports is None else statistics.median(self.columns[name].value([one]) for one in reports)

    def ratio(self, at, name):
        """To the floor's cost; None where there is no floor."""
        cost, floor = self.cost(at, name), self.columns[name].floor
        return None if cost is None or floor is None else cost / self.cost(at, floor)

    def steps_up(self, before, at, name):
        """Whether this point costs more than it should by the point before."""
        if before is None or self.columns[name].label == "floor" or None in (self.cost(before, name), self.cost(at, name)):
            return False
        if self.grows:
            return self.cost(at, name) / at > STEP_MAX * self.cost(before, name) / before
        if self.columns[name].floor:
            return self.ratio(at, name) > STEP_MAX * self.ratio(before, name)
        return self.cost(at, name) > STEP_MAX * self.cost(before, name)

    def cell(self, before, at, name):
        cost, ratio = self.cost(at, name), self.ratio(at, name)
        return (("-" if cost is None else f"{cost:.3f}") + ("" if ratio is None else f" {ratio:5.2f} x")
                + (MARK if self.steps_up(before, at, name) else " "))

    def print(self):
        names = list(self.columns)
        widths = {name: max(len(name), 20 if self.columns[name].floor else 11) + 2 for name in names}
        print(f"\n{self.title}: CPU us each, medians of {runs(self.bench)}")
        print(f"  {self.point_name.replace('_', ' '):>12}" + "".join(f"{name:>{widths[name]}}" for name in names))
        before = None
        for at in self.rows:
            print(f"  {at:>12}" + "".join(f"{self.cell(before, at, name):>{widths[name]}}" for name in names))
            before = at


def runs(bench):
    return min(RUNS_MAX, bench.options.runs)


def points(bench, every, few):
    return few if bench.options.quick else every


@contextlib.contextmanager
def serving(bench, *, keys=KEYS, value_bytes=300, durability="none", **how):
    """A new server with records in it; its data go when it ends."""
    with bench.freshet(durability=durability, more=FORGETFUL, **how) as server:
        bench.fill(bench.over(server, "wire"), keys, "--value-bytes", value_bytes, *PATIENT)
        yield server
    shutil.rmtree(server.data)


def warm(bench, server, seconds, *shape):
    """The records in their order, for so long."""
    bench.load("warm", server, *shape, "--distribution", "sequential", "--warmup", 0, "--seconds", seconds,
               scenario=PREPARATION)


def read_all(bench, server, count):
    """Each record once, however long that takes."""
    done = 0
    while done < count:
        report = bench.load("warm", server, "--keys", count - done, "--key-from", done, "--distribution", "sequential",
                            "--connections", CONNECTIONS, "--pipeline", 16, *GET, "--warmup", 0, "--seconds",
                            max(WARM_S, (count - done) / READ_PER_S), scenario=PREPARATION)
        done += report["operations"]


def both(bench, server):
    return {"freshet http": server, "freshet wire": bench.over(server, "wire")}


# ---- connections ----


def connections(bench):
    """cached reads over 1 to 10,000 connections"""
    columns = [Column("get", "freshet http", "floor get"), Column("get", "freshet wire", "floor get"), Column("get", "floor")]
    sweep = Sweep(bench, "connections", "cached GET, one request in flight on each connection", columns)
    with serving(bench) as server:
        shape = ["--keys", KEYS, *GET]
        warm(bench, server, WARM_S, *shape, "--connections", CONNECTIONS)
        with bench.floor(bench.capture(server, *shape)) as floor:
            for at in points(bench, (1, 10, 50, 100, 1000, 5000, 10000), (1, 50, 1000, 10000)):
                sweep.load(at, both(bench, server) | {"floor": floor}, *shape, "--connections", at, scenario="get")
    sweep.print()


# ---- records ----

RECORD_BYTES = 128
# What a record of that size takes in the cache, with room to spare, and in RocksDB's blocks.
CACHED_RECORD_BYTES = 800
BLOCK_RECORD_BYTES = 400
MEMORY_SHARE_MAX = 0.5
QUIET_S = 0.5
QUIET_WAIT_S = 120


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settle(server):
    """Waits until a server has nothing more to do: flushes and compactions after many writes are no part of a read."""
    end = time.monotonic() + QUIET_WAIT_S
    used = cpu_seconds(server.pid)
    while time.monotonic() < end:
        time.sleep(QUIET_S)
        used, before = cpu_seconds(server.pid), used
        if used - before < QUIET_S / 20:
            return


def memory_available():
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def cached_reads(bench, sweep, at, data):
    """Every record is in the cache, put there by one pass over all of them."""
    needed = max(64 * MIB, at * CACHED_RECORD_BYTES)
    if needed > MEMORY_SHARE_MAX * memory_available():
        print(f"  {at} records in the cache are left out: they need {needed / MIB:.0f} MiB")
        return
    with bench.freshet(durability="none", data=data, cache=needed) as server:
        settle(server)
        wire = bench.over(server, "wire")
        shape = ["--keys", at, "--connections", CONNECTIONS, *GET]
        read_all(bench, wire, at)
        print(f"  {at} records: {server.metric('freshet_cache_entries'):.0f} of them cached")
        sweep.load(at, both(bench, server), *shape, scenario="get")


def uncached_reads(bench, sweep, at, data):
    """The cache is off. RocksDB's blocks are in its memory, or where they do not fit into it, in the system's."""
    roomy = ["--block-cache-bytes", max(256 * MIB, at * BLOCK_RECORD_BYTES)]
    for scenario, more in (("get-uncached", roomy), ("get-uncached-256MiB", ["--block-cache-bytes", "256MiB"])):
        with bench.freshet(durability="none", data=data, cache=0, more=more) as server:
            settle(server)
            shape = ["--keys", at, "--connections", CONNECTIONS, *GET]
            read_all(bench, bench.over(server, "wire"), at)
            sweep.load(at, {"freshet http": server}, *shape, scenario=scenario)


def records(bench):
    """reads among 10^4 to 10^7 records: all of them cached; none, from RocksDB's memory; from 256 MiB of it"""
    columns = [Column("get", "freshet http"), Column("get", "freshet wire"), Column("get-uncached", "freshet http"),
               Column("get-uncached-256MiB", "freshet http")]
    sweep = Sweep(bench, "records", f"GET of records of {RECORD_BYTES} bytes, chosen evenly, {CONNECTIONS} connections",
                  columns)
    data, filled = None, 0
    for at in points(bench, (10**4, 10**5, 10**6, 10**7), (10**4, 10**5, 10**6)):
        with bench.freshet(durability="none", data=data, cache=0, more=["--retention-bytes", 0]) as server:
            bench.fill(bench.over(server, "wire"), at - filled, "--key-from", filled, "--value-bytes", RECORD_BYTES,
                       "--pipeline", 16)
            data, filled = server.data, at
        cached_reads(bench, sweep, at, data)
        uncached_reads(bench, sweep, at, data)
    shutil.rmtree(data)
    sweep.print()


# ---- values ----

VALUES_BYTES = 64 * MIB  # of all records together: they fit into the cache
VALUE_CONNECTIONS = 16


def values(bench):
    """cached reads and writes without durability, of 128 bytes to 1 MiB"""
    columns = [Column(scenario, label, None if label == "floor" else f"floor {scenario}")
               for scenario in ("get", "put-none") for label in ("freshet http", "freshet wire", "floor")]
    sweep = Sweep(bench, "value_bytes", f"GET and PUT of one value, {VALUE_CONNECTIONS} connections", columns, grows=True)
    for at in points(bench, (128, 1024, 4096, 16384, 65536, 262144, 1 << 20), (128, 4096, 65536, 1 << 20)):
        keys = max(16, min(KEYS, VALUES_BYTES // at))
        with serving(bench, keys=keys, value_bytes=at) as server:
            common = ["--keys", keys, "--connections", VALUE_CONNECTIONS, "--value-bytes", at]
            warm(bench, server, WARM_S, *common, *GET)
            for scenario, shape, bodies in (("get", GET, False), ("put-none", PUT, True)):
                with bench.floor(bench.capture(server, *common, *shape), bodies=bodies) as floor:
                    sweep.load(at, both(bench, server) | {"floor": floor}, *common, *shape, scenario=scenario)
    sweep.print()


# ---- threads ----


def cores(bench, count):
    """The cores of a server with so many threads: not the load's, unless there are no others."""
    others = sorted(os.sched_getaffinity(0) - {bench.options.server_core, bench.options.load_core})
    chosen = [bench.options.server_core, *others, bench.options.load_core][:count]
    return ",".join(map(str, chosen))


def threads(bench):
    """cached reads and writes without durability, on 1 and 2 threads, and more where there are cores for them"""
    columns = [Column(scenario, label) for scenario in ("get", "put-none") for label in ("freshet http", "freshet wire")]
    sweep = Sweep(bench, "threads", f"GET and PUT, {CONNECTIONS} connections, a core for each thread", columns)
    count = len(os.sched_getaffinity(0))
    for at in [at for at in (1, 2, 4, 8, 16) if at <= count]:
        with serving(bench, threads=at, core=cores(bench, at)) as server:
            shape = ["--keys", KEYS, "--connections", CONNECTIONS]
            warm(bench, server, WARM_S, *shape, *GET)
            sweep.load(at, both(bench, server), *shape, *GET, scenario="get")
            sweep.load(at, both(bench, server), *shape, *PUT, scenario="put-none")
    sweep.print()
    if count <= 2:
        print("  the load shares the core of the second thread: this machine has no third")


# ---- subscribers ----

NOTICES_PER_S = 50000
WRITES_PER_S_MAX = 5000


def per_notice(reports):
    return middle(reports, "server", "cpu_us_per_notice")


def idle_subscribers(bench):
    columns = [Column("put-idle-subscribers", label) for label in ("freshet http", "freshet wire")]
    sweep = Sweep(bench, "subscribers", "PUT at full rate, while so many subscribers have patterns that it does not match",
                  columns)
    with serving(bench) as server:
        for at in points(bench, (0, 1, 10, 100, 1000, 10000), (0, 100, 10000)):
            for label, one in both(bench, server).items():
                sweep.stream(at, label, one, "--server", KINDS[label], "--rate", 0, "--writers", CONNECTIONS,
                             "--subscribers", 0, "--idle", at, scenario="put-idle-subscribers")
    sweep.print()


def fan_out(bench):
    columns = [Column("fan-out", label, value=per_notice) for label in ("freshet http", "freshet wire")]
    sweep = Sweep(bench, "subscribers", f"one notice of {NOTICES_PER_S} a second, or of {WRITES_PER_S_MAX} writes a second, "
                                        "that go to so many subscribers, with its share of the write", columns)
    with serving(bench) as server:
        for at in points(bench, (1, 10, 100, 1000, 10000), (1, 100, 10000)):
            for label, one in both(bench, server).items():
                sweep.stream(at, label, one, "--server", KINDS[label], "--rate", min(WRITES_PER_S_MAX, NOTICES_PER_S / at),
                             "--subscribers", at, scenario="fan-out")
    sweep.print()


KINDS = {"freshet http": "freshet", "freshet wire": "wire"}


def subscribers(bench):
    """writes beside 0 to 10,000 subscribers that they do not match, and notices to 1 to 10,000 that they do"""
    idle_subscribers(bench)
    fan_out(bench)


# ---- shards ----


def shards(bench):
    """reads, writes and pages with 1 to 32 shards on one core"""
    columns = [Column("get", "freshet http"), Column("put-none", "freshet http"), Column("get-uncached", "freshet http"),
               Column("list-uncached", "freshet http")]
    sweep = Sweep(bench, "shards", f"GET, PUT, GET and pages of 100 past the cache, {CONNECTIONS} connections, one thread",
                  columns)
    for at in points(bench, (1, 2, 4, 8, 16, 32), (1, 4, 32)):
        shape = ["--keys", KEYS, "--connections", CONNECTIONS]
        with serving(bench, shards=at) as server:
            warm(bench, server, WARM_S, *shape, *GET)
            sweep.load(at, {"freshet http": server}, *shape, *GET, scenario="get")
            sweep.load(at, {"freshet http": server}, *shape, *PUT, scenario="put-none")
        with serving(bench, shards=at, cache=0) as server:
            settle(server)
            sweep.load(at, {"freshet http": server}, *shape, *GET, scenario="get-uncached")
            sweep.load(at, {"freshet http": server}, *shape, *GET, "--path", "/products?limit=100", scenario="list-uncached")
    sweep.print()


DIMENSIONS = {"connections": connections, "records": records, "values": values, "threads": threads,
              "subscribers": subscribers, "shards": shards}


def bench_scaling(bench):
    """the cost of one operation as connections, records, values, threads, subscribers or shards grow"""
    for name in bench.options.dimensions or DIMENSIONS:
        started = time.monotonic()
        DIMENSIONS[name](bench)
        print(f"  {name}: {time.monotonic() - started:.0f} s")


def dimension(text):
    if text not in DIMENSIONS:
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(DIMENSIONS)}")
    return text


def add_arguments(parser):
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description += f", at most {RUNS_MAX} runs of each point\n\n" + "\n".join(
        f"  {name:<14}{function.__doc__}" for name, function in DIMENSIONS.items())
    parser.add_argument("dimensions", nargs="*", type=dimension, metavar="DIMENSION", help="default: all of them")
    parser.add_argument("--quick", action="store_true", help="fewer points, and no more than 10^6 records")


BENCHES = {"scaling": bench_scaling}
ARGUMENTS = {"scaling": add_arguments}
