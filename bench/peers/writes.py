"""PUT: on the disk before it is answered, and not."""

import contextlib

from peers import peers
from peers.common import FAR, HTTP, VALUE_BYTES, WIRE, WRITES, Work
from peers.comparison import CPU, RATE, Contestant

PUT_KEYS = 100000
PUT = ["--method", "put", "--keys", PUT_KEYS, "--expect-status", "200,201"]
# Of a record in the store: collection, id and what stands between them.
STORE_KEY_BYTES = 20
SETUP_S = 8
# label -> in every so manieth round
SYNC_50 = {HTTP: 1, "redis always": 1, "node+sqlite": FAR}
SYNC_500 = {HTTP: 1, "floor": 1, "db_bench": 1}
NONE = {HTTP: 1, "redis": 1, WIRE: FAR}


def put_rounds(comparison, field, connections, every, scenario):
    reports = comparison.rounds(field, [*PUT, "--connections", connections], WRITES, every, scenario=scenario)
    comparison.show(reports)
    return reports


def durable_50(comparison):
    bench = comparison.bench
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(bench.freshet())
        bench.fill(server, PUT_KEYS)
        field = {HTTP: Contestant(server)}
        redis = comparison.start(stack, "redis always", lambda: bench.redis(durable=True))
        if redis and comparison.try_to("redis always", bench.fill, redis, PUT_KEYS):
            field["redis always"] = Contestant(redis)
        # It syncs for each record: filling it first would take minutes.
        node = comparison.start(stack, "node+sqlite", lambda: peers.Node(bench.folder, bench.options.server_core))
        if node:
            field["node+sqlite"] = Contestant(node)
        reports = put_rounds(comparison, field, 50, SYNC_50, "put-sync")
        comparison.against(reports, HTTP, "redis always", RATE, 0.9, at_least=True)
        comparison.against(reports, HTTP, "redis always", CPU)
        comparison.against(reports, HTTP, "node+sqlite", RATE)


def durable_500(comparison):
    bench = comparison.bench
    with bench.freshet() as server:
        bench.fill(server, PUT_KEYS)
        answer = bench.capture(server, *PUT)
        with bench.floor(answer, bodies=True) as floor:
            field = {HTTP: Contestant(server), "floor": Contestant(floor)}
            database = comparison.try_to("db_bench", peers.DbBench, bench.folder, bench.options.server_core,
                                         seconds=bench.seconds(WRITES.seconds), key_bytes=STORE_KEY_BYTES,
                                         value_bytes=VALUE_BYTES)
            if database:
                field["db_bench"] = Contestant(database, run=database.run)
            reports = put_rounds(comparison, field, 500, SYNC_500, "put-sync-500")
        comparison.against(reports, HTTP, "floor", CPU, 3.3)
        comparison.against(reports, HTTP, "db_bench", RATE, 4, at_least=True)
        comparison.against(reports, HTTP, "db_bench", CPU)


def put_none(comparison):
    bench = comparison.bench
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(bench.freshet(durability="none"))
        bench.fill(server, PUT_KEYS)
        field = {HTTP: Contestant(server)}
        redis = comparison.start(stack, "redis", bench.redis)
        if redis and comparison.try_to("redis", bench.fill, redis, PUT_KEYS):
            field["redis"] = Contestant(redis)
        field[WIRE] = Contestant(bench.over(server, "wire"))
        reports = put_rounds(comparison, field, 50, NONE, "put-none")
        comparison.against(reports, HTTP, "redis", CPU, 1.6)
        comparison.against(reports, WIRE, "redis", CPU)


WORK = (
    Work("put-sync", "durable PUT, 50 connections", lambda bench: SETUP_S + WRITES.takes_s(bench, SYNC_50), durable_50),
    Work("put-sync-500", "durable PUT, 500 connections", lambda bench: SETUP_S + WRITES.takes_s(bench, SYNC_500),
         durable_500),
    Work("put-none", "PUT, durability none, 50 connections", lambda bench: SETUP_S + WRITES.takes_s(bench, NONE), put_none),
)
