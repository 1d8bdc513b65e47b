#!/usr/bin/env python3
"""Builds the simulation with each planted bug and shows the first seed that finds it.

    tests/sim/plants.py [NAME…]        all planted bugs of engine/, or some

A planted bug is a name in `#ifdef FRESHET_PLANT_NAME` somewhere in engine/. Each is built into
build/plant-name (optimised, without link-time optimisation, the simulation only). Exits with 1 when
the simulation misses one that it is meant to find.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS = 2000
# What the simulation is not meant to find, and who does.
NOT_HERE = {
    "refusals_forgotten": "(tests/unit/engine/journal/test_segments.c finds it)",
}


def plants():
    names = set()
    for path in sorted((ROOT / "engine").rglob("*.[ch]")):
        names.update(re.findall(r"FRESHET_PLANT_([A-Z0-9_]+)", path.read_text()))
    return sorted(name.lower() for name in names)


def build(name):
    folder = ROOT / "build" / f"plant-{name}"
    for command in (
        ["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
         f"-DFRESHET_PLANT={name}", "-DFRESHET_WERROR=OFF"],
        ["ninja", "-C", str(folder), "sim"],
    ):
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"{name} does not build:\n{result.stdout[-3000:]}{result.stderr[-3000:]}")
    return folder / "tests" / "sim" / "sim"


def first_line(text):
    lines = [line for line in text.splitlines() if line.startswith(("seed ", "freshet:"))]
    return (lines or text.splitlines() or ["?"])[-1][:240]


def search(sim):
    """The first seed that fails, and what it says. An assertion of the product counts too."""
    for seed in range(1, RUNS + 1):
        result = subprocess.run([str(sim), "--seed", str(seed)], capture_output=True, text=True,
                                timeout=120)
        if result.returncode != 0:
            return seed, first_line(result.stderr)
    return None, ""


def main():
    wanted = [name.lower() for name in sys.argv[1:]] or plants()
    missed = []
    for name in wanted:
        seed, text = search(build(name))
        if seed is None:
            if name not in NOT_HERE:
                missed.append(name)
            print(f"{name}: not found in {RUNS} seeds {NOT_HERE.get(name, '')}", flush=True)
        else:
            print(f"{name}: seed {seed}: {text}", flush=True)
    if missed:
        sys.exit(f"missed: {' '.join(missed)}")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
