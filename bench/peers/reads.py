"""GET beside everything that can answer it: cached, pipelined, and from the store."""

import contextlib

from peers import peers
from peers.common import FAR, GET_KEYS, HTTP, READ, READS, WIRE, Work
from peers.comparison import CPU, Contestant

# label -> in every so manieth round
CACHED = {HTTP: 1, "floor": 1, WIRE: 1, "redis": 1, "nginx fixed": 1, "memcached": 1, "nginx cache": FAR, "varnish": FAR,
          "h2o": FAR, "node+sqlite": FAR}
PIPELINED = {HTTP: 1, "floor": 1, WIRE: 1, "redis": 1, "nginx fixed": FAR, "memcached": FAR}
UNCACHED = {HTTP: 1, "floor": 1}


def fill(bench, peer):
    return bench.fill(peer, GET_KEYS)


def warm(bench, peer):
    bench.warm(peer, GET_KEYS, "--connections", 50)
    return True


def read_field(comparison, stack, labels):
    """Ours, the floor and those peers, filled or warm; label -> contestant."""
    bench = comparison.bench
    folder, core, load_core = bench.folder, bench.options.server_core, bench.options.load_core
    server = stack.enter_context(bench.freshet())
    fill(bench, server)
    warm(bench, server)
    answer = bench.capture(server, *READ)
    floor = stack.enter_context(bench.floor(answer))
    field = {HTTP: Contestant(server), "floor": Contestant(floor), WIRE: Contestant(bench.over(server, "wire"))}
    origin = bench.program("bench_floor"), load_core
    beside = {
        "redis": (lambda: peers.Redis(folder, core), fill),
        "nginx fixed": (lambda: peers.NginxFixed(folder, core, answer), None),
        "memcached": (lambda: peers.Memcached(folder, core), fill),
        "nginx cache": (lambda: peers.NginxCache(folder, core, answer, *origin), warm),
        "varnish": (lambda: peers.Varnish(folder, core, answer, *origin), warm),
        "h2o": (lambda: peers.H2o(folder, core, answer), None),
        "node+sqlite": (lambda: peers.Node(folder, core, durable=False), fill),
    }
    for label, (make, prepare) in beside.items():
        peer = comparison.start(stack, label, make) if label in labels else None
        if peer and (prepare is None or comparison.try_to(label, prepare, bench, peer)):
            field[label] = Contestant(peer, ("--path", peer.path) if label == "h2o" else ())
    return field


def cached(comparison):
    with contextlib.ExitStack() as stack:
        field = read_field(comparison, stack, CACHED)
        reports = comparison.rounds(field, READ, READS, CACHED, scenario="get")
        comparison.show(reports)
        comparison.against(reports, HTTP, "floor", CPU, 1.25)
        for label in ("nginx fixed", "varnish", "redis", "memcached"):
            comparison.against(reports, HTTP, label, CPU, 1)
        for label in ("nginx cache", "h2o", "node+sqlite"):
            comparison.against(reports, HTTP, label, CPU)
        for label in ("floor", "redis", "memcached"):
            comparison.against(reports, WIRE, label, CPU)


def pipelined(comparison):
    with contextlib.ExitStack() as stack:
        field = read_field(comparison, stack, PIPELINED)
        reports = comparison.rounds(field, [*READ, "--pipeline", 16], READS, PIPELINED, scenario="get-pipelined")
        comparison.show(reports)
        comparison.against(reports, HTTP, "floor", CPU, 3)
        comparison.against(reports, HTTP, "redis", CPU, 1)
        for label in ("nginx fixed", "memcached"):
            comparison.against(reports, HTTP, label, CPU)
        comparison.against(reports, WIRE, "redis", CPU)


def uncached(comparison):
    bench = comparison.bench
    with bench.freshet(cache=0) as server:
        fill(bench, server)
        warm(bench, server)
        with bench.floor(bench.capture(server, *READ)) as floor:
            field = {HTTP: Contestant(server), "floor": Contestant(floor)}
            reports = comparison.rounds(field, READ, READS, UNCACHED, scenario="get-uncached")
        comparison.show(reports)
        comparison.against(reports, HTTP, "floor", CPU, 2.2)


WORK = (
    Work("get", "cached GET, 50 connections", lambda bench: 15 + READS.takes_s(bench, CACHED), cached),
    Work("get-pipelined", "cached GET, pipelined by 16", lambda bench: 8 + READS.takes_s(bench, PIPELINED), pipelined),
    Work("get-uncached", "uncached GET, 50 connections", lambda bench: 3 + READS.takes_s(bench, UNCACHED), uncached),
)
