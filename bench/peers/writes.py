"""PUT: on the disk before it is answered, and not."""

import contextlib

from peers import peers
from peers.common import (FAR_EVERY, FLOOR_SECONDS, HTTP, SHORT_SECONDS, VALUE_BYTES, WIRE, WRITE_SECONDS, WRITE_WARMUP_S,
                          write_runs)
from peers.comparison import CPU, RATE, Contestant

PUT_KEYS = 100000
PUT = ["--method", "put", "--keys", PUT_KEYS, "--expect-status", "200,201"]
# Of a record in the store: collection, id and what stands between them.
STORE_KEY_BYTES = 20


def put_rounds(comparison, field, connections, scenario):
    return comparison.rounds(field, [*PUT, "--connections", connections], write_runs(comparison), scenario=scenario,
                             seconds=comparison.bench.seconds(WRITE_SECONDS), warmup_s=WRITE_WARMUP_S)


def put_seconds(comparison, *lengths):
    """How long runs of at most these lengths take."""
    usual = comparison.bench.seconds(WRITE_SECONDS)
    return 10 + write_runs(comparison) * sum(min(usual, length) + WRITE_WARMUP_S for length in lengths)


def durable_50(comparison):
    bench = comparison.bench
    about_s = put_seconds(comparison, WRITE_SECONDS, WRITE_SECONDS, SHORT_SECONDS / 2)
    with comparison.work("durable PUT, 50 connections", about_s) as work, contextlib.ExitStack() as stack:
        server = stack.enter_context(bench.freshet())
        bench.fill(server, PUT_KEYS)
        field = {HTTP: Contestant(server)}
        redis = comparison.start(stack, "redis always", lambda: bench.redis(durable=True))
        if redis and comparison.try_to("redis always", bench.fill, redis, PUT_KEYS):
            field["redis always"] = Contestant(redis)
        # It syncs for each record: filling it first would take minutes.
        node = comparison.start(stack, "node+sqlite", lambda: peers.Node(bench.folder, bench.options.server_core))
        if node:
            field["node+sqlite"] = Contestant(node, every=FAR_EVERY, seconds=SHORT_SECONDS)
        reports = put_rounds(comparison, field, 50, "put-sync")
        comparison.show(work, reports)
        comparison.against(work, reports, HTTP, "redis always", RATE, 0.9, at_least=True)
        comparison.against(work, reports, HTTP, "redis always", CPU)
        comparison.against(work, reports, HTTP, "node+sqlite", RATE)


def durable_500(comparison):
    bench = comparison.bench
    about_s = put_seconds(comparison, WRITE_SECONDS, FLOOR_SECONDS, WRITE_SECONDS)
    with comparison.work("durable PUT, 500 connections", about_s) as work, bench.freshet() as server:
        bench.fill(server, PUT_KEYS)
        answer = bench.capture(server, *PUT)
        with bench.floor(answer, bodies=True) as floor:
            field = {HTTP: Contestant(server), "floor": Contestant(floor, seconds=FLOOR_SECONDS)}
            database = comparison.try_to("db_bench", peers.DbBench, bench.folder, bench.options.server_core,
                                         seconds=bench.seconds(WRITE_SECONDS), key_bytes=STORE_KEY_BYTES,
                                         value_bytes=VALUE_BYTES)
            if database:
                field["db_bench"] = Contestant(database, run=database.run)
            reports = put_rounds(comparison, field, 500, "put-sync-500")
        comparison.show(work, reports)
        comparison.against(work, reports, HTTP, "floor", CPU, 3.3)
        comparison.against(work, reports, HTTP, "db_bench", RATE, 4, at_least=True)
        comparison.against(work, reports, HTTP, "db_bench", CPU)


def put_none(comparison):
    bench = comparison.bench
    about_s = put_seconds(comparison, WRITE_SECONDS, SHORT_SECONDS, SHORT_SECONDS)
    with comparison.work("PUT, durability none, 50 connections", about_s) as work, contextlib.ExitStack() as stack:
        server = stack.enter_context(bench.freshet(durability="none"))
        bench.fill(server, PUT_KEYS)
        field = {HTTP: Contestant(server)}
        redis = comparison.start(stack, "redis", bench.redis)
        if redis and comparison.try_to("redis", bench.fill, redis, PUT_KEYS):
            field["redis"] = Contestant(redis, seconds=SHORT_SECONDS)
        field[WIRE] = Contestant(bench.over(server, "wire"), seconds=SHORT_SECONDS)
        reports = put_rounds(comparison, field, 50, "put-none")
        comparison.show(work, reports)
        comparison.against(work, reports, HTTP, "redis", CPU, 1.6)
        comparison.against(work, reports, WIRE, "redis", CPU)
