"""The cost of one operation as one thing grows: connections, records, the size of a value, threads, subscribers, shards.

Each dimension is a table and a curve (harness/sweep.py). Where the kernel's share grows too, the floor stands beside it: a
step that the floor takes as well is none of ours. Points that need another server start one, which ends with them.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import time

from harness.servers import BenchError
from harness.sweep import KINDS, Column, Sweep
from harness.tables import MIB, middle

RUNS = 3  # of each point: there are many
MINUTES_MAX = 40.0
KEYS = 10000
CONNECTIONS = 50
GET = ("--expect-status", 200)
PUT = ("--method", "put", "--expect-status", "200,201")
FORGETFUL = ("--retention-bytes", "1GiB")  # the journal of runs that write for long


@contextlib.contextmanager
def serving(bench, *, keys=KEYS, value_bytes=300, durability="none", **how):
    """A new server with records in it; its data go when it ends."""
    server = bench.freshet(durability=durability, more=FORGETFUL, **how)
    with removed(server.data), server:
        bench.fill(bench.over(server, "wire"), keys, "--value-bytes", value_bytes)
        yield server


@contextlib.contextmanager
def removed(folder):
    """A server's data go when the block ends: a sweep makes much."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def both(bench, server):
    return {"freshet http": server, "freshet wire": bench.over(server, "wire")}


# ---- connections ----


def connections(bench):
    """cached reads over 1 to 10,000 connections"""
    columns = [Column("get", "freshet http", "floor get"), Column("get", "freshet wire", "floor get"), Column("get", "floor")]
    shape = ["--keys", KEYS, *GET]
    with Sweep(bench, "connections", "cached GET, one request in flight on each connection", columns) as sweep, \
            serving(bench) as server:
        bench.warm(server, KEYS, *GET, "--connections", CONNECTIONS)
        with bench.floor(bench.capture(server, *shape)) as floor:
            for at in sweep.points((1, 10, 50, 100, 1000, 5000, 10000), (1, 50, 1000, 10000)):
                sweep.load(at, both(bench, server) | {"floor": floor}, *shape, "--connections", at, scenario="get")


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
        shape = ["--connections", CONNECTIONS, *GET]
        bench.warm(bench.over(server, "wire"), at, *shape, "--pipeline", 16)
        print(f"  {at} records: {server.metric('freshet_cache_entries'):.0f} of them cached")
        sweep.load(at, both(bench, server), "--keys", at, *shape, scenario="get")


def uncached_reads(bench, sweep, at, data, scenario, block_cache_bytes):
    """The cache is off. RocksDB's blocks are in its memory, or where they do not fit into it, in the system's."""
    with bench.freshet(durability="none", data=data, cache=0, more=["--block-cache-bytes", block_cache_bytes]) as server:
        settle(server)
        shape = ["--connections", CONNECTIONS, *GET]
        bench.warm(bench.over(server, "wire"), at, *shape, "--pipeline", 16)
        sweep.load(at, {"freshet http": server}, "--keys", at, *shape, scenario=scenario)


def grow(bench, data, filled, count):
    """That data, with so many more records."""
    with bench.freshet(durability="none", data=data, cache=0, more=["--retention-bytes", 0]) as server:
        bench.fill(bench.over(server, "wire"), count, "--key-from", filled, "--value-bytes", RECORD_BYTES, "--pipeline", 16)


def records(bench):
    """reads among 10^4 to 10^7 records: all of them cached; none, from RocksDB's memory; from 256 MiB of it"""
    columns = [Column("get", "freshet http"), Column("get", "freshet wire"), Column("get-uncached", "freshet http"),
               Column("get-uncached-256MiB", "freshet http")]
    title = f"GET of records of {RECORD_BYTES} bytes, chosen evenly, {CONNECTIONS} connections"
    data, filled = bench.folder / "records", 0
    with Sweep(bench, "records", title, columns) as sweep, removed(data):
        for at in sweep.points((10**4, 10**5, 10**6, 10**7), (10**4, 10**5, 10**6)):
            grow(bench, data, filled, at - filled)
            filled = at
            with sweep.point(at):
                cached_reads(bench, sweep, at, data)
            for scenario, block_cache_bytes in (("get-uncached", max(256 * MIB, at * BLOCK_RECORD_BYTES)),
                                                ("get-uncached-256MiB", 256 * MIB)):
                with sweep.point(at):
                    uncached_reads(bench, sweep, at, data, scenario, block_cache_bytes)


# ---- values ----

VALUES_BYTES = 64 * MIB  # of all records together: they fit into the cache
VALUE_CONNECTIONS = 16


def values(bench):
    """cached reads and writes without durability, of 128 bytes to 1 MiB"""
    columns = [Column(scenario, label, None if label == "floor" else f"floor {scenario}")
               for scenario in ("get", "put-none") for label in ("freshet http", "freshet wire", "floor")]
    with Sweep(bench, "value_bytes", f"GET and PUT of one value, {VALUE_CONNECTIONS} connections", columns,
               grows=True) as sweep:
        for at in sweep.points((128, 1024, 4096, 16384, 65536, 262144, 1 << 20), (128, 4096, 65536, 1 << 20)):
            with sweep.point(at):
                one_value(bench, sweep, at)


def one_value(bench, sweep, at):
    keys = max(16, min(KEYS, VALUES_BYTES // at))
    with serving(bench, keys=keys, value_bytes=at) as server:
        common = ["--keys", keys, "--connections", VALUE_CONNECTIONS, "--value-bytes", at]
        bench.warm(server, keys, *common, *GET)
        for scenario, shape, bodies in (("get", GET, False), ("put-none", PUT, True)):
            with bench.floor(bench.capture(server, *common, *shape), bodies=bodies) as floor:
                sweep.load(at, both(bench, server) | {"floor": floor}, *common, *shape, scenario=scenario)


# ---- threads ----


def cores(bench, count):
    """The cores of a server with so many threads: not the load's, unless there are no others."""
    others = sorted(os.sched_getaffinity(0) - {bench.options.server_core, bench.options.load_core})
    chosen = [bench.options.server_core, *others, bench.options.load_core][:count]
    return ",".join(map(str, chosen))


def threads(bench):
    """cached reads and writes without durability, on 1 and 2 threads, and more where there are cores for them"""
    columns = [Column(scenario, label) for scenario in ("get", "put-none") for label in ("freshet http", "freshet wire")]
    shape = ["--keys", KEYS, "--connections", CONNECTIONS]
    count = len(os.sched_getaffinity(0))
    title = f"GET and PUT, {CONNECTIONS} connections, a core for each thread"
    with Sweep(bench, "threads", title, columns) as sweep:
        for at in sweep.points([at for at in (1, 2, 4, 8, 16) if at <= count]):
            with sweep.point(at), serving(bench, threads=at, core=cores(bench, at)) as server:
                bench.warm(server, KEYS, *shape, *GET)
                sweep.load(at, both(bench, server), *shape, *GET, scenario="get")
                sweep.load(at, both(bench, server), *shape, *PUT, scenario="put-none")
    if count <= 2:
        print("  the load shares the core of the second thread: this machine has no third")


# ---- subscribers ----

NOTICES_PER_S = 50000
WRITES_PER_S_MAX = 5000


def per_notice(reports):
    return middle(reports, "server", "cpu_us_per_notice")


def idle_subscribers(bench):
    columns = [Column("put-idle-subscribers", label) for label in KINDS]
    title = "PUT at full rate, while so many subscribers have patterns that it does not match"
    with Sweep(bench, "subscribers", title, columns) as sweep, serving(bench) as server:
        for at in sweep.points((0, 1, 10, 100, 1000, 10000), (0, 100, 10000)):
            sweep.stream(at, both(bench, server), "--rate", 0, "--writers", CONNECTIONS, "--subscribers", 0, "--idle", at,
                         scenario="put-idle-subscribers")


def fan_out(bench):
    columns = [Column("fan-out", label, value=per_notice) for label in KINDS]
    title = (f"one notice of {NOTICES_PER_S} a second, or of {WRITES_PER_S_MAX} writes a second, that go to so many "
             "subscribers, with its share of the write")
    with Sweep(bench, "subscribers", title, columns) as sweep, serving(bench) as server:
        for at in sweep.points((1, 10, 100, 1000, 10000), (1, 100, 10000)):
            sweep.stream(at, both(bench, server), "--rate", min(WRITES_PER_S_MAX, NOTICES_PER_S / at), "--subscribers", at,
                         scenario="fan-out")


def subscribers(bench):
    """writes beside 0 to 10,000 subscribers that they do not match, and notices to 1 to 10,000 that they do"""
    idle_subscribers(bench)
    fan_out(bench)


# ---- shards ----


def shards(bench):
    """reads, writes and pages with 1 to 32 shards on one core"""
    columns = [Column("get", "freshet http"), Column("put-none", "freshet http"), Column("get-uncached", "freshet http"),
               Column("list-uncached", "freshet http")]
    title = f"GET, PUT, GET and pages of 100 past the cache, {CONNECTIONS} connections, one thread"
    shape = ["--keys", KEYS, "--connections", CONNECTIONS]
    with Sweep(bench, "shards", title, columns) as sweep:
        for at in sweep.points((1, 2, 4, 8, 16, 32), (1, 4, 32)):
            with sweep.point(at), serving(bench, shards=at) as server:
                bench.warm(server, KEYS, *shape, *GET)
                sweep.load(at, {"freshet http": server}, *shape, *GET, scenario="get")
                sweep.load(at, {"freshet http": server}, *shape, *PUT, scenario="put-none")
            with sweep.point(at), serving(bench, shards=at, cache=0) as server:
                settle(server)
                sweep.load(at, {"freshet http": server}, *shape, *GET, scenario="get-uncached")
                sweep.load(at, {"freshet http": server}, *shape, *GET, "--path", "/products?limit=100",
                           scenario="list-uncached")


DIMENSIONS = {"connections": connections, "records": records, "values": values, "threads": threads,
              "subscribers": subscribers, "shards": shards}


def bench_scaling(bench):
    """the cost of one operation as connections, records, values, threads, subscribers or shards grow"""
    for name in bench.options.dimensions or DIMENSIONS:
        started = time.monotonic()
        try:
            DIMENSIONS[name](bench)
        except (BenchError, OSError) as error:
            bench.leave_out(name, error)
        print(f"  {name}: {time.monotonic() - started:.0f} s", flush=True)


def dimension(text):
    if text not in DIMENSIONS:
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(DIMENSIONS)}")
    return text


def add_arguments(parser):
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(runs=RUNS)
    parser.description += f"; {RUNS} runs of each point, if --runs does not say otherwise\n\n" + "\n".join(
        f"  {name:<14}{function.__doc__}" for name, function in DIMENSIONS.items())
    parser.add_argument("dimensions", nargs="*", type=dimension, metavar="DIMENSION", help="default: all of them")
    parser.add_argument("--quick", action="store_true", help="fewer points, and no more than 10^6 records")
    parser.add_argument("--minutes", type=float, default=MINUTES_MAX, metavar="M",
                        help=f"after these no other point is begun (default {MINUTES_MAX:g}); those that are left out are named")


BENCHES = {"scaling": bench_scaling}
ARGUMENTS = {"scaling": add_arguments}
