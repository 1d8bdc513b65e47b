"""Reads with some durable writes, at a given rate, while the store flushes and compacts."""

import contextlib

from harness.tables import print_kinds
from peers.common import HTTP, READ, READS, WRITES, Work, count
from peers.comparison import P99, P999, Measure

MIX_KEYS = 400000
MIX = ["--mix", "get=99,put=1", "--distribution", "scrambled", "--connections", 50, "--expect-status", "200,201"]
MIX_LOAD = 0.7
MIX_P999_US_MAX = 5000
# So little stays in memory that flushes, and so compactions, come every few seconds at the mix's few hundred writes a
# second.
MIX_MEMORY = ["--memtable-bytes", "1MiB", "--journal-tail-max", "1MiB"]
IN_TURN = {HTTP: 1, "floor": 1}
READS_P99 = Measure("p99 of reads", "us", ("latency_us_by_kind", "get", "p99"))
READS_P999 = Measure("p99.9 of reads", "us", ("latency_us_by_kind", "get", "p99.9"))


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
    reports = {HTTP: [], "floor": []}
    for _ in range(WRITES.rounds_of(bench)):
        reports[HTTP].append(bench.load(HTTP, server, *shape, scenario="zipfian-99", look=files.look, every_s=0.1))
        reports["floor"].append(bench.load("floor", floor, *shape, scenario="zipfian-99"))
    return reports


def mixed(comparison):
    bench = comparison.bench
    with contextlib.ExitStack() as stack:
        keys = count(bench, MIX_KEYS)
        with bench.freshet(durability="none") as filled:
            bench.fill(filled, keys)
        server = stack.enter_context(bench.freshet(data=filled.data, more=MIX_MEMORY))
        shape = [*MIX, "--keys", keys]
        answer = bench.capture(server, *READ)
        bench.titles["zipfian-99-capacity"] = "how many it can do of them a second"
        capacity = bench.load(HTTP, server, *shape, *READS.arguments(bench), scenario="zipfian-99-capacity")["rate_per_s"]
        rate = round(capacity * MIX_LOAD)
        files = TableFiles(server.data)
        with bench.floor(answer, bodies=True) as floor:
            reports = mix_runs(comparison, server, floor, [*shape, *WRITES.arguments(bench), "--rate", rate], files)
        comparison.show(reports, f"open loop, {rate:,} a second")
        print_kinds(reports)
        comparison.against(reports, HTTP, "floor", P99, 3)
        comparison.bound(reports, HTTP, P999, MIX_P999_US_MAX,
                         beside=f"{files.written} table files written, {files.replaced} compacted away")
        comparison.against(reports, HTTP, "floor", READS_P99)
        comparison.against(reports, HTTP, "floor", READS_P999)
        # Without a compaction beside it the figure would say nothing.
        bench.check(f"{comparison.title}: table files compacted away meanwhile", files.replaced, 1, at_least=True)


WORK = (
    Work("zipfian-99", f"99 % zipfian reads at {100 * MIX_LOAD:g} % of capacity",
         lambda bench: 12 + READS.takes_s(bench, {HTTP: READS.rounds_of(bench)}) + WRITES.takes_s(bench, IN_TURN), mixed),
)
