"""A change to one subscriber: how soon, how cheap, how many."""

import contextlib

from harness.tables import middle, print_streams
from peers import peers
from peers.common import WIRE, read_seconds, stream_runs
from peers.comparison import CPU, NOTICE_P50, NOTICES

# At 5,000 writes a second a thread is asked again after 200 us at most.
POLL = "250us"
POLLING = f"{WIRE}, --poll {POLL}"
CATCH_UP_CHANGES = 500000


def stream_rounds(comparison, kinds, scenario, *shape):
    """kinds: label -> (a function that gives the server as a context, what bench_stream calls it)."""
    bench = comparison.bench
    reports = {label: [] for label in kinds}
    for _ in range(stream_runs(comparison)):
        for label, (server, kind) in kinds.items():
            if label not in comparison.missing:
                with server() as one:
                    reports[label].append(comparison.try_to(label, bench.stream, label, one, "--server", kind, *shape,
                                                            scenario=scenario))
    return {label: some for label, some in reports.items() if any(some)}


def notices(comparison):
    bench, runs, seconds = comparison.bench, stream_runs(comparison), read_seconds(comparison)
    with comparison.work("change to one subscriber, 5,000 a second", 3 * runs * (seconds + 1.5)) as work, \
            contextlib.ExitStack() as stack:
        server = stack.enter_context(bench.freshet(durability="none"))
        kinds = {WIRE: (lambda: contextlib.nullcontext(bench.over(server, "wire")), "wire"),
                 # One that polls is not left running beside the others: it takes the whole core.
                 POLLING: (lambda: polling(bench), "wire")}
        redis = comparison.start(stack, "redis Pub/Sub", bench.redis)
        if redis:
            kinds["redis Pub/Sub"] = (lambda: contextlib.nullcontext(redis), "redis-pubsub")
        reports = stream_rounds(comparison, kinds, "notice", "--rate", 5000, "--seconds", seconds)
        print_streams(work, reports)
        comparison.against(work, reports, POLLING, "redis Pub/Sub", NOTICE_P50, 1)
        comparison.against(work, reports, WIRE, "redis Pub/Sub", NOTICE_P50)


@contextlib.contextmanager
def polling(bench):
    with bench.freshet(durability="none", name="polling", more=["--poll", POLL]) as server:
        yield bench.over(server, "wire")


def full_rate(comparison):
    bench, runs, seconds = comparison.bench, stream_runs(comparison), read_seconds(comparison)
    with comparison.work("changes to one subscriber, full rate", 15 + 2 * runs * (seconds + 2)) as work, \
            contextlib.ExitStack() as stack:
        server = stack.enter_context(bench.freshet(durability="none"))
        wire = bench.over(server, "wire")
        kinds = {WIRE: (lambda: contextlib.nullcontext(wire), "wire")}
        nats = comparison.start(stack, "nats jetstream", lambda: peers.Nats(bench.folder, bench.options.server_core))
        if nats:
            kinds["nats jetstream"] = (lambda: contextlib.nullcontext(nats), "nats-jetstream")
        reports = stream_rounds(comparison, kinds, "changes", "--rate", 0, "--writers", 16, "--pipeline", 64, "--seconds",
                                seconds)
        print_streams(work, reports)
        comparison.against(work, reports, WIRE, "nats jetstream", NOTICES, 3, at_least=True)
        comparison.against(work, reports, WIRE, "nats jetstream", CPU)
        # Telling alone: changes that were written before. Both hold those of the last run, 300 B each.
        written = min(some[-1]["writes_per_s"] for some in reports.values() if some[-1])
        changes = min(CATCH_UP_CHANGES, int(written * seconds))
        told = stream_rounds(comparison, kinds, "catch-up", "--catch-up", changes, "--seconds", 60)
        print_told(changes, told)
        alone = f"{work}, written before"
        comparison.bound(alone, told, WIRE, CPU, 2)
        comparison.against(alone, told, WIRE, "nats jetstream", CPU)
        comparison.against(alone, told, WIRE, "nats jetstream", NOTICES)


def print_told(changes, told):
    print(f"\none subscriber that reads {changes:,} changes from the earliest on")
    for label, some in told.items():
        some = [report for report in some if report]
        print(f"  {label:<38}{middle(some, 'notices_per_s'):>12,.0f} a second"
              f"{middle(some, 'server', 'cpu_us_per_op'):>10.2f} us CPU each")
