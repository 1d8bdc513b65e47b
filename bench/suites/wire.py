"""The binary protocol beside Redis: the same keys and sizes from both, in turn."""

from harness.tables import cpu_us, middle, print_streams, print_table, rate, ratio_of_pairs
from suites.changes import CATCH_UP_CHANGES, POLL, notices_check
from suites.floor_ratios import KEYS

WIRE_GET_REDIS_MAX = 1.0
WIRE_PUT_REDIS_MAX = 1.4
WIRE_SYNC_RATE_MIN = {("put-sync", 1): 1.0, ("put-sync-pipelined", 16): 0.5}


def in_turn(bench, title, scenario, servers, arguments):
    """Runs of two in turn, and their table; the reports of both."""
    reports = bench.alternate(servers, bench.options.runs, arguments, scenario=scenario)
    print_table(f"{title}, medians of {bench.options.runs}", reports)
    return reports.values()


def wire_get(bench):
    with bench.freshet() as server, bench.redis() as redis:
        wire = bench.over(server, "wire")
        for one in (wire, redis):
            bench.fill(one, KEYS)
        for scenario, pipeline in (("get", 1), ("get-pipelined", 16)):
            shape = ["--keys", KEYS, "--connections", 50, "--pipeline", pipeline, "--expect-status", 200]
            for one in (wire, redis):
                bench.warm(one, KEYS, *shape)
            title = f"GET of a cached record, 50 connections, {pipeline} in flight on each"
            ours, theirs = in_turn(bench, title, scenario, {"freshet wire": wire, "redis": redis},
                                   [*shape, "--seconds", bench.seconds(5), "--warmup", 1])
            bench.check(f"GET, {pipeline} in flight, CPU of freshet wire / redis", ratio_of_pairs(ours, theirs, cpu_us),
                        WIRE_GET_REDIS_MAX)


def wire_put(bench):
    shape = ["--method", "put", "--keys", 100000, "--connections", 50, "--expect-status", "200,201"]
    arguments = [*shape, "--seconds", bench.seconds(10), "--warmup", 2]
    with bench.freshet(durability="none") as server, bench.redis() as redis:
        wire = bench.over(server, "wire")
        for one in (wire, redis):
            bench.fill(one, 100000)
        title = "PUT without durability, SET without persistence, 50 connections"
        ours, theirs = in_turn(bench, title, "put-none", {"freshet wire": wire, "redis": redis}, arguments)
        bench.check("PUT none, CPU of freshet wire / redis SET", ratio_of_pairs(ours, theirs, cpu_us), WIRE_PUT_REDIS_MAX)
    with bench.freshet() as server, bench.redis(durable=True) as redis:
        wire = bench.over(server, "wire")
        for one in (wire, redis):
            bench.fill(one, 100000)
        for (scenario, pipeline), limit in WIRE_SYNC_RATE_MIN.items():
            title = f"durable PUT, SET with appendfsync always, 50 connections, {pipeline} in flight on each"
            ours, theirs = in_turn(bench, title, scenario, {"freshet wire": wire, "redis always": redis},
                                   [*arguments, "--pipeline", pipeline])
            bench.check(f"durable PUT, {pipeline} in flight, rate of freshet wire / redis",
                        ratio_of_pairs(ours, theirs, rate), limit, at_least=True)


def wire_invalidate(bench):
    """From another client's write to the invalidation of its key."""
    shape = ["--rate", 5000, "--seconds", bench.seconds(5)]
    kinds = {"freshet wire INVALIDATE": "wire-invalidate", "freshet wire CHANGES": "wire"}
    peers = {"redis TRACKING BCAST": "redis-tracking", "redis Pub/Sub": "redis-pubsub"}
    reports = {label: [] for kind in kinds for label in (kind, f"{kind}, --poll {POLL}")} | {peer: [] for peer in peers}
    with bench.freshet(durability="none") as server, bench.redis() as redis:
        wire = bench.over(server, "wire")
        for _ in range(bench.options.runs):
            for label, kind in kinds.items():
                reports[label].append(bench.stream(label, wire, "--server", kind, *shape, scenario="notice"))
            for label, kind in peers.items():
                reports[label].append(bench.stream(label, redis, "--server", kind, *shape, scenario="notice"))
            with bench.freshet(durability="none", name="polling", more=["--poll", POLL]) as polling:
                for label, kind in kinds.items():
                    asked = f"{label}, --poll {POLL}"
                    reports[asked].append(bench.stream(asked, bench.over(polling, "wire"), "--server", kind, *shape,
                                                       scenario="notice"))
    print_streams(f"write to notice at 5,000 writes a second, one subscriber, medians of {bench.options.runs}", reports)
    for ours, known in zip(kinds, peers, strict=True):
        notices_check(bench, reports, ours, f"{ours}, --poll {POLL}", known)


def wire_catch_up(bench):
    with bench.freshet(durability="none") as server:
        bench.fill(server, CATCH_UP_CHANGES, "--value-bytes", 200)
        shape = ["--server", "wire", "--collection", "products", "--catch-up", CATCH_UP_CHANGES, "--seconds", 60]
        wire = bench.over(server, "wire")
        reports = [bench.stream("freshet wire", wire, *shape, scenario="catch-up") for _ in range(bench.options.runs)]
    print(f"\none wire subscriber from the earliest of {CATCH_UP_CHANGES} changes on: "
          f"{middle(reports, 'notices_per_s'):.0f} a second, {middle(reports, 'server', 'cpu_us_per_op'):.2f} us CPU each, "
          f"medians of {bench.options.runs}")


def bench_wire(bench):
    """the binary protocol beside Redis: GET, PUT, invalidations; catching up"""
    wire_get(bench)
    wire_put(bench)
    wire_invalidate(bench)
    wire_catch_up(bench)


BENCHES = {"wire": bench_wire}
