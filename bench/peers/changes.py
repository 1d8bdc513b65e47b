"""A change to one subscriber: how soon, how cheap, how many."""

import contextlib

from harness.tables import middle, print_streams
from peers import peers
from peers.common import STREAMS, WIRE, Work
from peers.comparison import CPU, NOTICE_P50, NOTICES

# At 5,000 writes a second a thread is asked again after 200 us at most.
POLL = "250us"
POLLING = f"{WIRE}, --poll {POLL}"
PUB_SUB, NATS = "redis Pub/Sub", "nats jetstream"
CATCH_UP_CHANGES = 500000


def stream_rounds(comparison, kinds, scenario, *shape):
    """kinds: label -> (a function that gives the server as a context, what bench_stream calls it)."""
    bench = comparison.bench
    reports = {label: [] for label in kinds}
    for _ in range(STREAMS.rounds_of(bench)):
        for label, (server, kind) in kinds.items():
            report = None
            if label not in comparison.missing:
                with server() as one:
                    report = comparison.try_to(label, bench.stream, label, one, "--server", kind, *shape, scenario=scenario)
            reports[label].append(report)
    return {label: some for label, some in reports.items() if any(some)}


def notices(comparison):
    bench = comparison.bench
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(bench.freshet(durability="none"))
        kinds = {WIRE: (lambda: contextlib.nullcontext(bench.over(server, "wire")), "wire"),
                 # One that polls is not left running beside the others: it takes the whole core.
                 POLLING: (lambda: polling(bench), "wire")}
        redis = comparison.start(stack, PUB_SUB, bench.redis)
        if redis:
            kinds[PUB_SUB] = (lambda: contextlib.nullcontext(redis), "redis-pubsub")
        reports = stream_rounds(comparison, kinds, "notice", "--rate", 5000, *STREAMS.arguments(bench))
        print_streams(comparison.title, reports)
        comparison.against(reports, POLLING, PUB_SUB, NOTICE_P50, 1)
        comparison.against(reports, WIRE, PUB_SUB, NOTICE_P50)


@contextlib.contextmanager
def polling(bench):
    with bench.freshet(durability="none", name="polling", more=["--poll", POLL]) as server:
        yield bench.over(server, "wire")


def full_rate(comparison):
    bench = comparison.bench
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(bench.freshet(durability="none"))
        wire = bench.over(server, "wire")
        kinds = {WIRE: (lambda: contextlib.nullcontext(wire), "wire")}
        nats = comparison.start(stack, NATS, lambda: peers.Nats(bench.folder, bench.options.server_core))
        if nats:
            kinds[NATS] = (lambda: contextlib.nullcontext(nats), "nats-jetstream")
        reports = stream_rounds(comparison, kinds, "changes", "--rate", 0, "--writers", 16, "--pipeline", 64,
                                *STREAMS.arguments(bench))
        print_streams(comparison.title, reports)
        comparison.against(reports, WIRE, NATS, NOTICES, 3, at_least=True)
        comparison.against(reports, WIRE, NATS, CPU)
        catch_up(comparison, kinds, min(some[-1]["writes_per_s"] for some in reports.values() if some[-1]))


def catch_up(comparison, kinds, written_per_s):
    """Telling alone: changes that were written before. All hold those of the last run, 300 B each."""
    bench = comparison.bench
    changes = min(CATCH_UP_CHANGES, int(written_per_s * bench.seconds(STREAMS.seconds)))
    bench.titles["catch-up"] = f"one subscriber reads {changes:,} changes that were written before"
    told = stream_rounds(comparison, kinds, "catch-up", "--catch-up", changes, "--seconds", 60)
    print_told(changes, told)
    alone = f"{comparison.title}, written before"
    comparison.bound(told, WIRE, CPU, 2, work=alone)
    comparison.against(told, WIRE, NATS, CPU, work=alone)
    comparison.against(told, WIRE, NATS, NOTICES, work=alone)


def print_told(changes, told):
    print(f"\none subscriber that reads {changes:,} changes from the earliest on")
    for label, some in told.items():
        some = [report for report in some if report]
        print(f"  {label:<38}{middle(some, 'notices_per_s'):>12,.0f} a second"
              f"{middle(some, 'server', 'cpu_us_per_op'):>10.2f} us CPU each")


WORK = (
    Work("notice", "change to one subscriber, 5,000 a second",
         lambda bench: 3 + STREAMS.takes_s(bench, {WIRE: 1, POLLING: 1, PUB_SUB: 1}), notices),
    Work("changes", "changes to one subscriber, full rate",
         lambda bench: 15 + STREAMS.takes_s(bench, {WIRE: 1, NATS: 1}), full_rate),
)
