"""How long a start takes: after a crash, and with many records."""

import pathlib
import statistics
import time

from harness.results import PREPARATION
from harness.tables import MIB

TAIL_BYTES = 1 << 30
TAIL_KEYS_STEP = 250000
RESTART_SECONDS_MAX = 20
STARTUP_RECORDS = (1000000, 10000000)
STARTUP_LOAD_SECONDS_MAX = 240
# Opening more table files takes some milliseconds; reading records would take seconds.
STARTUP_ADDED_SECONDS_MAX = 0.2


def timed_start(server):
    """Seconds from the start of the process to its ready line."""
    started = time.monotonic()
    server.__enter__()
    return time.monotonic() - started


def bench_restart(bench):
    """kill -9 with a journal tail of 1 GiB that no flush has covered, then start"""
    # Nothing may be flushed on its way: room for all of it in memory, and a tail that may grow.
    roomy = ["--memtable-bytes", "1GiB", "--journal-tail-max", "8GiB", "--retention-bytes", "64GiB"]
    keys = 0
    with bench.freshet(durability="none", more=roomy) as server:
        while server.metric("freshet_journal_written_bytes_total") < TAIL_BYTES:
            bench.fill(server, TAIL_KEYS_STEP, "--key-from", keys, "--value-bytes", 500)
            keys += TAIL_KEYS_STEP
        tail_bytes = server.metric("freshet_journal_written_bytes_total")
        flushed = server.metric("freshet_rocksdb_files_bytes")
        server.process.kill()
        server.process.wait()
    again = bench.freshet(data=server.data, more=roomy)
    seconds = timed_start(again)
    try:
        applied = again.metric("freshet_rocksdb_memtable_bytes")
        bench.load("read", again, "--keys", keys, "--expect-status", 200, "--seconds", 1, scenario=PREPARATION)
    finally:
        again.stop()
    print(f"\nrestart: {tail_bytes / MIB:.0f} MiB of journal, {keys} records, {flushed / MIB:.1f} MiB of them in files "
          f"before; {applied / MIB:.0f} MiB in memory after; {tail_bytes / MIB / seconds:.0f} MiB a second")
    bench.check("tail", tail_bytes / MIB, TAIL_BYTES / MIB, at_least=True, unit=" MiB")
    bench.check("seconds to ready, one core", seconds, RESTART_SECONDS_MAX, unit=" s")


def bench_startup(bench):
    """start after a clean stop, with 1 and with 10 million records"""
    data = None
    loaded = 0
    rates = []
    starts = {}
    for records in STARTUP_RECORDS:
        if rates and (records - loaded) / rates[-1] > STARTUP_LOAD_SECONDS_MAX:
            records = loaded + int(rates[-1] * STARTUP_LOAD_SECONDS_MAX)
        with bench.freshet(durability="none", data=data, more=["--retention-bytes", 0]) as server:
            report = bench.fill(server, records - loaded, "--key-from", loaded, "--value-bytes", 128)
            data = server.data
        rates.append(report["rate_per_s"])
        loaded = records
        seconds = []
        for _ in range(bench.options.runs):
            again = bench.freshet(data=data)
            seconds.append(timed_start(again))
            bench.load("read", again, "--keys", records, "--expect-status", 200, "--seconds", 0.2, "--warmup", 0,
                       scenario=PREPARATION)
            again.stop()
        starts[records] = statistics.median(seconds)
        files = sum(1 for _ in pathlib.Path(data).rglob("*.sst"))
        print(f"\nstart-up with {records} records ({files} table files): median {starts[records] * 1000:.0f} ms, "
              f"{min(seconds) * 1000:.0f}-{max(seconds) * 1000:.0f} ms; loaded at {rates[-1]:.0f} a second")
    few, many = sorted(starts)
    bench.check(f"start-up with {many} - with {few} records", starts[many] - starts[few], STARTUP_ADDED_SECONDS_MAX,
                unit=" s")


BENCHES = {"restart": bench_restart, "startup": bench_startup}
