"""Scenarios by their files: a fresh server, filled and warm, in closed loop for its capacity and the cost of an operation,
then in open loop at shares of that capacity for the latency."""

import argparse
import contextlib
import shutil
import sys

from harness import scenario as scenarios
from harness.servers import BenchError
from harness.tables import MIB, cpu_us, middle, print_streams, rate, spread
from report.measured import fell_behind

WARMUP_S = 2


def print_closed(rows):
    print(f"\n  closed loop{'':<9}{'CPU us each':>12}{'spread':>16}{'a second':>12}{'spread':>20}{'p50 us':>9}{'p99 us':>9}"
          f"{'RSS MiB':>9}{'disk/logical byte':>19}")
    for label, reports in rows.items():
        print(f"  {label:<20}{cpu_us(reports):>12.3f}"
              f"{spread(report['server']['cpu_us_per_op'] for report in reports):>16}{rate(reports):>12.0f}"
              f"{spread((report['rate_per_s'] for report in reports), 0):>20}{middle(reports, 'latency_us', 'p50'):>9.0f}"
              f"{middle(reports, 'latency_us', 'p99'):>9.0f}{middle(reports, 'server', 'rss_after_bytes') / MIB:>9.1f}"
              f"{amplification(reports):>19}")


def amplification(reports):
    """Bytes to the disk for each byte of key and value that was written; over all runs, as compaction is not in each."""
    written = sum(report["logical_bytes_written"] for report in reports)
    return f"{sum(report['server']['write_bytes'] for report in reports) / written:.2f}" if written > 0 else "-"


def print_open(rows):
    """rows: (label, share of the capacity in percent) -> reports."""
    names = ("p50", "p90", "p99", "p99.9", "p99.99", "max")
    print(f"\n  open loop{'':<11}{'load':>6}{'a second':>10}{'CPU us each':>13}"
          + "".join(f"{name + ' us':>11}" for name in names) + f"{'p99 spread':>18}")
    for (label, percent), reports in rows.items():
        mark = "*" if any(map(fell_behind, reports)) else " "
        print(f"  {label:<20}{percent:>4} %{rate(reports):>9.0f}{mark}{cpu_us(reports):>13.3f}"
              + "".join(f"{middle(reports, 'latency_us', name):>11.0f}" for name in names)
              + f"{spread((report['latency_us']['p99'] for report in reports), 0):>18}")
    if any(fell_behind(report) for reports in rows.values() for report in reports):
        print("  * not all that was due was sent: the server, or this machine, cannot do this load, and its latency is that of "
              "a queue that grows")


@contextlib.contextmanager
def filled(bench, scenario, protocol):
    """A new server with the scenario's records, each read and compared once if they are to be read, and so each page of them,
    unless inserts make it another page; its data go when it ends."""
    with bench.freshet(durability=scenario.durability, cache=scenario.cache_bytes) as server:
        spoken = bench.over(server, protocol)
        bench.fill(spoken, scenario.records, "--value-bytes", scenario.value_bytes)
        checked = ["--value-bytes", scenario.value_bytes, "--connections", 50, "--expect-status", 200, "--check"]
        if "get" in scenario.mix and not scenario.path and scenario.cache_bytes != 0:
            bench.warm(spoken, scenario.records, *checked)
        if "list" in scenario.mix and not scenario.grows() and scenario.cache_bytes != 0:
            bench.warm(spoken, scenario.records, *checked, "--mix", "list=1")
        yield spoken
    shutil.rmtree(server.data)


def repeat(bench, scenario, protocol, server, *more, point=None):
    """Runs of one kind: all on one server, or each on a new one (server None) where a run changes how many records there
    are, so that all find the same."""
    reports = []
    for _ in range(bench.options.runs):
        with filled(bench, scenario, protocol) if server is None else contextlib.nullcontext(server) as one:
            shape = [*scenario.shape(), "--warmup", WARMUP_S, "--seconds", bench.seconds(scenario.seconds),
                     *(["--check"] if bench.options.check else []), *more]
            reports.append(bench.load(f"freshet {protocol}", one, *shape, scenario=scenario.name, point=point))
    return reports


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run_load(bench, scenario, protocols, loops):
    closed, opened = {}, {}
    for protocol in protocols:
        label = f"freshet {protocol}"
        with contextlib.nullcontext() if scenario.grows() else filled(bench, scenario, protocol) as server:
            # Open loop goes by the capacity, so that is found in any case.
            progress(f"{scenario.name}, {label}: as fast as it can")
            closed[label] = repeat(bench, scenario, protocol, server)
            for percent in scenario.load_percent if "open" in loops else ():
                asked = max(1, int(rate(closed[label]) * percent / 100))
                progress(f"{scenario.name}, {label}: {asked} a second")
                opened[label, percent] = repeat(bench, scenario, protocol, server, "--rate", asked,
                                                point={"rate": asked})
    print(f"\n{scenario.name}: {scenario.title}\n  {scenario.records} records of {scenario.value_bytes} bytes, "
          f"{scenario.distribution}, {scenario.connections} connections, {scenario.pipeline} in flight on each, durability "
          f"{scenario.durability}; medians of {bench.options.runs}")
    print_closed(closed)
    if opened:
        print_open(opened)


def run_stream(bench, scenario, protocols):
    rows = {}
    for protocol in protocols:
        label = f"freshet {protocol}"
        progress(f"{scenario.name}, {label}")
        with bench.freshet(durability=scenario.durability, cache=scenario.cache_bytes) as server:
            shape = [*scenario.stream_shape(protocol), "--warmup", WARMUP_S, "--seconds",
                     bench.seconds(scenario.seconds)]
            rows[label] = [bench.stream(label, bench.over(server, protocol), *shape, scenario=scenario.name)
                           for _ in range(bench.options.runs)]
    print_streams(f"{scenario.name}: {scenario.title}\n  {scenario.subscribers} subscribers, {scenario.rate} writes a second "
                  f"by {scenario.writers} writers, durability {scenario.durability}; medians of {bench.options.runs}", rows)


def run_scenario(bench, scenario):
    protocols = [protocol for protocol in scenario.protocols if bench.options.protocol in (None, protocol)]
    loops = [loop for loop in scenario.loop if bench.options.loop in (None, loop)]
    if not protocols:
        print(f"\n{scenario.name}: not over {bench.options.protocol}")
    elif scenario.kind == "stream":
        run_stream(bench, scenario, protocols)
    elif not loops:
        print(f"\n{scenario.name}: not in {bench.options.loop} loop")
    else:
        run_load(bench, scenario, protocols, loops)


def bench_scenario(bench):
    """work that a file in bench/load/scenarios describes: scenario NAME…; without NAME: which there are"""
    if not bench.options.scenarios:
        for name in scenarios.names():
            print(f"  {name:<16}{scenarios.find(name).title}")
        return
    names = [scenario.name for scenario in bench.options.scenarios]
    for name in names:
        if names.count(name) > 1:
            raise BenchError(f"two of these scenarios are called {name}: their runs would count as repetitions of one")
    for scenario in bench.options.scenarios:
        bench.titles[scenario.name] = scenario.title
        try:
            run_scenario(bench, scenario)
        except BenchError as error:  # the others may be better
            bench.leave_out(scenario.name, error)
    if not bench.runs and not bench.left_out:
        raise BenchError("nothing was measured: --protocol or --loop asks for what none of these scenarios has")


def named(text):
    try:
        return scenarios.find(text)
    except scenarios.ScenarioError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def scenario_arguments(parser):
    parser.add_argument("scenarios", nargs="*", type=named, metavar="SCENARIO",
                        help="by name, or the path of a file like those in bench/load/scenarios; none: lists them")
    parser.add_argument("--protocol", choices=["http", "wire"], help="only over this one (default: as the scenario says)")
    parser.add_argument("--loop", choices=["closed", "open"],
                        help="only this one (default: as the scenario says); open finds the capacity in closed loop first")
    parser.add_argument("--check", action="store_true",
                        help="compare every byte of every answer, not its length alone; this costs the load's core time")


ARGUMENTS = {"scenario": scenario_arguments}
BENCHES = {"scenario": bench_scenario}
