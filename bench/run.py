#!/usr/bin/python3
"""Benchmarks of the server against the floor: what the kernel alone costs for the same bytes.

The server with all its threads is pinned to one core, the load to another. Runs of the server and of the floor alternate
(A B A B), so that a machine that slows down slows both; the median of the ratios of neighbouring runs counts. The floor sends the very bytes that the server
sent for the same request, captured in the same run. nginx `return 200` of that size is measured once, as a known point.
Results are printed as tables and written to build/bench/NAME.json with all that the runs reported.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import filter_rules  # bench/filter_rules.py
from servers import BenchError, Nginx, Process, Redis, Spoken  # bench/servers.py

ROOT = pathlib.Path(__file__).resolve().parents[1]
MIB = 1 << 20

GET_RATIO_MAX = 1.35
PIPELINE_RATIO_MAX = 3.5
UNCACHED_RATIO_MAX = 2.3
PUT_RATIO_MAX = 4.0
PUT_RATE_SHARE_MIN = 0.6
IDLE_BYTES_MAX = 100 * MIB
SCAN_CACHE_BYTES = 64 * MIB
SCAN_EXCESS_MAX = 1.05
# At 5,000 writes a second a thread is asked again after 200 us at most.
POLL = "250us"
POLLING = f"freshet --poll {POLL}"
CATCH_UP_CHANGES = 500000
CATCH_UP_PER_S_MIN = 200000
SLOWED_MAX = 1.2
STUCK_BYTES_MAX = 256 * MIB
FILTER_EVENTS = 2000
FILTER_US_MAX = {1000: 2.0, 10000: 5.0, 100000: 15.0}
WIRE_GET_REDIS_MAX = 1.0
WIRE_PUT_REDIS_MAX = 1.4
WIRE_SYNC_RATE_MIN = {1: 1.0, 16: 0.5}
SOAK_GROWTH_MAX = 1.05
SOAK_GROWTH_BYTES_MAX = 16 * MIB


class Bench:
    """What all benchmarks share: programs, folders, cores, and the runs made so far."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = pathlib.Path(folder)
        self.programs = options.build.resolve()
        self.runs = []
        self.checks = []

    # ---- programs ----

    def program(self, name):
        path = self.programs / ("bench" if name.startswith("bench_") else "") / name
        if not path.exists():
            raise BenchError(f"{path} is missing; ./dev build makes build/release")
        return path

    def freshet(self, *, durability="sync", cache=None, shards=4, name="data", data=None, more=()):
        """A server on a new data directory (or on `data`), with four shards as contract and issue say, on one thread."""
        data = data or self.folder / f"{name}-{time.monotonic_ns()}"
        config = self.folder / f"{data.name}.yaml"
        config.write_text(f"shards: {shards}\n", encoding="ascii")
        command = [self.program("freshet"), "serve", "--config", config, "--data", data, "--http", "127.0.0.1:0",
                   "--wire", "127.0.0.1:0", "--threads", 1, "--durability", durability, "--log-level", "warning", *more]
        if cache is not None:
            command += ["--cache-bytes", cache]
        server = Process(command, self.folder / "freshet.log", self.options.server_core)
        server.data = data
        return server

    def floor(self, answer, *, bodies=False):
        command = [self.program("bench_floor"), "--answer-file", answer] + (["--body"] if bodies else [])
        return Process(command, self.folder / "floor.log", self.options.server_core)

    # ---- loads ----

    def over(self, server, protocol):
        """The same server, spoken to in another protocol than HTTP."""
        target = server.wire if protocol == "wire" else server.target
        return Spoken(target=target, pid=server.pid, log=server.log, protocol=protocol)

    def load_command(self, server, *arguments):
        return ["taskset", "-c", str(self.options.load_core), str(self.program("bench_load")), "--target",
                server.target, "--pid", str(server.pid), "--protocol", server.protocol, *map(str, arguments)]

    def load(self, label, server, *arguments):
        result = subprocess.run(self.load_command(server, "--json", *arguments), stdout=subprocess.PIPE, text=True,
                                cwd=ROOT, check=False)
        return self.accept(label, server, result.stdout, result.returncode)

    def load_watched(self, label, server, look, every_s, *arguments):
        """One run during which look() is called now and then."""
        command = self.load_command(server, "--json", *arguments)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as load:
            try:
                while load.poll() is None:
                    look()
                    time.sleep(every_s)
            except BaseException:
                load.kill()
                raise
            return self.accept(label, server, load.stdout.read(), load.returncode)

    def accept(self, label, server, text, code):
        """The report of a run. One with errors or wrong answers is no measurement."""
        try:
            report = json.loads(text)
        except ValueError:
            raise BenchError(f"the load on {label} made no report; see {server.log}:\n{tail(server.log)}") from None
        if code != 0:
            wrong = {name: report[name] for name in ("errors", "timeouts", "unexpected", "statuses")}
            raise BenchError(f"the load on {label} went wrong: {wrong}; see {server.log}:\n{tail(server.log)}")
        report["label"] = label
        self.runs.append(report)
        return report

    def stream(self, label, server, *arguments):
        """A run of writers and subscribers."""
        command = ["taskset", "-c", self.options.load_core, self.program("bench_stream"), "--target", server.target, "--pid",
                   server.pid, *arguments]
        result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
        if result.returncode != 0:
            raise BenchError(f"writers and subscribers of {label} went wrong; see {server.log}:\n{tail(server.log)}")
        report = dict(json.loads(result.stdout), label=label)
        self.runs.append(report)
        return report

    def fill(self, server, keys, *arguments):
        self.load("fill", server, "--load", "--keys", keys, "--connections", 200, *arguments)

    def capture(self, server, *arguments):
        """The raw bytes of one answer, in a file that the floor reads."""
        answer = self.folder / f"answer-{time.monotonic_ns()}"
        subprocess.run(self.load_command(server, "--capture", answer, *arguments), cwd=ROOT, check=True)
        return answer

    def nginx_once(self, answer_bytes, *arguments):
        """CPU of nginx `return 200` for as many bytes, None where nginx is not installed."""
        if shutil.which("nginx") is None:
            return None
        with tempfile.TemporaryDirectory(dir=self.folder) as folder, \
                Nginx(folder, answer_bytes, self.options.server_core) as server:
            return self.load("nginx", server, *arguments)

    def alternate(self, servers, runs, arguments):
        """Runs of each server in turn, A B A B; the reports of each, by label."""
        reports = {label: [] for label in servers}
        for _ in range(runs):
            for label, server in servers.items():
                reports[label].append(self.load(label, server, *arguments))
        return reports

    # ---- results ----

    def check(self, what, value, limit, *, at_least=False, unit=""):
        good = value >= limit if at_least else value <= limit
        self.checks.append({"what": what, "value": value, "limit": limit, "at_least": at_least, "pass": good})
        print(f"  {'pass' if good else 'FAIL'}  {what}: {value:.3g}{unit} "
              f"({'at least' if at_least else 'at most'} {limit:.3g}{unit})")

    def seconds(self, usual):
        return self.options.seconds if self.options.seconds is not None else usual


def tail(path, lines=8):
    try:
        return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def cpu_us(reports):
    return statistics.median(report["server"]["cpu_us_per_op"] for report in reports)


def ratio_of_pairs(reports, others, value):
    """The median of the ratios of neighbouring runs: a machine that slows down for a while slows both of a pair."""
    return statistics.median(value([one]) / value([other]) for one, other in zip(reports, others, strict=True))


def rate(reports):
    return statistics.median(report["rate_per_s"] for report in reports)


def print_table(title, rows):
    """rows: label -> reports."""
    print(f"\n{title}")
    print(f"  {'':<16}{'CPU us each':>12}{'spread':>16}{'a second':>12}{'p50 us':>9}{'p99 us':>9}{'p99.9 us':>10}")
    for label, reports in rows.items():
        values = [report["server"]["cpu_us_per_op"] for report in reports]
        latency = {name: statistics.median(report["latency_us"][name] for report in reports)
                   for name in ("p50", "p99", "p99.9")}
        spread = f"{min(values):.3f}-{max(values):.3f}"
        print(f"  {label:<16}{cpu_us(reports):>12.3f}{spread:>16}{rate(reports):>12.0f}"
              f"{latency['p50']:>9.0f}{latency['p99']:>9.0f}{latency['p99.9']:>10.0f}")


def against_floor(bench, title, server, limit, shape, *, nginx=True, label="freshet"):
    """Reads of one kind, server and floor in turn, nginx once; checks the ratio."""
    answer = bench.capture(server, *shape)
    arguments = [*shape, "--seconds", bench.seconds(5), "--warmup", 1]
    with bench.floor(answer) as floor:
        reports = bench.alternate({label: server, "floor": floor}, bench.options.runs, arguments)
    known = bench.nginx_once(answer.stat().st_size, *arguments) if nginx else None
    rows = dict(reports, **({"nginx return 200": [known]} if known else {}))
    print_table(f"{title}: answers of {answer.stat().st_size} bytes, medians of {bench.options.runs}", rows)
    if limit is not None:
        bench.check(f"{title}, CPU of {label} / floor", ratio_of_pairs(reports[label], reports["floor"], cpu_us), limit)
    if known:
        bench.check(f"{title}, CPU of floor / nginx", cpu_us(reports["floor"]) / cpu_us([known]), 1.0)


KEYS = 10000


def bench_get(bench):
    """cached GET at 50 connections"""
    with bench.freshet() as server:
        bench.fill(server, KEYS)
        shape = ["--keys", KEYS, "--connections", 50, "--expect-status", 200]
        bench.load("warm", server, *shape, "--distribution", "sequential", "--seconds", 2, "--warmup", 0)
        against_floor(bench, "cached GET, 50 connections", server, GET_RATIO_MAX, shape)


def bench_pipeline(bench):
    """cached GET at 50 connections, 16 in flight on each"""
    with bench.freshet() as server:
        bench.fill(server, KEYS)
        shape = ["--keys", KEYS, "--connections", 50, "--pipeline", 16, "--expect-status", 200]
        bench.load("warm", server, *shape, "--distribution", "sequential", "--seconds", 2, "--warmup", 0)
        against_floor(bench, "cached GET, pipelined by 16", server, PIPELINE_RATIO_MAX, shape)


def bench_uncached(bench):
    """GET with the cache off: RocksDB in memory"""
    with bench.freshet(cache=0) as server:
        bench.fill(server, KEYS)
        shape = ["--keys", KEYS, "--connections", 50, "--expect-status", 200]
        bench.load("warm", server, *shape, "--distribution", "sequential", "--seconds", 2, "--warmup", 0)
        against_floor(bench, "uncached GET, 50 connections", server, UNCACHED_RATIO_MAX, shape)


def bench_list(bench):
    """a page of 100 records and an index page, cached"""
    with bench.freshet() as server:
        bench.fill(server, KEYS)
        for title, path in (("page of 100 records", "/products?limit=100"),
                            ("index page of 100", "/products?category=shelf-07&limit=100")):
            shape = ["--path", path, "--connections", 50, "--expect-status", 200]
            against_floor(bench, title, server, None, shape, nginx=False)


def bench_put(bench):
    """durable PUT at 500 connections, and its rate against --durability none"""
    shape = ["--method", "put", "--keys", 100000, "--connections", 500, "--expect-status", "200,201"]
    arguments = [*shape, "--seconds", bench.seconds(30), "--warmup", 2]
    with bench.freshet() as durable, bench.freshet(durability="none", name="none") as volatile:
        for server in (durable, volatile):
            bench.fill(server, 100000, "--connections", 500)
        answer = bench.capture(durable, *shape)
        with bench.floor(answer, bodies=True) as floor:
            servers = {"freshet sync": durable, "floor": floor, "freshet none": volatile}
            reports = bench.alternate(servers, bench.options.runs, arguments)
        print_table(f"PUT, 500 connections, {bench.seconds(30):g} s windows: answers of {answer.stat().st_size} bytes, "
                    f"medians of {bench.options.runs}", reports)
        sync = reports["freshet sync"]
        bench.check("durable PUT, CPU of freshet / floor", ratio_of_pairs(sync, reports["floor"], cpu_us), PUT_RATIO_MAX)
        bench.check("rate of sync / rate of none", ratio_of_pairs(sync, reports["freshet none"], rate),
                    PUT_RATE_SHARE_MIN, at_least=True)


def bench_idle(bench):
    """memory of 10,000 idle connections, each of which has had one answer"""
    count = bench.options.connections or 10000
    with bench.freshet() as server:
        bench.fill(server, 1000)
        shape = ["--keys", 1000, "--idle", count, "--idle-touch", "--seconds", bench.seconds(5)]
        report = bench.load("idle", server, *shape)
        added = report["server"]["rss_after_bytes"] - report["server"]["rss_before_bytes"]
        print(f"\n{count} idle connections: RSS {report['server']['rss_before_bytes'] / MIB:.1f} MiB before, "
              f"{report['server']['rss_after_bytes'] / MIB:.1f} MiB with them, {added / count:.0f} bytes each")
        bench.check("memory added", added / MIB, IDLE_BYTES_MAX / MIB * count / 10000, unit=" MiB")


def metric(server, names):
    """The sum of the samples of the first of these metrics that the server has."""
    with urllib.request.urlopen(f"http://{server.target}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for name in names:
        samples = re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", text, re.MULTILINE)
        if samples:
            return sum(map(float, samples))
    raise BenchError(f"/metrics has none of {', '.join(names)}")


CACHE_BYTES_METRICS = ["freshet_cache_bytes", "freshet_cache_used_bytes"]


def bench_scan(bench):
    """a cache of 64 MiB under a zipfian scan of a billion keys stays within its limit"""
    with bench.freshet(cache=SCAN_CACHE_BYTES, durability="none") as server:
        bench.fill(server, 300000)
        shape = ["--keys", 1000000000, "--distribution", "zipfian", "--connections", 50, "--expect-status", "200,404",
                 "--warmup", 0, "--seconds", bench.seconds(60)]
        samples = []
        report = bench.load_watched("scan", server, lambda: samples.append(metric(server, CACHE_BYTES_METRICS)), 0.5, *shape)
        highest = max(samples)
        print(f"\nzipfian scan: {report['operations']} reads, {len(samples)} looks at the cache; RSS at the end "
              f"{server.rss() / MIB:.1f} MiB")
        bench.check("most that the cache held", highest / MIB, SCAN_CACHE_BYTES * SCAN_EXCESS_MAX / MIB, unit=" MiB")
        # A cache that holds next to nothing would pass, too.
        bench.check("it was in use", highest / MIB, SCAN_CACHE_BYTES / 2 / MIB, at_least=True, unit=" MiB")


def bench_filter(bench):
    """changes against 1,000, 10,000 and 100,000 patterns of all operators"""
    events = filter_rules.write_lines(bench.folder / "events.jsonl", filter_rules.events(FILTER_EVENTS, bench.options.seed))
    reports = {}
    for count in FILTER_US_MAX:
        rules = filter_rules.write_lines(bench.folder / f"rules-{count}.jsonl", filter_rules.rules(count, bench.options.seed))
        command = ["taskset", "-c", str(bench.options.server_core), bench.program("freshet"), "bench", "filter", "--rules",
                   rules, "--events", events, "--seconds", str(bench.seconds(3))]
        reports[count] = []
        for _ in range(bench.options.runs):
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode != 0:
                raise BenchError("freshet bench filter failed")
            reports[count].append(json.loads(done.stdout))
        bench.runs += [dict(report, label=f"filter {count}") for report in reports[count]]
    print(f"\n{FILTER_EVENTS} changes of products against all patterns at once, medians of {bench.options.runs}, "
          f"seed {bench.options.seed}")
    print(f"  {'rules':>8}{'us an event':>13}{'spread':>16}{'events a second':>17}{'matches an event':>18}"
          f"{'us to add one':>15}{'bytes a rule':>14}")
    for count, some in reports.items():
        spent = [report["us_per_event"] for report in some]
        spread = f"{min(spent):.3f}-{max(spent):.3f}"
        print(f"  {count:>8}{statistics.median(spent):>13.3f}{spread:>16}{1e6 / statistics.median(spent):>17.0f}"
              f"{some[0]['matches'] / FILTER_EVENTS:>18.2f}"
              f"{statistics.median(report['us_per_rule_added'] for report in some):>15.2f}"
              f"{some[0]['matcher_bytes'] / count:>14.0f}")
    for count, limit in FILTER_US_MAX.items():
        bench.check(f"{count} rules, an event", statistics.median(report["us_per_event"] for report in reports[count]), limit,
                    unit=" us")


def middle(reports, *names):
    """The median over reports of what stands at that place in each."""
    values = []
    for report in reports:
        for name in names:
            report = report[name]
        values.append(report)
    return statistics.median(values)


def ratio_of_runs(reports, others, *names):
    return statistics.median(middle([one], *names) / middle([other], *names)
                             for one, other in zip(reports, others, strict=True))


def print_streams(title, rows):
    print(f"\n{title}")
    print(f"  {'':<26}{'writes a second':>16}{'write p50 us':>14}{'p99':>9}{'notice p50 us':>15}{'p99':>9}{'CPU us each':>13}")
    for label, some in rows.items():
        print(f"  {label:<26}{middle(some, 'writes_per_s'):>16.0f}{middle(some, 'write_us', 'p50'):>14.0f}"
              f"{middle(some, 'write_us', 'p99'):>9.0f}{middle(some, 'notice_us', 'p50'):>15.0f}"
              f"{middle(some, 'notice_us', 'p99'):>9.0f}{middle(some, 'server', 'cpu_us_per_op'):>13.2f}")


def notices_check(bench, reports, sleeping, polling, known):
    """Both are shown; the limit is for the one that was asked for the least latency."""
    ratio = ratio_of_runs(reports[sleeping], reports[known], "notice_us", "p50")
    print(f"        p50, {sleeping} / {known}: {ratio:.3g}")
    bench.check(f"p50, {polling} / {known}", ratio_of_runs(reports[polling], reports[known], "notice_us", "p50"), 1.0)


def changes_latency(bench):
    """From a write to the notice of it, beside Redis."""
    shape = ["--rate", 5000, "--seconds", bench.seconds(5)]
    reports = {"freshet": [], POLLING: [], "redis Pub/Sub": [], "redis TRACKING BCAST": []}
    with bench.freshet(durability="none") as server, Redis(bench.folder, bench.options.server_core) as redis:
        for _ in range(bench.options.runs):
            reports["freshet"].append(bench.stream("freshet", server, *shape))
            # One that polls is not left running beside the others: it takes the whole core.
            with bench.freshet(durability="none", name="polling", more=["--poll", POLL]) as polling:
                reports[POLLING].append(bench.stream(POLLING, polling, *shape))
            reports["redis Pub/Sub"].append(bench.stream("redis Pub/Sub", redis, "--server", "redis-pubsub", *shape))
            reports["redis TRACKING BCAST"].append(
                bench.stream("redis TRACKING BCAST", redis, "--server", "redis-tracking", *shape))
    print_streams(f"write to notice at 5,000 writes a second, one subscriber, medians of {bench.options.runs}", reports)
    for known in ("redis Pub/Sub", "redis TRACKING BCAST"):
        notices_check(bench, reports, "freshet", POLLING, known)


def changes_catch_up(bench):
    """One subscriber that reads what there is, as fast as it comes."""
    with bench.freshet(durability="none") as server:
        bench.fill(server, CATCH_UP_CHANGES, "--value-bytes", 200)
        shape = ["--collection", "products", "--catch-up", CATCH_UP_CHANGES, "--seconds", 60]
        reports = [bench.stream("catch-up", server, *shape) for _ in range(bench.options.runs)]
    speed = middle(reports, "notices_per_s")
    print(f"\none subscriber from the earliest of {CATCH_UP_CHANGES} changes on, {reports[0]['received_bytes'] / CATCH_UP_CHANGES:.0f} "
          f"bytes each: {speed:.0f} a second, {middle(reports, 'server', 'cpu_us_per_op'):.2f} us CPU each, "
          f"medians of {bench.options.runs}")
    bench.check("changes a second to one subscriber", speed, CATCH_UP_PER_S_MIN, at_least=True)


def changes_patterns(bench):
    """Writes without subscribers, and with a thousand that have a pattern each."""
    shape = ["--rate", 10000, "--writers", 64, "--seconds", bench.seconds(5)]
    none, many = [], []
    with bench.freshet(durability="none") as server:
        for _ in range(bench.options.runs):
            none.append(bench.stream("no subscriber", server, *shape, "--subscribers", 0))
            many.append(bench.stream("1,000 subscribers", server, *shape, "--subscribers", 1000, "--distinct"))
    print_streams(f"10,000 writes a second, of which each matches one of 1,000 patterns, medians of {bench.options.runs}",
                  {"no subscriber": none, "1,000 subscribers": many})
    bench.check("writes a second with them", middle(many, "writes_per_s"), 9900, at_least=True)
    bench.check("write p50 with / without", ratio_of_runs(many, none, "write_us", "p50"), SLOWED_MAX)


def changes_stuck(bench):
    """Subscribers that never read cost writers nothing, and have a bound in memory."""
    count = bench.options.connections or 10000
    # Until their sockets are full, subscribers are served like any other, and tables and buffers of the server grow in any
    # case: that is what the warm-up is for.
    shape = ["--rate", 5000, "--seconds", bench.seconds(5), "--subscribers", 0, "--value-bytes", 1000,
             "--warmup", 20]
    none, many = [], []
    with bench.freshet(durability="none") as server:
        for _ in range(bench.options.runs):
            none.append(bench.stream("no subscriber", server, *shape))
            many.append(bench.stream("stuck subscribers", server, *shape, "--stuck", count))
    added = max(report["server"]["rss_after"] - report["server"]["rss_at_start"] for report in many)
    print_streams(f"5,000 writes a second beside {count} subscribers that never read, medians of {bench.options.runs}",
                  {"no subscriber": none, f"{count} stuck": many})
    bench.check("write p50 with / without", ratio_of_runs(many, none, "write_us", "p50"), SLOWED_MAX)
    bench.check("memory added", added / MIB, STUCK_BYTES_MAX / MIB, unit=" MiB")


def bench_changes(bench):
    """write to subscriber beside Redis; catching up; 1,000 patterns; 10,000 stuck subscribers"""
    changes_latency(bench)
    changes_catch_up(bench)
    changes_patterns(bench)
    changes_stuck(bench)


def wire_beside_redis(bench, title, wire, redis, arguments):
    """The same keys and sizes from both, in turn."""
    reports = bench.alternate({"freshet wire": wire, "redis": redis}, bench.options.runs, arguments)
    print_table(f"{title}, medians of {bench.options.runs}", reports)
    return reports["freshet wire"], reports["redis"]


def wire_get(bench):
    with bench.freshet() as server, Redis(bench.folder, bench.options.server_core) as redis:
        wire = bench.over(server, "wire")
        peer = bench.over(redis, "redis")
        for one in (wire, peer):
            bench.fill(one, KEYS)
        for pipeline in (1, 16):
            shape = ["--keys", KEYS, "--connections", 50, "--pipeline", pipeline, "--expect-status", 200]
            for one in (wire, peer):
                bench.load("warm", one, *shape, "--distribution", "sequential", "--seconds", 2, "--warmup", 0)
            title = f"GET of a cached record, 50 connections, {pipeline} in flight on each"
            ours, theirs = wire_beside_redis(bench, title, wire, peer,
                                             [*shape, "--seconds", bench.seconds(5), "--warmup", 1])
            bench.check(f"GET, {pipeline} in flight, CPU of freshet wire / redis", ratio_of_pairs(ours, theirs, cpu_us),
                        WIRE_GET_REDIS_MAX)


def wire_put(bench):
    shape = ["--method", "put", "--keys", 100000, "--connections", 50, "--expect-status", "200,201"]
    arguments = [*shape, "--seconds", bench.seconds(10), "--warmup", 2]
    with bench.freshet(durability="none") as server, Redis(bench.folder, bench.options.server_core) as redis:
        wire, peer = bench.over(server, "wire"), bench.over(redis, "redis")
        for one in (wire, peer):
            bench.fill(one, 100000)
        ours, theirs = wire_beside_redis(bench, "PUT without durability, SET without persistence, 50 connections", wire, peer,
                                         arguments)
        bench.check("PUT none, CPU of freshet wire / redis SET", ratio_of_pairs(ours, theirs, cpu_us), WIRE_PUT_REDIS_MAX)
    with bench.freshet() as server, Redis(bench.folder, bench.options.server_core, durable=True) as redis:
        wire, peer = bench.over(server, "wire"), bench.over(redis, "redis")
        for one in (wire, peer):
            bench.fill(one, 100000)
        for pipeline, limit in WIRE_SYNC_RATE_MIN.items():
            title = f"durable PUT, SET with appendfsync always, 50 connections, {pipeline} in flight on each"
            ours, theirs = wire_beside_redis(bench, title, wire, peer, [*arguments, "--pipeline", pipeline])
            bench.check(f"durable PUT, {pipeline} in flight, rate of freshet wire / redis", ratio_of_pairs(ours, theirs, rate),
                        limit, at_least=True)


def wire_invalidate(bench):
    """From another client's write to the invalidation of its key."""
    shape = ["--rate", 5000, "--seconds", bench.seconds(5)]
    kinds = {"INVALIDATE": "wire-invalidate", "CHANGES": "wire"}
    peers = {"redis TRACKING BCAST": "redis-tracking", "redis Pub/Sub": "redis-pubsub"}
    reports = {label: [] for kind in kinds for label in (kind, f"{kind}, --poll {POLL}")} | {peer: [] for peer in peers}
    with bench.freshet(durability="none") as server, Redis(bench.folder, bench.options.server_core) as redis:
        wire = bench.over(server, "wire")
        for _ in range(bench.options.runs):
            for label, kind in kinds.items():
                reports[label].append(bench.stream(label, wire, "--server", kind, *shape))
            for label, kind in peers.items():
                reports[label].append(bench.stream(label, redis, "--server", kind, *shape))
            with bench.freshet(durability="none", name="polling", more=["--poll", POLL]) as polling:
                for label, kind in kinds.items():
                    asked = f"{label}, --poll {POLL}"
                    reports[asked].append(bench.stream(asked, bench.over(polling, "wire"), "--server", kind, *shape))
    print_streams(f"write to notice at 5,000 writes a second, one subscriber, medians of {bench.options.runs}", reports)
    for ours, known in zip(kinds, peers, strict=True):
        notices_check(bench, reports, ours, f"{ours}, --poll {POLL}", known)


def wire_catch_up(bench):
    with bench.freshet(durability="none") as server:
        bench.fill(server, CATCH_UP_CHANGES, "--value-bytes", 200)
        shape = ["--server", "wire", "--collection", "products", "--catch-up", CATCH_UP_CHANGES, "--seconds", 60]
        wire = bench.over(server, "wire")
        reports = [bench.stream("wire catch-up", wire, *shape) for _ in range(bench.options.runs)]
    print(f"\none wire subscriber from the earliest of {CATCH_UP_CHANGES} changes on: "
          f"{middle(reports, 'notices_per_s'):.0f} a second, {middle(reports, 'server', 'cpu_us_per_op'):.2f} us CPU each, "
          f"medians of {bench.options.runs}")


def bench_wire(bench):
    """the binary protocol beside Redis: GET, PUT, invalidations; catching up"""
    wire_get(bench)
    wire_put(bench)
    wire_invalidate(bench)
    wire_catch_up(bench)


def bench_soak(bench):
    """ten minutes of reads and writes: memory stays flat"""
    seconds = bench.seconds(600)
    with bench.freshet() as server:
        bench.fill(server, 100000)
        shape = ["--mix", "get=90,put=8,delete=1,head=1", "--keys", 100000, "--connections", 50, "--distribution",
                 "scrambled", "--expect-status", "200,201,404", "--seconds", seconds, "--warmup", 1]
        samples = []
        start = time.monotonic()
        report = bench.load_watched("soak", server, lambda: samples.append((time.monotonic() - start, server.rss())),
                                    min(5, seconds / 60), *shape)
        report["rss_samples"] = samples
        # Memtables and block cache fill up first: the second third is the level, the last tenth is compared with it.
        level = statistics.median(rss for at, rss in samples if seconds / 3 <= at < seconds * 2 / 3)
        end = statistics.median(rss for at, rss in samples if at >= seconds * 9 / 10)
        print(f"\nsoak of {seconds:g} s: {report['rate_per_s']:.0f} a second, {report['server']['cpu_us_per_op']:.2f} us "
              f"CPU each; RSS {samples[0][1] / MIB:.1f} MiB at first, {level / MIB:.1f} MiB in the middle, "
              f"{end / MIB:.1f} MiB at the end")
        bench.check("RSS at the end", end / MIB, max(level * SOAK_GROWTH_MAX, level + SOAK_GROWTH_BYTES_MAX) / MIB,
                    unit=" MiB")


def bench_floor(bench):
    """the floor against nginx alone: is the machine fit to measure on?"""
    for pipeline in (1, 16):
        answer = bench.folder / "answer"
        body = b"x" * 500
        answer.write_bytes(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\n" + body)
        arguments = ["--connections", 50, "--pipeline", pipeline, "--seconds", bench.seconds(5), "--warmup", 1]
        with bench.floor(answer) as floor:
            reports = [bench.load("floor", floor, *arguments) for _ in range(bench.options.runs)]
        known = bench.nginx_once(answer.stat().st_size, *arguments)
        rows = {"floor": reports, **({"nginx return 200": [known]} if known else {})}
        print_table(f"fixed answer, 50 connections, {pipeline} in flight on each", rows)
        if known:
            bench.check(f"CPU of floor / nginx, {pipeline} in flight", cpu_us(reports) / cpu_us([known]), 1.0)


TAIL_BYTES = 1 << 30
TAIL_KEYS_STEP = 250000
RESTART_SECONDS_MAX = 20
STARTUP_RECORDS = (1000000, 10000000)
STARTUP_LOAD_SECONDS_MAX = 240
# Opening more table files takes some milliseconds; reading records would take seconds.
STARTUP_ADDED_SECONDS_MAX = 0.2


def timed_start(server):
    """Seconds from the start of the process to its ready line."""
    started = time.monotonic()
    server.__enter__()
    return time.monotonic() - started


def bench_restart(bench):
    """kill -9 with a journal tail of 1 GiB that no flush has covered, then start"""
    # Nothing may be flushed on its way: room for all of it in memory, and a tail that may grow.
    roomy = ["--memtable-bytes", "1GiB", "--journal-tail-max", "8GiB", "--retention-bytes", "64GiB"]
    keys = 0
    with bench.freshet(durability="none", more=roomy) as server:
        while metric(server, ["freshet_journal_written_bytes_total"]) < TAIL_BYTES:
            bench.fill(server, TAIL_KEYS_STEP, "--key-from", keys, "--value-bytes", 500)
            keys += TAIL_KEYS_STEP
        tail_bytes = metric(server, ["freshet_journal_written_bytes_total"])
        flushed = metric(server, ["freshet_rocksdb_files_bytes"])
        server.process.kill()
        server.process.wait()
    again = bench.freshet(data=server.data, more=roomy)
    seconds = timed_start(again)
    try:
        applied = metric(again, ["freshet_rocksdb_memtable_bytes"])
        bench.load("read", again, "--keys", keys, "--expect-status", 200, "--seconds", 1)
    finally:
        again.stop()
    print(f"\nrestart: {tail_bytes / MIB:.0f} MiB of journal, {keys} records, {flushed / MIB:.1f} MiB of them in files before; "
          f"{applied / MIB:.0f} MiB in memory after; {tail_bytes / MIB / seconds:.0f} MiB a second")
    bench.check("tail", tail_bytes / MIB, TAIL_BYTES / MIB, at_least=True, unit=" MiB")
    bench.check("seconds to ready, one core", seconds, RESTART_SECONDS_MAX, unit=" s")


def bench_startup(bench):
    """start after a clean stop, with 1 and with 10 million records"""
    data = None
    loaded = 0
    rates = []
    starts = {}
    for records in STARTUP_RECORDS:
        if rates and (records - loaded) / rates[-1] > STARTUP_LOAD_SECONDS_MAX:
            records = loaded + int(rates[-1] * STARTUP_LOAD_SECONDS_MAX)
        with bench.freshet(durability="none", data=data, more=["--retention-bytes", 0]) as server:
            report = bench.load("fill", server, "--load", "--keys", records - loaded, "--key-from", loaded, "--connections",
                                200, "--value-bytes", 128)
            data = server.data
        rates.append(report["rate_per_s"])
        loaded = records
        seconds = []
        for _ in range(bench.options.runs):
            again = bench.freshet(data=data)
            seconds.append(timed_start(again))
            bench.load("read", again, "--keys", records, "--expect-status", 200, "--seconds", 0.2, "--warmup", 0)
            again.stop()
        starts[records] = statistics.median(seconds)
        files = sum(1 for _ in pathlib.Path(data).rglob("*.sst"))
        print(f"\nstart-up with {records} records ({files} table files): median {starts[records] * 1000:.0f} ms, "
              f"{min(seconds) * 1000:.0f}-{max(seconds) * 1000:.0f} ms; loaded at {rates[-1]:.0f} a second")
    few, many = sorted(starts)
    bench.check(f"start-up with {many} - with {few} records", starts[many] - starts[few], STARTUP_ADDED_SECONDS_MAX,
                unit=" s")


BENCHES = {
    "floor": bench_floor, "get": bench_get, "pipeline": bench_pipeline, "uncached": bench_uncached, "list": bench_list,
    "put": bench_put, "idle": bench_idle, "scan": bench_scan, "restart": bench_restart, "startup": bench_startup,
    "filter": bench_filter, "changes": bench_changes, "wire": bench_wire, "soak": bench_soak,
}


def write_results(bench, name, failure):
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--tags"], cwd=ROOT, text=True, check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()
    result = {
        "bench": name, "command": sys.argv, "commit": commit, "kernel": os.uname().release, "build": bench.programs.name,
        "server_core": bench.options.server_core, "load_core": bench.options.load_core, "failure": failure,
        "checks": bench.checks, "runs": bench.runs,
    }
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"  written: {path.relative_to(ROOT)}")


def run_one(name, options):
    """True when all checks passed."""
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    failure = None
    # Data directories are on the disk of the checkout, never in a memory file system where a sync costs nothing.
    with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as work:
        bench = Bench(options, work)
        try:
            BENCHES[name](bench)
        except BenchError as error:
            failure = str(error)
            print(f"bench: {name}: {failure}", file=sys.stderr)
    write_results(bench, name, failure)
    return failure is None and all(check["pass"] for check in bench.checks)


def parse_arguments():
    names = "\n".join(f"  {name:<10}{function.__doc__}" for name, function in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="./dev bench", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Benchmarks against the floor (bench/README.md).\n\n{names}\n  all       each of these but soak")
    parser.add_argument("name", nargs="?", choices=[*BENCHES, "all"], metavar="NAME")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, of which the median counts (default 5)")
    parser.add_argument("--seconds", type=float, help="length of a run (default 5; filter 3, put 30, scan 60, soak 600)")
    parser.add_argument("--connections", type=int, help="idle, changes: how many are idle or stuck (default 10000)")
    parser.add_argument("--seed", type=int, default=1, help="filter: of rules and events (default 1)")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release",
                        help="the build folder to measure (default build/release)")
    options = parser.parse_args()
    if options.name is None:
        parser.print_help()
        sys.exit(2)
    return options


def main():
    options = parse_arguments()
    if (os.cpu_count() or 1) < 2:
        print("bench: two cores are needed: one for the server, one for the load", file=sys.stderr)
        return 1
    # SIGTERM unwinds like Ctrl-C, so that no server and no data directory stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    names = [name for name in BENCHES if name != "soak"] if options.name == "all" else [options.name]
    passed = [run_one(name, options) for name in names]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
