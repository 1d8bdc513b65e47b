"""Reads with some durable writes, at a given rate, while the store flushes and compacts."""

import contextlib

from peers.common import FLOOR_SECONDS, HTTP, READ, WRITE_WARMUP_S, count, read_seconds, write_runs
from peers.comparison import P99, P999

MIX_KEYS = 400000
MIX = ["--mix", "get=99,put=1", "--distribution", "scrambled", "--connections", 50, "--expect-status", "200,201"]
MIX_SECONDS = 15
MIX_LOAD = 0.7
MIX_P999_US_MAX = 5000
# So little stays in memory that flushes, and so compactions, come every few seconds at the mix's few hundred writes a
# second.
MIX_MEMORY = ["--memtable-bytes", "1MiB", "--journal-tail-max", "1MiB"]


class TableFiles:
    """The files of a store, looked at from outside: what RocksDB wrote in a flush or compaction, and what it replaced."""

    def __init__(self, data):
        self.data = data
        self.names = self.now()
        self.written = self.replaced = 0

    def now(self):
        return {str(path) for path in self.data.glob("shards/*/*.sst")}

    def look(self):
        names = self.now()
        self.written += len(names - self.names)
        self.replaced += len(self.names - names)
        self.names = names


def mix_runs(comparison, server, floor, shape, files):
    """Runs of ours, with an eye on its files, and of the floor, in turn."""
    bench = comparison.bench
    seconds = bench.seconds(MIX_SECONDS)
    reports = {HTTP: [], "floor": []}
    for _ in range(write_runs(comparison)):
        reports[HTTP].append(bench.load(HTTP, server, *shape, "--seconds", seconds, scenario="zipfian-99", look=files.look,
                                        every_s=0.1))
        reports["floor"].append(bench.load("floor", floor, *shape, "--seconds", min(seconds, FLOOR_SECONDS),
                                           scenario="zipfian-99"))
    return reports


def mixed(comparison):
    bench = comparison.bench
    seconds = bench.seconds(MIX_SECONDS)
    about_s = 20 + write_runs(comparison) * (seconds + min(seconds, FLOOR_SECONDS) + 2 * WRITE_WARMUP_S)
    with comparison.work(f"99 % zipfian reads at {100 * MIX_LOAD:g} % of capacity", about_s) as work, \
            contextlib.ExitStack() as stack:
        keys = count(bench, MIX_KEYS)
        with bench.freshet(durability="none") as filled:
            bench.fill(filled, keys)
        server = stack.enter_context(bench.freshet(data=filled.data, more=MIX_MEMORY))
        shape = [*MIX, "--keys", keys, "--warmup", WRITE_WARMUP_S]
        answer = bench.capture(server, *READ)
        capacity = bench.load(HTTP, server, *shape, "--seconds", read_seconds(comparison),
                              scenario="zipfian-99-capacity")["rate_per_s"]
        rate = round(capacity * MIX_LOAD)
        files = TableFiles(server.data)
        with bench.floor(answer, bodies=True) as floor:
            reports = mix_runs(comparison, server, floor, [*shape, "--rate", rate], files)
        comparison.show(f"{work}, open loop, {rate:,} a second", reports)
        comparison.against(work, reports, HTTP, "floor", P99, 3)
        comparison.bound(work, reports, HTTP, P999, MIX_P999_US_MAX,
                         beside=f"{files.written} table files written, {files.replaced} compacted away")
        # Without a compaction beside it the figure would say nothing.
        bench.check(f"{work}: table files compacted away meanwhile", files.replaced, 1, at_least=True)
