"""Ours beside Redis, memcached, nginx, Varnish, h2o, Node with SQLite, RocksDB's db_bench, NATS and the floor, in one run.

Each server runs on one core with all its threads, the load on another: the same requests, values and answer sizes
(peers/README.md). The limits are the project's targets.
"""

import sys

from harness.results import FOLDER
from peers.changes import full_rate, notices
from peers.comparison import Comparison
from peers.memory import memory
from peers.mix import mixed
from peers.reads import reads, uncached
from peers.writes import durable_50, durable_500, put_none
from report import report
from report.measured import ReportError

WORK = (reads, uncached, durable_50, durable_500, put_none, mixed, notices, full_rate, memory)
WORK_COUNT = len(WORK) + 1  # reads are two


def bench_peers(bench):
    """ours beside Redis, memcached, nginx, Varnish, h2o, Node with SQLite, db_bench and NATS: the table of targets"""
    comparison = Comparison(bench, WORK_COUNT)
    print(f"Ours beside the peers: {WORK_COUNT} kinds of work, about 15 minutes; --runs 1 --seconds 1 for a short look")
    for work in WORK:
        work(comparison)
    comparison.finish()


def write_report(path):
    """The page and the table beside the record."""
    try:
        report.write([path], FOLDER / "peers.html", FOLDER / "peers.md")
    except ReportError as error:
        print(f"bench: {error}", file=sys.stderr)


BENCHES = {"peers": bench_peers}
AFTER = {"peers": write_report}
