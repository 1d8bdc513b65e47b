#!/usr/bin/python3
"""What ./dev bench runs: finds a benchmark by its name, reads its options, writes its record, says whether it passed."""

import argparse
import dataclasses
import importlib
import os
import pathlib
import signal
import sys
import tempfile
from collections.abc import Callable

from harness import results
from harness.bench import Bench
from harness.servers import BenchError

# Each offers BENCHES = {name: function(bench)}, whose options beyond the common ones are added by
# ARGUMENTS = {name: function(parser)}, and whose record is given to AFTER = {name: function(path)}; or
# COMMANDS = {name: function(argv)} for what measures no server. Their docstrings are the help.
MODULES = ("suites.floor_ratios", "suites.memory", "suites.start", "suites.filter", "suites.changes", "suites.wire",
           "suites.scenarios", "suites.peers", "suites.scaling", "report.report", "report.compare", "micro.instructions")
INTERRUPTED = 130  # as of a shell's command that SIGINT ended
# These take long, or do nothing until they are told what.
NOT_IN_ALL = ("soak", "scenario", "peers", "scaling")


@dataclasses.dataclass
class Registry:
    benches: dict[str, Callable]
    commands: dict[str, Callable]
    arguments: dict[str, Callable]
    after: dict[str, Callable]


def register():
    registry = Registry({}, {}, {}, {})
    for name in MODULES:
        module = importlib.import_module(name)
        registry.benches.update(getattr(module, "BENCHES", {}))
        registry.commands.update(getattr(module, "COMMANDS", {}))
        registry.arguments.update(getattr(module, "ARGUMENTS", {}))
        registry.after.update(getattr(module, "AFTER", {}))
    return registry


def positive(text):
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: a number greater than 0 is needed")
    return value


def count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 1 on is needed")
    return int(text)


def core(text):
    """A core that this process may use."""
    allowed = os.sched_getaffinity(0)
    if not text.isdecimal() or int(text) not in allowed:
        raise argparse.ArgumentTypeError(f"{text} is none of the cores that this process may use: {sorted(allowed)}")
    return int(text)


def common_options():
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("options of every benchmark")
    group.add_argument("--runs", type=count, default=5, metavar="N",
                       help="runs of each, of which the median counts (default 5, or what the benchmark says)")
    group.add_argument("--seconds", type=positive, metavar="S",
                       help="length of a run, for a short look; figures to quote come from the default, which each "
                            "benchmark chooses: mostly 5")
    group.add_argument("--server-core", type=core, default=0, metavar="CORE",
                       help="where every thread of the server runs (default 0)")
    group.add_argument("--load-core", type=core, default=1, metavar="CORE",
                       help="where the load runs; another than the server's (default 1)")
    group.add_argument("--build", type=pathlib.Path, default=results.ROOT / "build" / "release", metavar="FOLDER",
                       help="the build folder to measure (default build/release)")
    return parser


def make_parser(registry):
    common = common_options()
    functions = registry.benches | registry.commands
    lines = [(name, function.__doc__.partition("\n")[0]) for name, function in functions.items()]
    lines.append(("all", f"each benchmark but {', '.join(name for name in NOT_IN_ALL if name in registry.benches)}"))
    names = "\n".join(f"  {name:<14}{text}" for name, text in lines)
    options = common.format_help().partition("options of every")[2]
    parser = argparse.ArgumentParser(
        prog="./dev bench", formatter_class=argparse.RawDescriptionHelpFormatter, usage="./dev bench NAME [options]",
        description=f"Benchmarks (bench/README.md). Each prints a table and writes build/bench/NAME.json.\n\n{names}",
        epilog=f"options of every{options}\n./dev bench NAME --help lists those that a benchmark has of its own.\n"
               "Exit: 0; 1 when a limit was missed or a run went wrong; 2 usage; 130 when interrupted.")
    choices = parser.add_subparsers(dest="name", metavar="NAME", prog="./dev bench", help=argparse.SUPPRESS)
    for name, text in lines:
        if name in registry.commands:
            continue
        one = choices.add_parser(name, parents=[common_options()], description=text)  # with defaults of its own
        registry.arguments.get(name, lambda _: None)(one)
    return parser


def run_one(function, options, after=None):
    """True when all checks passed."""
    results.FOLDER.mkdir(parents=True, exist_ok=True)
    # Data directories are on the disk of the checkout, never in a memory file system where a sync costs nothing.
    with tempfile.TemporaryDirectory(prefix="run-", dir=results.FOLDER) as work:
        bench = Bench(options, work)
        try:
            function(bench)
        except BenchError as error:
            bench.left_out.insert(0, str(error))
        except BaseException as error:
            # Ctrl-C, or a fault of the harness: what was measured before is kept all the same.
            by = "an interruption" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__} {error}".strip()
            record(bench, f"it was ended by {by}")
            raise
    failure = "; ".join(bench.left_out) or None
    for text in bench.left_out:
        print(f"bench: {options.name}: {text}", file=sys.stderr)
    path = record(bench, failure)
    if path is not None and after is not None:
        after(path)
    return failure is None and all(check["pass"] for check in bench.checks)


def record(bench, failure):
    """Writes what was measured; the path of the record, None where there is nothing to tell."""
    if not bench.runs:
        return None
    path = results.write(bench.record_name or bench.options.name, bench, ["./dev", "bench", *sys.argv[1:]], failure)
    print(f"  written: {path.relative_to(results.ROOT)}")
    return path


def main():
    try:
        return measure()
    except KeyboardInterrupt:
        print("bench: interrupted: the servers have been ended; a result file, if one is named above, says that it is not "
              "complete", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        print(f"bench: {error.filename or 'the benchmark'}: {error.strerror or error}", file=sys.stderr)
        return 1


def measure():
    registry = register()
    arguments = sys.argv[1:]
    if arguments and arguments[0] in registry.commands:
        return registry.commands[arguments[0]](arguments[1:])
    parser = make_parser(registry)
    options = parser.parse_args(arguments)
    if options.name is None:
        parser.print_help()
        return 2
    if options.server_core == options.load_core:
        parser.error("--server-core and --load-core: two cores are needed, one for the server, one for the load")
    # SIGTERM unwinds like Ctrl-C, so that no server and no data directory stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.name != "all":
        return 0 if run_one(registry.benches[options.name], options, registry.after.get(options.name)) else 1
    passed = [run_one(function, parser.parse_args([name, *arguments[1:]]))
              for name, function in registry.benches.items() if name not in NOT_IN_ALL]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
