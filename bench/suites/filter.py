"""Changes against many patterns at once: the matcher by itself, without a server."""

import json
import subprocess

from harness.servers import BenchError
from harness.tables import middle, spread
from suites import filter_rules

FILTER_EVENTS = 2000
FILTER_US_MAX = {1000: 2.0, 10000: 5.0, 100000: 15.0}


def bench_filter(bench):
    """changes against 1,000, 10,000 and 100,000 patterns of all operators"""
    events = filter_rules.write_lines(bench.folder / "events.jsonl", filter_rules.events(FILTER_EVENTS, bench.options.seed))
    reports = {}
    for count in FILTER_US_MAX:
        rules = filter_rules.write_lines(bench.folder / f"rules-{count}.jsonl",
                                         filter_rules.rules(count, bench.options.seed))
        command = ["taskset", "-c", str(bench.options.server_core), bench.program("freshet"), "bench", "filter", "--rules",
                   rules, "--events", events, "--seconds", str(bench.seconds(3))]
        reports[count] = []
        for _ in range(bench.options.runs):
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode != 0:
                raise BenchError("freshet bench filter failed")
            reports[count].append(bench.keep(json.loads(done.stdout), "freshet", None, f"filter-{count}"))
    print(f"\n{FILTER_EVENTS} changes of products against all patterns at once, medians of {bench.options.runs}, "
          f"seed {bench.options.seed}")
    print(f"  {'rules':>8}{'us an event':>13}{'spread':>16}{'events a second':>17}{'matches an event':>18}"
          f"{'us to add one':>15}{'bytes a rule':>14}")
    for count, some in reports.items():
        spent = middle(some, "us_per_event")
        print(f"  {count:>8}{spent:>13.3f}{spread(report['us_per_event'] for report in some):>16}{1e6 / spent:>17.0f}"
              f"{some[0]['matches'] / FILTER_EVENTS:>18.2f}"
              f"{middle(some, 'us_per_rule_added'):>15.2f}"
              f"{some[0]['matcher_bytes'] / count:>14.0f}")
    for count, limit in FILTER_US_MAX.items():
        bench.check(f"{count} rules, an event", middle(reports[count], "us_per_event"), limit, unit=" us")


def filter_arguments(parser):
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of rules and events (default 1)")


ARGUMENTS = {"filter": filter_arguments}
BENCHES = {"filter": bench_filter}
