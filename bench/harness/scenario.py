"""Scenarios: work that is described in a small file, bench/load/scenarios/NAME.yaml.

A file is flat YAML: one `key: value` a line, comments, nothing nested. What is wrong in one is told with file and line.
"""

import dataclasses
import pathlib
import re

from harness.results import ROOT
from harness.servers import BenchError

FOLDER = ROOT / "bench" / "load" / "scenarios"
KINDS = ("get", "head", "list", "put", "post", "rmw", "insert", "delete")
GROWING = ("insert", "post", "delete")


class ScenarioError(BenchError):
    """A scenario that cannot be read; its text says where and why."""


# ---- values: each takes the text and returns the value, or raises ValueError with what it should be ----


def _number(low, high):
    def parse(text):
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)
    return parse


def _one_of(*known):
    def parse(text):
        if text not in known:
            raise ValueError(" or ".join(known))
        return text
    return parse


def _some_of(parse_one):
    """One or more, between commas, none twice."""
    def parse(text):
        values = [parse_one(part.strip()) for part in text.split(",")]
        if len(set(values)) != len(values):
            raise ValueError("a list with nothing twice")
        return tuple(values)
    return parse


def _matching(pattern, what):
    def parse(text):
        if not re.fullmatch(pattern, text):
            raise ValueError(what)
        return text
    return parse


def _seconds(text):
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not 0 < float(text) <= 3600:
        raise ValueError("a number of seconds, at most 3600")
    return float(text)


def _mix(text):
    shares = {}
    for part in text.split(","):
        kind, equals, weight = (word.strip() for word in part.partition("="))
        if kind not in KINDS or not equals or not weight.isdecimal() or kind in shares:
            raise ValueError(f"shares such as get=50,put=50, of {', '.join(KINDS)}")
        shares[kind] = int(weight)
    if sum(shares.values()) == 0:
        raise ValueError("shares of which one is above 0")
    return shares


def _cache(text):
    return None if text == "default" else _number(0, 1 << 40)(text)


PARSERS = {
    "title": _matching(r".{1,120}", "a line of text"),
    "kind": _one_of("load", "stream"),
    "records": _number(1, 10**9),
    "value_bytes": _number(100, 1 << 20),
    "durability": _one_of("sync", "interval", "none"),
    "cache_bytes": _cache,
    "protocols": _some_of(_one_of("http", "wire")),
    "seconds": _seconds,
    # of a load
    "mix": _mix,
    "path": _matching(r"/\S*", "a path of the HTTP interface, from / on"),
    "distribution": _matching(r"(uniform|latest|sequential|(zipfian|scrambled)(:0\.\d+)?)",
                              "uniform, zipfian[:THETA], scrambled[:THETA], latest or sequential"),
    "connections": _number(1, 32768),
    "pipeline": _number(1, 1024),
    "loop": _some_of(_one_of("closed", "open")),
    "load_percent": _some_of(_number(1, 100)),
    "expect": _some_of(_number(100, 599)),
    # of a stream
    "notices": _one_of("changes", "invalidations"),
    "patterns": _one_of("none", "own"),
    "subscribers": _number(0, 100000),
    "writers": _number(1, 10000),
    "rate": _number(1, 10**7),
}
LOAD_KEYS = ("mix", "path", "distribution", "connections", "pipeline", "loop", "load_percent", "expect")
STREAM_KEYS = ("notices", "patterns", "subscribers", "writers", "rate")


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    kind: str = "load"
    records: int = 10000
    value_bytes: int = 300
    durability: str = "sync"
    cache_bytes: int | None = None
    protocols: tuple[str, ...] = ("http", "wire")
    seconds: float = 10
    mix: dict[str, int] = dataclasses.field(default_factory=lambda: {"get": 1})
    path: str | None = None
    distribution: str = "uniform"
    connections: int = 50
    pipeline: int = 1
    loop: tuple[str, ...] = ("closed", "open")
    load_percent: tuple[int, ...] = (30, 50, 70, 90)
    expect: tuple[int, ...] = (200, 201)
    notices: str = "changes"
    patterns: str = "none"
    subscribers: int = 1
    writers: int = 16
    rate: int = 5000

    def shape(self):
        """The options of bench_load for what is asked, without how long and how fast."""
        more = ["--path", self.path] if self.path else []
        return ["--mix", ",".join(f"{kind}={weight}" for kind, weight in self.mix.items()), "--keys", self.records,
                "--distribution", self.distribution, "--value-bytes", self.value_bytes, "--connections", self.connections,
                "--pipeline", self.pipeline, "--expect-status", ",".join(map(str, self.expect)), *more]

    def grows(self):
        """Whether a run leaves another number of records than it found."""
        return any(self.mix.get(kind) for kind in GROWING)

    def stream_shape(self, protocol):
        """The same of bench_stream."""
        server = {"http": "freshet", "wire": "wire"}[protocol]
        if self.notices == "invalidations":
            server = "wire-invalidate"
        more = ["--distinct"] if self.patterns == "own" else []
        return ["--server", server, "--subscribers", self.subscribers, "--writers", self.writers, "--rate", self.rate,
                "--keys", self.records, "--value-bytes", self.value_bytes, *more]


def _fail(path, line, what):
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    raise ScenarioError(f"{shown}:{line}: {what}")


def _read_line(path, number, text, seen):
    """The key and the value of one line."""
    key, colon, value = (word.strip() for word in re.sub(r"(^|\s)#.*", "", text).partition(":"))
    if not colon or text[0].isspace() or not value:
        _fail(path, number, f"'{text.strip()}' is no 'key: value'")
    if key not in PARSERS:
        _fail(path, number, f"unknown key '{key}'; there are {', '.join(PARSERS)}")
    if key in seen:
        _fail(path, number, f"'{key}' is there twice, first in line {seen[key]}")
    try:
        return key, PARSERS[key](value)
    except ValueError as error:
        _fail(path, number, f"{key}: '{value}' should be {error}")


def read(path):
    """The scenario that a file describes."""
    path = pathlib.Path(path).resolve()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    values = {}
    seen = {}
    for number, text in enumerate(lines, 1):
        if re.fullmatch(r"\s*(#.*)?", text):
            continue
        key, values[key] = _read_line(path, number, text, seen)
        seen[key] = number
    if "title" not in values:
        _fail(path, 1, "a scenario needs a title")
    foreign = LOAD_KEYS if values.get("kind") == "stream" else STREAM_KEYS
    for key in foreign:
        if key in seen:
            _fail(path, seen[key], f"'{key}' says nothing for kind: {values.get('kind', 'load')}")
    if "wire" in values.get("protocols", ("wire",)) and "path" in values:
        _fail(path, seen["path"], "a path is of HTTP alone; add protocols: http")
    if values.get("notices") == "invalidations" and values.get("protocols") != ("wire",):
        _fail(path, seen["notices"], "invalidations are of the binary protocol alone; add protocols: wire")
    return Scenario(name=path.stem, **values)


def names():
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(name):
    """A scenario by its name, or by the path of its file."""
    if name.endswith(".yaml"):
        return read(name)
    if name not in names():
        raise ScenarioError(f"there is no scenario '{name}'; there are {', '.join(names())}, or the path of a .yaml file")
    return read(FOLDER / f"{name}.yaml")
