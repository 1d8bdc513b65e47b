#!/usr/bin/python3
"""Breaks one rule of the product at a time, and shows that the tests of a real server notice.

    tests/coherence/plants.py               all planted bugs (tests/README.md says what each is)
    tests/coherence/plants.py NAME…         some of them
    tests/coherence/plants.py --all NAME…   asks every finder, not only the first that sees it

Each is a build of its own in build/live-plant-NAME, made with -DFRESHET_PLANT=NAME. A finder is a command that must fail there;
that it passes on the product itself is what ./dev test shows. Exit code 0: every planted bug was found.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT_S = 600
SEED = 20260101
CRASH_SEED = 1
CRASH_ROUNDS = 20

# name -> arguments of coherence_check; as in CMakeLists.txt
COHERENCE = {
    "cached": "--operations 300000 -- --threads 2 --durability none",
    "uncached": "--operations 150000 -- --threads 2 --durability none --cache-bytes 0",
    "evictions": "--operations 300000 -- --threads 2 --durability none --cache-bytes 64KiB",
    "cold": "--operations 300000 --keys 1000 --filler 3000 -- --threads 2 --durability none"
            " --cache-bytes 1MiB --block-cache-bytes 1MiB --memtable-bytes 1MiB",
}

# name -> arguments of stream_check
STREAM = {
    "memory": "--writes 200000 -- --threads 2 --durability none",
    "files": "--writes 100000 -- --threads 2 --durability none --recent-bytes 1MiB",
}

# planted bug -> its finders, the one that is expected to see it first. The simulation sees these and
# the others: tests/sim/plants.py.
PLANTS = {
    "replace_skipped": ["coherence cached"],
    "cache_replace_keeps_old": ["coherence cached"],
    "generation_not_moved": ["coherence cached"],
    "stale_gather_joined": ["coherence uncached", "coherence cached"],
    "index_row_kept": ["coherence uncached", "crash"],
    "refill_race": ["coherence cold"],
    "reply_before_apply": ["coherence cached"],
    "follower_early": ["coherence cached", "coherence uncached"],
    "skipped_entry": ["crash"],
    "epoch_reused": ["crash"],
    "idempotency_forgotten": ["crash"],
    "recycled_seed": ["crash"],
    "published_early": ["stream memory"],
    "refused_change_lost": ["stream memory", "stream files"],
    "rows_ahead": ["stream memory"],
    "told_early": ["stream memory", "stream files"],
}
TARGETS = {"coherence": ["freshet", "coherence_check"], "crash": ["freshet"], "stream": ["freshet", "stream_check"]}


def run(command, **more):
    """(exit status, output); one that hangs has noticed something, too."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              timeout=TIMEOUT_S, check=False, **more)
    except subprocess.TimeoutExpired:
        return 1, f"no end within {TIMEOUT_S} s"
    return done.returncode, done.stdout


def build(plant, finders):
    folder = ROOT / "build" / f"live-plant-{plant}"
    targets = []
    for finder in finders:
        kind = finder.partition(" ")[0]
        targets += TARGETS[kind]
    commands = [
        ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", f"-DFRESHET_PLANT={plant}",
         "-DFRESHET_WERROR=OFF"],
        ["ninja", "-C", folder, *sorted(set(targets))],
    ]
    for command in commands:
        status, output = run(command)
        if status != 0:
            print("\n".join(output.splitlines()[-30:]))
            sys.exit(f"{plant} does not build")
    return folder


def ask(finder, folder):
    """(exit status, output, seed) of one finder in one build."""
    kind, _, name = finder.partition(" ")
    environment = {**os.environ, "FRESHET_BIN": str(folder / "freshet"), "FRESHET_BUILD": str(folder),
                   "FRESHET_CRASH_SEED": str(CRASH_SEED), "FRESHET_CRASH_ROUNDS": str(CRASH_ROUNDS)}
    if kind == "coherence":
        command = [folder / "tests/coherence/coherence_check", "--seed", str(SEED), *COHERENCE[name].split()]
        return *run(command, env=environment, cwd=folder), SEED
    if kind == "stream":
        command = [folder / "tests/stream/stream_check", "--seed", str(SEED), *STREAM[name].split()]
        return *run(command, env=environment, cwd=folder), SEED
    command = [sys.executable, "-B", "-m", "unittest", "test_kill"]
    return *run(command, env=environment, cwd=ROOT / "tests/crash"), CRASH_SEED


def why(output):
    """The line that says what was found."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (r"FOUND|^stream: (follower|a snapshot|the tail|key|change)", r"\[FAIL\]|AssertionError", r"\bfailed\b|assertion|violat"):
        for line in lines:
            if re.search(pattern, line):
                return line[:150]
    return lines[-1][:150] if lines else ""


def find(plant, every):
    """The finders that saw it."""
    finders = PLANTS[plant]
    folder = build(plant, finders)
    seen = []
    for finder in finders:
        started = time.monotonic()
        status, output, seed = ask(finder, folder)
        took_s = time.monotonic() - started
        verdict = "found by" if status != 0 else "NOT SEEN by"
        print(f"{plant}: {verdict} {finder}, seed {seed}, {took_s:.0f} s: {why(output)}", flush=True)
        if status != 0:
            seen.append(f"{finder}, seed {seed}")
            if not every:
                break
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every finder, not only the first that sees it")
    parser.add_argument("plants", nargs="*", metavar="NAME")
    options = parser.parse_args()
    unknown = set(options.plants) - set(PLANTS)
    if unknown:
        parser.error(f"no such planted bug: {', '.join(sorted(unknown))}; there are {', '.join(PLANTS)}")
    results = {plant: find(plant, options.all) for plant in options.plants or PLANTS}
    print("\nplanted bug | found by")
    for plant, seen in results.items():
        print(f"{plant} | {'; '.join(seen) or 'NOBODY'}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
