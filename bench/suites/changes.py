"""The stream of changes: from a write to the notice of it beside Redis; catching up; many subscribers, and stuck ones."""

from harness.tables import MIB, middle, print_streams, ratio_of_runs

# At 5,000 writes a second a thread is asked again after 200 us at most.
POLL = "250us"
POLLING = f"freshet http, --poll {POLL}"
CATCH_UP_CHANGES = 500000
CATCH_UP_PER_S_MIN = 200000
SLOWED_MAX = 1.2
STUCK_BYTES_MAX = 256 * MIB


def notices_check(bench, reports, sleeping, polling, known):
    """Both are shown; the limit is for the one that was asked for the least latency."""
    ratio = ratio_of_runs(reports[sleeping], reports[known], "notice_us", "p50")
    print(f"        p50, {sleeping} / {known}: {ratio:.3g}")
    bench.check(f"p50, {polling} / {known}", ratio_of_runs(reports[polling], reports[known], "notice_us", "p50"), 1.0)


def changes_latency(bench):
    """From a write to the notice of it, beside Redis."""
    shape = ["--rate", 5000, "--seconds", bench.seconds(5)]
    reports = {label: [] for label in ("freshet http", POLLING, "redis Pub/Sub", "redis TRACKING BCAST")}
    with bench.freshet(durability="none") as server, bench.redis() as redis:
        for _ in range(bench.options.runs):
            reports["freshet http"].append(bench.stream("freshet http", server, *shape, scenario="notice"))
            # One that polls is not left running beside the others: it takes the whole core.
            with bench.freshet(durability="none", name="polling", more=["--poll", POLL]) as polling:
                reports[POLLING].append(bench.stream(POLLING, polling, *shape, scenario="notice"))
            for label, kind in (("redis Pub/Sub", "redis-pubsub"), ("redis TRACKING BCAST", "redis-tracking")):
                reports[label].append(bench.stream(label, redis, "--server", kind, *shape, scenario="notice"))
    print_streams(f"write to notice at 5,000 writes a second, one subscriber, medians of {bench.options.runs}", reports)
    for known in ("redis Pub/Sub", "redis TRACKING BCAST"):
        notices_check(bench, reports, "freshet http", POLLING, known)


def changes_catch_up(bench):
    """One subscriber that reads what there is, as fast as it comes."""
    with bench.freshet(durability="none") as server:
        bench.fill(server, CATCH_UP_CHANGES, "--value-bytes", 200)
        shape = ["--collection", "products", "--catch-up", CATCH_UP_CHANGES, "--seconds", 60]
        reports = [bench.stream("freshet http", server, *shape, scenario="catch-up") for _ in range(bench.options.runs)]
    speed = middle(reports, "notices_per_s")
    each_bytes = reports[0]["received_bytes"] / CATCH_UP_CHANGES
    print(f"\none subscriber from the earliest of {CATCH_UP_CHANGES} changes on, {each_bytes:.0f} bytes each: "
          f"{speed:.0f} a second, {middle(reports, 'server', 'cpu_us_per_op'):.2f} us CPU each, "
          f"medians of {bench.options.runs}")
    bench.check("changes a second to one subscriber", speed, CATCH_UP_PER_S_MIN, at_least=True)


def changes_patterns(bench):
    """Writes without subscribers, and with a thousand that have a pattern each."""
    shape = ["--rate", 10000, "--writers", 64, "--seconds", bench.seconds(5)]
    none, many = [], []
    with bench.freshet(durability="none") as server:
        for _ in range(bench.options.runs):
            for reports, count, more in ((none, 0, []), (many, 1000, ["--distinct"])):
                reports.append(bench.stream("freshet http", server, *shape, "--subscribers", count, *more,
                                            scenario="patterns", point={"subscribers": count}))
    print_streams(f"10,000 writes a second, of which each matches one of 1,000 patterns, medians of {bench.options.runs}",
                  {"no subscriber": none, "1,000 subscribers": many})
    bench.check("writes a second with them", middle(many, "writes_per_s"), 9900, at_least=True)
    bench.check("write p50 with / without", ratio_of_runs(many, none, "write_us", "p50"), SLOWED_MAX)


def changes_stuck(bench):
    """Subscribers that never read cost writers nothing, and have a bound in memory."""
    count = bench.options.connections
    # Until their sockets are full, subscribers are served like any other, and tables and buffers of the server grow in any
    # case: that is what the warm-up is for.
    shape = ["--rate", 5000, "--seconds", bench.seconds(5), "--subscribers", 0, "--value-bytes", 1000,
             "--warmup", 20]
    none, many = [], []
    with bench.freshet(durability="none") as server:
        for _ in range(bench.options.runs):
            for reports, stuck in ((none, 0), (many, count)):
                reports.append(bench.stream("freshet http", server, *shape, "--stuck", stuck, scenario="stuck",
                                            point={"subscribers": stuck}))
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


def changes_arguments(parser):
    parser.add_argument("--connections", type=int, default=10000, metavar="N",
                        help="subscribers that never read (default 10000)")


ARGUMENTS = {"changes": changes_arguments}
BENCHES = {"changes": bench_changes}
