"""Ours beside Redis, memcached, nginx, Varnish, h2o, Node with SQLite, RocksDB's db_bench, NATS and the floor, in one run.

Each server runs on one core with all its threads, the load on another: the same requests, values and answer sizes
(peers/README.md). The limits are the project's targets.
"""

import argparse
import sys

from harness.servers import first_line
from peers import changes, memory, mix, reads, writes
from peers.comparison import Comparison
from report import report
from report.measured import ReportError

WORK = {work.name: work for module in (reads, writes, mix, changes, memory) for work in module.WORK}


def plan_s(bench, chosen):
    """How long it takes, with all that is usual 17 minutes: the targets ask for less than 20."""
    return sum(work.takes_s(bench) for work in chosen)


def print_plan(bench, chosen):
    """What will be done, and how long it takes."""
    print("Ours beside the peers; --runs 1 --seconds 1 for a short look")
    for work in chosen:
        print(f"  {work.name:<15}{work.title:<45}{work.takes_s(bench):>5.0f} s")
    print(f"  about {plan_s(bench, chosen) / 60:.1f} min in all", flush=True)


def bench_peers(bench):
    """ours beside Redis, memcached, nginx, Varnish, h2o, Node with SQLite, db_bench and NATS: the table of targets"""
    only = bench.options.only
    if only is not None:
        bench.record_name = "peers-only"  # the page and the record of a whole run stay
    chosen = [work for name, work in WORK.items() if only is None or name in only]
    comparison = Comparison(bench, len(chosen))
    print_plan(bench, chosen)
    for work in chosen:
        comparison.do(work)
    comparison.print_rows()


def row_names(text):
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in WORK:
            raise argparse.ArgumentTypeError(f"'{name}' is no row; there are {', '.join(WORK)}")
    return names


def add_arguments(parser):
    parser.set_defaults(runs=None)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description += ("\n\nrows:\n" + "\n".join(f"  {work.name:<15}{work.title}" for work in WORK.values())
                           + "\n\nWhat is usual: 5 runs of 3 s for reads, 2 of 30 s for writes, 3 of 3 s for changes. --runs and"
                           "\n--seconds hold for every server of every row: --only put-none --runs 5 --seconds 60")
    parser.add_argument("--only", type=row_names, metavar="ROW[,ROW...]",
                        help="these rows of the table alone; the record is build/bench/peers-only.json")


def write_report(path):
    """The page and the table beside the record."""
    try:
        report.write([path], path.with_suffix(".html"), path.with_suffix(".md"))
    except ReportError as error:
        print(f"bench: {first_line(error)}", file=sys.stderr)


BENCHES = {"peers": bench_peers}
ARGUMENTS = {"peers": add_arguments}
AFTER = {"peers": write_report}
