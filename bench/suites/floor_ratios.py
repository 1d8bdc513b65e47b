"""Requests of one kind against the floor, which sends the very bytes that the server sent, captured in the same run.

Runs of the server and of the floor alternate, so that a machine that slows down slows both; the median of the ratios of
neighbouring runs counts. nginx `return 200` of that size is measured once, as a known point.
"""

import dataclasses

from harness.tables import cpu_us, print_table, rate, ratio_of_pairs

PUT_RATIO_MAX = 4.0
PUT_RATE_SHARE_MIN = 0.6
PUT_CONNECTIONS = 500
KEYS = 10000
LABEL = "freshet http"
# As much as a server says of itself, so that nginx can send as much.
FIXED_HEAD = (b"HTTP/1.1 200 OK\r\nServer: bench_floor\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
              b"Content-Type: application/json\r\nConnection: keep-alive")


def floor_against_nginx(bench, title, reports):
    bench.check(f"{title}, CPU of floor / nginx", cpu_us(reports["floor"]) / cpu_us(reports["nginx fixed"]), 1.0)


def against_floor(bench, title, server, limit, shape, scenario, *, nginx=True):
    """Reads of one kind, server and floor in turn, nginx once; checks the ratio."""
    answer = bench.capture(server, *shape)
    arguments = [*shape, "--seconds", bench.seconds(5), "--warmup", 1]
    with bench.floor(answer) as floor:
        reports = bench.alternate({LABEL: server, "floor": floor}, bench.options.runs, arguments, scenario=scenario)
    if nginx:
        reports["nginx fixed"] = [bench.nginx_once(answer, *arguments, scenario=scenario)]
    print_table(f"{title}: answers of {answer.stat().st_size} bytes, medians of {bench.options.runs}", reports)
    if limit is not None:
        bench.check(f"{title}, CPU of freshet / floor", ratio_of_pairs(reports[LABEL], reports["floor"], cpu_us), limit)
    if nginx:
        floor_against_nginx(bench, title, reports)


@dataclasses.dataclass(frozen=True)
class Reads:
    """GET of one record among KEYS, 50 connections."""

    title: str
    scenario: str
    ratio_max: float
    pipeline: int = 1
    cache: int | None = None


CACHED = Reads("cached GET, 50 connections", "get", 1.35)
PIPELINED = Reads("cached GET, pipelined by 16", "get-pipelined", 3.5, pipeline=16)
UNCACHED = Reads("uncached GET, 50 connections", "get-uncached", 2.3, cache=0)


def reads(bench, what):
    with bench.freshet(cache=what.cache) as server:
        bench.fill(server, KEYS)
        shape = ["--keys", KEYS, "--connections", 50, "--pipeline", what.pipeline, "--expect-status", 200]
        bench.warm(server, KEYS, *shape)
        against_floor(bench, what.title, server, what.ratio_max, shape, what.scenario)


def bench_get(bench):
    """cached GET at 50 connections"""
    reads(bench, CACHED)


def bench_pipeline(bench):
    """cached GET at 50 connections, 16 in flight on each"""
    reads(bench, PIPELINED)


def bench_uncached(bench):
    """GET with the cache off: RocksDB in memory"""
    reads(bench, UNCACHED)


def bench_list(bench):
    """a page of 100 records and an index page, cached"""
    with bench.freshet() as server:
        bench.fill(server, KEYS)
        for title, scenario, path in (("page of 100 records", "list-page", "/products?limit=100"),
                                      ("index page of 100", "index-page", "/products?category=shelf-07&limit=100")):
            shape = ["--path", path, "--connections", 50, "--expect-status", 200]
            against_floor(bench, title, server, None, shape, scenario, nginx=False)


def bench_put(bench):
    """durable PUT at 500 connections, and its rate against --durability none"""
    shape = ["--method", "put", "--keys", 100000, "--connections", PUT_CONNECTIONS, "--expect-status", "200,201"]
    arguments = [*shape, "--seconds", bench.seconds(30), "--warmup", 2]
    with bench.freshet() as durable, bench.freshet(durability="none", name="none") as volatile:
        for server in (durable, volatile):
            bench.fill(server, 100000, "--connections", PUT_CONNECTIONS)
        answer = bench.capture(durable, *shape)
        with bench.floor(answer, bodies=True) as floor:
            servers = {"freshet http sync": durable, "floor": floor, "freshet http none": volatile}
            reports = bench.alternate(servers, bench.options.runs, arguments, scenario="put",
                                      point={"connections": PUT_CONNECTIONS})
        print_table(f"PUT, {PUT_CONNECTIONS} connections, {bench.seconds(30):g} s windows: "
                    f"answers of {answer.stat().st_size} bytes, medians of {bench.options.runs}", reports)
        sync = reports["freshet http sync"]
        bench.check("durable PUT, CPU of freshet / floor", ratio_of_pairs(sync, reports["floor"], cpu_us), PUT_RATIO_MAX)
        bench.check("rate of sync / rate of none", ratio_of_pairs(sync, reports["freshet http none"], rate),
                    PUT_RATE_SHARE_MIN, at_least=True)


def bench_floor(bench):
    """the floor against nginx alone: is the machine fit to measure on?"""
    for scenario, pipeline in (("get", 1), ("get-pipelined", 16)):
        answer = bench.folder / "answer"
        answer.write_bytes(FIXED_HEAD + b"\r\nContent-Length: 400\r\n\r\n" + b"x" * 400)
        arguments = ["--connections", 50, "--pipeline", pipeline, "--seconds", bench.seconds(5), "--warmup", 1]
        with bench.floor(answer) as floor:
            reports = bench.alternate({"floor": floor}, bench.options.runs, arguments, scenario=scenario)
        reports["nginx fixed"] = [bench.nginx_once(answer, *arguments, scenario=scenario)]
        title = f"fixed answer, 50 connections, {pipeline} in flight on each"
        print_table(title, reports)
        floor_against_nginx(bench, title, reports)


BENCHES = {"floor": bench_floor, "get": bench_get, "pipeline": bench_pipeline, "uncached": bench_uncached,
           "list": bench_list, "put": bench_put}
