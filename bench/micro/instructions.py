"""Instructions per operation, counted by callgrind: the one measure that is the same on a busy machine.

Micro-benchmarks are counted series by series, and repeat to the last instruction or nearly. A server is counted while one
connection has it do so many operations, sent 1 or 16 in one piece, whose answers are read before more is sent: each turn of
its loop then finds the same, and counts repeat within 2 %, on a machine under load too. With more connections the size of
the server's batches would be a matter of chance, so they are not counted. What is not in a count: the kernel, and misses of
the processor's caches.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import sys
import tempfile

from harness import results
from harness.bench import Bench
from harness.servers import BenchError
from micro import callgrind, work

BASELINE = pathlib.Path(__file__).with_suffix(".json")
RISE_MAX = 1.10
FLAT_MAX = 1.10
SHARDS_MAX = 256
SCENARIOS = {"GET": "get", "PUT": "put-none"}


def shard_list(text):
    counts = text.split(",")
    if not all(count.isdecimal() and 1 <= int(count) <= SHARDS_MAX for count in counts):
        raise argparse.ArgumentTypeError(f"{text}: numbers from 1 to {SHARDS_MAX} with commas between them are needed")
    return [int(count) for count in counts]


def make_parser():
    cores = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(
        prog="./dev bench instructions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"What was counted is kept in {callgrind.KEPT.relative_to(results.ROOT)}, for callgrind_annotate.\n"
               "Exit: 0; 1 when a count rose by more than 10 % or could not be made; 2 usage.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(work.PARTS)} (default: all)")
    parser.add_argument("--write", action="store_true", help=f"make what is counted the baseline, {BASELINE.name}")
    parser.add_argument("--shards", type=shard_list, metavar="N,N,…",
                        help="instead: a server with so many shards on one thread, and whether its counts stay the same")
    parser.add_argument("--build", type=pathlib.Path, default=results.ROOT / "build" / "release", metavar="FOLDER",
                        help="the build folder to count (default build/release)")
    parser.set_defaults(server_core=cores[0], load_core=cores[-1])
    return parser


# ---- against the baseline ----


def count_parts(bench, parts):
    """{name: instructions of one operation}, in the order of parts. Two at a time: counts do not depend on the time."""
    counts = {}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for some in pool.map(lambda part: work.part_counts(bench, part), parts):
            counts.update({name: round(count, 1) for name, count in some.items()})
    return counts


def belongs(name, parts):
    """Whether a count's name is of one of these parts."""
    return any(name.startswith((f"{part}: ", f"server, {part}: ")) for part in parts)


def compare(counts, baseline, parts):
    """Prints all counts beside the baseline; the names of those that rose, or that only one side has."""
    wrong = []
    print(f"  {'instructions per operation':<62}{'now':>12}{'baseline':>12}{'ratio':>8}")
    for name, count in counts.items():
        before = baseline.get(name)
        ratio = count / before if before else None
        rose = ratio is None or ratio > RISE_MAX
        remark = "" if not rose else "  no baseline" if ratio is None else "  ROSE"
        print(f"  {name:<62}{count:>12.1f}{before or 0:>12.1f}{ratio or 0:>8.3f}{remark}")
        wrong += [name] if rose else []
    gone = [name for name in baseline if name not in counts and belongs(name, parts)]
    for name in gone:
        print(f"  {name:<62}{'':>12}{baseline[name]:>12.1f}{'':>8}  no longer counted")
    return wrong + gone


def check(bench, parts, write):
    """True: nothing rose."""
    try:
        record = json.loads(BASELINE.read_text("utf-8"))
    except (OSError, ValueError):
        record = {"compiler": None, "counts": {}}
    compiler = work.compiler(bench.programs)
    if compiler != record["compiler"] and not write:
        print(f"  the baseline is of {record['compiler']}, this build of {compiler}: compared all the same")
    counts = count_parts(bench, parts)
    wrong = compare(counts, record["counts"], parts)
    if write:
        kept = {name: count for name, count in record["counts"].items() if not belongs(name, parts)}
        BASELINE.write_text(json.dumps({"compiler": compiler, "counts": kept | counts}, indent=1) + "\n", "utf-8")
        print(f"  written: {BASELINE.relative_to(results.ROOT)}")
        return True
    print(f"{len(counts)} counted, {len(wrong)} wrong (over {RISE_MAX - 1:.0%} above the baseline, or one side only)")
    if wrong:
        print(f"  where they go: callgrind_annotate --inclusive=yes '{callgrind.KEPT.relative_to(results.ROOT)}/…'; "
              "for a rise that is meant: ./dev bench instructions --write, committed with the reason")
    return not wrong


# ---- shards ----


def measure_shards(bench, shards):
    """Prints a table, and puts into the record of the bench what it says."""
    tables = {}
    for count in shards:
        tables[count], about = work.shard_counts(bench, count)
        for (protocol, kind, in_flight), instructions in tables[count].items():
            label = f"freshet {protocol}, counted"
            scenario = SCENARIOS[kind] + ("" if in_flight == 1 else "-pipelined")
            run = {"instructions_per_op": instructions,
                   "server": {"instructions_per_op": instructions}, "config": {"pipeline": in_flight, "connections": 1}}
            bench.servers.setdefault(label, about)
            bench.keep(run, label, None, scenario, {"shards": count})
    print("\ninstructions per operation, all shards on one thread")
    print(f"  {'':<28}" + "".join(f"{count:>10}" for count in shards) + "    most / first")
    for key in tables[shards[0]]:
        row = [tables[count][key] for count in shards]
        rise = max(row) / row[0]
        protocol, kind, in_flight = key
        name = f"{kind}, {protocol}, {in_flight} in flight"
        print(f"  {name:<28}" + "".join(f"{value:>10.0f}" for value in row) + f"{rise:>12.3f}")
        bench.checks.append({"what": f"instructions, {name}: {shards[0]} to {max(shards)} shards", "value": rise,
                             "limit": FLAT_MAX, "at_least": False, "unit": "x", "pass": rise <= FLAT_MAX})
    return all(one["pass"] for one in bench.checks)


def instructions(arguments):
    """instructions an operation, counted by callgrind: the same on every machine"""
    parser = make_parser()
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in work.PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(work.PARTS)}")
    results.FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=results.FOLDER) as folder:
        bench = Bench(options, folder)
        try:
            if options.shards is None:
                return 0 if check(bench, options.parts or list(work.PARTS), options.write) else 1
            passed = measure_shards(bench, options.shards)
        except BenchError as error:
            print(f"bench: instructions: {error}", file=sys.stderr)
            return 1
    path = results.write("shards", bench, ["./dev", "bench", "instructions", *arguments], None)
    print(f"  written: {path.relative_to(results.ROOT)}")
    return 0 if passed else 1


COMMANDS = {"instructions": instructions}
