"""What the kinds of work have in common: the names of ours, the requests, how long and how often.

Where no limit is near, or nothing gathers that a longer run would show, fewer and shorter runs do.
"""

from harness.results import PREPARATION

HTTP, WIRE = "freshet http", "freshet wire"

READ_SECONDS, READ_WARMUP_S = 3, 0.5
WRITE_SECONDS, WRITE_WARMUP_S, WRITE_RUNS = 30, 1, 2
STREAM_RUNS = 3
FAR_EVERY = 3
SHORT_SECONDS = 10
FLOOR_SECONDS = 5

VALUE_BYTES = 300
GET_KEYS = 10000
READ = ["--keys", GET_KEYS, "--connections", 50, "--expect-status", 200]


def read_seconds(comparison):
    return comparison.bench.seconds(READ_SECONDS)


def write_runs(comparison):
    return min(comparison.bench.options.runs, WRITE_RUNS)


def stream_runs(comparison):
    return min(comparison.bench.options.runs, STREAM_RUNS)


def count(bench, usual):
    """A tenth of the records, for a short look."""
    return usual if bench.options.seconds is None else usual // 10


def warm(bench, server, keys=GET_KEYS):
    """Until each key was asked for."""
    asked = 0
    while asked < keys:
        shape = ["--keys", keys - asked, "--key-from", asked, "--distribution", "sequential", "--connections", 50]
        asked += bench.load("warm", server, *shape, "--seconds", 1, "--warmup", 0, scenario=PREPARATION)["operations"]
    return asked
