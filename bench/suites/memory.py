"""Memory: of idle connections, of a full cache, of a server that has worked for a while."""

import statistics
import time

from harness.tables import MIB

IDLE_BYTES_MAX = 100 * MIB
SCAN_CACHE_BYTES = 64 * MIB
SCAN_EXCESS_MAX = 1.05
SOAK_GROWTH_MAX = 1.05
SOAK_GROWTH_BYTES_MAX = 16 * MIB


def bench_idle(bench):
    """memory of 10,000 idle connections, each of which has had one answer"""
    count = bench.options.connections
    with bench.freshet() as server:
        bench.fill(server, 1000)
        shape = ["--keys", 1000, "--idle", count, "--idle-touch", "--seconds", bench.seconds(5)]
        report = bench.load("freshet http", server, *shape, scenario="idle", point={"connections": count})
        added = report["server"]["rss_after_bytes"] - report["server"]["rss_before_bytes"]
        print(f"\n{count} idle connections: RSS {report['server']['rss_before_bytes'] / MIB:.1f} MiB before, "
              f"{report['server']['rss_after_bytes'] / MIB:.1f} MiB with them, {added / count:.0f} bytes each")
        bench.check("memory added", added / MIB, IDLE_BYTES_MAX / MIB * count / 10000, unit=" MiB")


def bench_scan(bench):
    """a cache of 64 MiB under a zipfian scan of a billion keys stays within its limit"""
    with bench.freshet(cache=SCAN_CACHE_BYTES, durability="none") as server:
        bench.fill(server, 300000)
        shape = ["--keys", 1000000000, "--distribution", "zipfian", "--connections", 50, "--expect-status", "200,404",
                 "--warmup", 0, "--seconds", bench.seconds(60)]
        samples = []

        def look():
            samples.append(server.metric("freshet_cache_bytes"))

        report = bench.load("freshet http", server, *shape, scenario="scan", look=look, every_s=0.5)
        highest = max(samples)
        print(f"\nzipfian scan: {report['operations']} reads, {len(samples)} looks at the cache; RSS at the end "
              f"{server.rss() / MIB:.1f} MiB")
        bench.check("most that the cache held", highest / MIB, SCAN_CACHE_BYTES * SCAN_EXCESS_MAX / MIB, unit=" MiB")
        # A cache that holds next to nothing would pass, too.
        bench.check("it was in use", highest / MIB, SCAN_CACHE_BYTES / 2 / MIB, at_least=True, unit=" MiB")


def bench_soak(bench):
    """ten minutes of reads and writes: memory stays flat"""
    seconds = bench.seconds(600)
    with bench.freshet() as server:
        bench.fill(server, 100000)
        shape = ["--mix", "get=90,put=8,delete=1,head=1", "--keys", 100000, "--connections", 50, "--distribution",
                 "scrambled", "--expect-status", "200,201,404", "--seconds", seconds, "--warmup", 1]
        samples = []
        start = time.monotonic()

        def look():
            samples.append((time.monotonic() - start, server.rss()))

        report = bench.load("freshet http", server, *shape, scenario="soak", look=look, every_s=min(5, seconds / 60))
        report["rss_samples"] = samples
        # Memtables and block cache fill up first: the second third is the level, the last tenth is compared with it.
        level = statistics.median(rss for at, rss in samples if seconds / 3 <= at < seconds * 2 / 3)
        end = statistics.median(rss for at, rss in samples if at >= seconds * 9 / 10)
        print(f"\nsoak of {seconds:g} s: {report['rate_per_s']:.0f} a second, {report['server']['cpu_us_per_op']:.2f} us "
              f"CPU each; RSS {samples[0][1] / MIB:.1f} MiB at first, {level / MIB:.1f} MiB in the middle, "
              f"{end / MIB:.1f} MiB at the end")
        bench.check("RSS at the end", end / MIB, max(level * SOAK_GROWTH_MAX, level + SOAK_GROWTH_BYTES_MAX) / MIB,
                    unit=" MiB")


def idle_arguments(parser):
    parser.add_argument("--connections", type=int, default=10000, metavar="N", help="how many are idle (default 10000)")


ARGUMENTS = {"idle": idle_arguments}
BENCHES = {"idle": bench_idle, "scan": bench_scan, "soak": bench_soak}
