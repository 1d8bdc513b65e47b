"""Result files of benchmarks, made by hand, for the tests of what reads them."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

from report import measured  # noqa: E402

MACHINE = {"cpu": "Test CPU <9>", "cpus": 2, "memory_bytes": 8 << 30, "kernel": "6.1.0", "os": "Debian 12", "disk": "ext4"}


def a_run(label, cpu, *, scenario="get", point=None, rate=100000, p50=200, p99=600, rss=60 << 20):
    """A report of bench_load, as the harness keeps it."""
    return {
        "scenario": scenario, "label": label, "point": point or {}, "operations": 1000, "rate_per_s": rate,
        "latency_us": {"count": 1000, "p50": p50, "p90": 1.5 * p50, "p99": p99, "p99.9": 2 * p99, "p99.99": 3 * p99,
                       "max": 4e4},
        "config": {"connections": 50, "pipeline": 1, "mix": {"get": 1}, "keys": 10000, "value_bytes": 300, "seconds": 5,
                   "rate": (point or {}).get("rate", 0), "mode": "open" if point else "closed", "target": "127.0.0.1:4711"},
        "server": {"cpu_us_per_op": cpu, "rss_before_bytes": 1, "rss_after_bytes": rss, "write_bytes": 0},
    }  # fmt: skip


def a_check(what, value, limit, good, at_least=False):
    return {"what": what, "value": value, "limit": limit, "at_least": at_least, "unit": "", "pass": good}


def a_record(runs, **more):
    return {
        "schema": 1, "bench": "peers", "started_at": "2026-05-04T10:00:00+00:00", "ended_at": "2026-05-04T10:18:00+00:00",
        "command": ["bench/run.py", "peers", "--runs", "3"], "commit": "abc1234", "build": "release",
        "machine": dict(MACHINE), "server_core": 0, "load_core": 1, "failure": None,
        "servers": {"redis": {"version": "7.0.15", "command": ["redis-server", "a.conf"], "config": "save \"\"\n",
                              "does_not": "keep anything"}},
        "checks": [a_check("GET, CPU of freshet / floor", 1.2, 1.25, True),
                   a_check("GET, rate | of redis", 0.8, 0.9, False, at_least=True)],
        "runs": runs, **more,
    }  # fmt: skip


def ordinary_runs():
    """Three repetitions of four servers, an open loop, and a sweep."""
    runs = [{"scenario": "fill", "label": "fill", "point": {}}]
    for noise in (1.0, 1.02, 0.98):
        for label, cpu in {"freshet http": 5.0, "freshet wire": 4.8, "redis": 8.0, "floor": 4.0}.items():
            runs.append(a_run(label, cpu * noise, rate=4e5 / cpu))
        for label, capacity in {"freshet http": 1e5, "redis": 8e4}.items():
            runs += [a_run(label, 6 * noise, scenario="mix", point={"rate": capacity * share}, p99=100 / (1.01 - share))
                     for share in (0.3, 0.5, 0.7, 0.9)]
        for count in (1, 10, 100, 1000):
            runs.append(a_run("freshet http", 5 + count / 1000, scenario="scale", point={"connections": count}))
    return runs


class ReportCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, record, name="peers.json"):
        path = self.folder / name
        path.write_text(record if isinstance(record, str) else json.dumps(record), encoding="utf-8")
        return path

    def measured(self, runs=None, **more):
        return measured.read(self.file(a_record(ordinary_runs() if runs is None else runs, **more)))

    def command(self, main, *arguments):
        """(exit code, standard output, standard error)"""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(word) for word in arguments])
        return code, out.getvalue(), err.getvalue()
