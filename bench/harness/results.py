"""The record of one benchmark: everything that is needed to judge its figures, and to run it again.

build/bench/NAME.json is the newest of its name; build/bench/results/ keeps them all.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "bench"
SCHEMA = 1
# The scenario of runs that prepare others (they fill a server, or warm it up): no measurement.
PREPARATION = "fill"


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def _first(path, pattern):
    """What the first group of a pattern finds in a file, empty where there is nothing."""
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1) if found else ""


def _file_system(path):
    """The type of the file system that holds a path: that of the longest mount point above it."""
    best = ("", "")
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, point, kind, *_ = line.split()
            if path.is_relative_to(point) and len(point) >= len(best[0]):
                best = (point, kind)
    return best[1]


def machine():
    return {
        "cpu": _first("/proc/cpuinfo", r"^model name\s*: (.*)$") or os.uname().machine,
        "cpus": os.cpu_count(),
        "memory_bytes": int(_first("/proc/meminfo", r"^MemTotal:\s*(\d+)") or 0) * 1024,
        "kernel": os.uname().release,
        "os": _first("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "disk": _file_system(FOLDER.resolve()),
    }


def commit():
    return subprocess.run(["git", "describe", "--always", "--dirty", "--tags"], cwd=ROOT, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()


def _put(path, text):
    """The whole text or, where there is no room for it, nothing: the file that was there before is kept."""
    new = path.with_suffix(".new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def write(name, bench, command, failure):
    """Writes the record of a Bench, twice; the path of the newest."""
    ended_at = now()
    record = {
        "schema": SCHEMA, "bench": name, "started_at": bench.started_at.isoformat(timespec="seconds"),
        "ended_at": ended_at.isoformat(timespec="seconds"), "command": command, "commit": commit(),
        "build": bench.programs.name, "machine": machine(), "server_core": bench.options.server_core,
        "load_core": bench.options.load_core, "failure": failure, "servers": bench.servers, "checks": bench.checks,
        "runs": bench.runs,
    }
    # Paths from the root of the checkout: a record says nothing of where that is.
    text = json.dumps(record, indent=1).replace(f"{ROOT}/", "") + "\n"
    kept = FOLDER / "results" / f"{bench.started_at:%Y%m%d-%H%M%S}-{name}.json"
    newest = FOLDER / f"{name}.json"
    for path in (kept, newest):
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, text)
    return newest
