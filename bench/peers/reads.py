"""GET beside everything that can answer it: cached, pipelined, and from the store."""

import contextlib

from peers import peers
from peers.common import FAR_EVERY, GET_KEYS, HTTP, READ, READ_WARMUP_S, WIRE, read_seconds, warm
from peers.comparison import CPU, Contestant


def read_field(comparison, stack):
    """All that answer reads, filled or warm; label -> contestant. Those without a limit near run in every second round."""
    bench = comparison.bench
    folder, core, load_core = bench.folder, bench.options.server_core, bench.options.load_core
    server = stack.enter_context(bench.freshet())
    bench.fill(server, GET_KEYS)
    warm(bench, server)
    answer = bench.capture(server, *READ)
    floor = stack.enter_context(bench.floor(answer))
    field = {HTTP: Contestant(server), "floor": Contestant(floor), WIRE: Contestant(bench.over(server, "wire"))}
    origin = bench.program("bench_floor"), load_core
    beside = {
        "redis": (lambda: peers.Redis(folder, core), fill, 1),
        "nginx fixed": (lambda: peers.NginxFixed(folder, core, answer), None, 1),
        "memcached": (lambda: peers.Memcached(folder, core), fill, 1),
        "nginx cache": (lambda: peers.NginxCache(folder, core, answer, *origin), warm, FAR_EVERY),
        "varnish": (lambda: peers.Varnish(folder, core, answer, *origin), warm, FAR_EVERY),
        "h2o": (lambda: peers.H2o(folder, core, answer), None, FAR_EVERY),
        "node+sqlite": (lambda: peers.Node(folder, core, durable=False), fill, FAR_EVERY),
    }
    for label, (make, prepare, every) in beside.items():
        peer = comparison.start(stack, label, make)
        if peer and (prepare is None or comparison.try_to(label, prepare, bench, peer)):
            more = ("--path", peer.path) if label == "h2o" else ()
            field[label] = Contestant(peer, more, every)
    return field


def fill(bench, peer):
    return bench.fill(peer, GET_KEYS)


def reads(comparison):
    runs, seconds = comparison.bench.options.runs, read_seconds(comparison)
    each_s = seconds + READ_WARMUP_S + 0.2
    with contextlib.ExitStack() as stack:
        field = {}
        with comparison.work("cached GET, 50 connections", 25 + each_s * (6 * runs + 4 * -(-runs // FAR_EVERY))) as work:
            field = read_field(comparison, stack)
            reports = comparison.rounds(field, READ, runs, scenario="get", seconds=seconds, warmup_s=READ_WARMUP_S)
            comparison.show(work, reports)
            comparison.against(work, reports, HTTP, "floor", CPU, 1.25)
            for label in ("nginx fixed", "varnish", "redis", "memcached"):
                comparison.against(work, reports, HTTP, label, CPU, 1)
            for label in ("nginx cache", "h2o", "node+sqlite"):
                comparison.against(work, reports, HTTP, label, CPU)
            for label in ("floor", "redis", "memcached"):
                comparison.against(work, reports, WIRE, label, CPU)
        pipelining = {label: field[label] for label in (HTTP, "floor", WIRE, "redis") if label in field}
        pipelining |= {label: Contestant(field[label].server, every=FAR_EVERY) for label in ("nginx fixed", "memcached")
                       if label in field}
        with comparison.work("cached GET, pipelined by 16", each_s * (4 * runs + 2 * -(-runs // FAR_EVERY))) as work:
            reports = comparison.rounds(pipelining, [*READ, "--pipeline", 16], runs, scenario="get-pipelined",
                                        seconds=seconds, warmup_s=READ_WARMUP_S)
            comparison.show(work, reports)
            comparison.against(work, reports, HTTP, "floor", CPU, 3)
            comparison.against(work, reports, HTTP, "redis", CPU, 1)
            for label in ("nginx fixed", "memcached"):
                comparison.against(work, reports, HTTP, label, CPU)
            comparison.against(work, reports, WIRE, "redis", CPU)


def uncached(comparison):
    bench, runs, seconds = comparison.bench, comparison.bench.options.runs, read_seconds(comparison)
    with comparison.work("uncached GET, 50 connections", 5 + 2 * runs * (seconds + READ_WARMUP_S)) as work, \
            bench.freshet(cache=0) as server:
        bench.fill(server, GET_KEYS)
        warm(bench, server)
        with bench.floor(bench.capture(server, *READ)) as floor:
            field = {HTTP: Contestant(server), "floor": Contestant(floor)}
            reports = comparison.rounds(field, READ, runs, scenario="get-uncached", seconds=seconds, warmup_s=READ_WARMUP_S)
        comparison.show(work, reports)
        comparison.against(work, reports, HTTP, "floor", CPU, 2.2)
